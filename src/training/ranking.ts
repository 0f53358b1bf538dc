/** How well scores put what has a label before what has not, at every threshold at once. */

/** A score, and whether the label is there. */
export interface Judged {
  score: number;
  positive: boolean;
}

/**
 * The area under the ROC curve: how often one with the label scores higher than one without it, equal scores being
 * half a time (Hanley & McNeil, 1982). 1 is perfect, 0.5 is chance; NaN where one of both kinds is missing.
 */
export function auroc(judged: readonly Judged[]): number {
  let [positives, negatives, area] = [0, 0, 0];
  for (const { with: hits, without: misses } of tied(judged)) {
    // Those with the label that came before score higher than these without it.
    area += misses * (positives + hits / 2);
    positives += hits;
    negatives += misses;
  }
  return positives === 0 || negatives === 0 ? Number.NaN : area / (positives * negatives);
}

/**
 * The area under the precision-recall curve as average precision: the mean of the precision at each one with the
 * label, without interpolation (Davis & Goadrich, 2006). Chance is the share of those with the label; NaN without any.
 */
export function auprc(judged: readonly Judged[]): number {
  let [positives, seen, sum] = [0, 0, 0];
  for (const { with: hits, without: misses } of tied(judged)) {
    positives += hits;
    seen += hits + misses;
    sum += hits * (positives / seen);
  }
  return positives === 0 ? Number.NaN : sum / positives;
}

/** How many with and without the label have each score, from the highest on. */
function tied(judged: readonly Judged[]): { with: number; without: number }[] {
  const sorted = [...judged].sort((a, b) => b.score - a.score);
  const groups: { with: number; without: number }[] = [];
  let last: number | undefined;
  for (const { score, positive } of sorted) {
    if (score !== last) groups.push({ with: 0, without: 0 });
    last = score;
    groups.at(-1)![positive ? 'with' : 'without']++;
  }
  return groups;
}
