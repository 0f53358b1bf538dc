/** Scores made into probabilities, and the probability from which on a label is said to be there. */
import type { Judged } from './ranking.ts';

/** A judged text that stands for as many as it weighs. */
export interface Weighed extends Judged {
  weight: number;
}

/**
 * The line `scale · score + offset` whose sigmoid is the likeliest probability of the label (Platt, 1999), found by
 * Newton's steps on the weighted log-likelihood. Targets are drawn a little to the middle, as Platt does it, so that
 * scores that part both kinds without an error do not stand for certainty.
 */
export function plattScaling(judged: readonly Weighed[]): { scale: number; offset: number } {
  const [positives, negatives] = [true, false].map(
    (kind) => judged.filter(({ positive }) => positive === kind).length,
  );
  if (positives === 0 || negatives === 0) return { scale: 1, offset: 0 };
  const [high, low] = [(positives + 1) / (positives + 2), 1 / (negatives + 2)];
  const total = judged.reduce((sum, { weight }) => sum + weight, 0);
  const lossOf = (scale: number, offset: number) =>
    judged.reduce((sum, { score, positive, weight }) => {
      const z = scale * score + offset;
      return (
        sum +
        (weight / total) * (Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - (positive ? high : low) * z)
      );
    }, 0);
  let [scale, offset] = [1, 0];
  let loss = lossOf(scale, offset);
  for (let step = 0; step < 100; step++) {
    let [g0, g1, h00, h01, h11] = [0, 0, 1e-9, 0, 1e-9];
    for (const { score, positive, weight } of judged) {
      const p = 1 / (1 + Math.exp(-(scale * score + offset)));
      const [error, curve] = [
        ((p - (positive ? high : low)) * weight) / total,
        (p * (1 - p) * weight) / total,
      ];
      g0 += error * score;
      g1 += error;
      h00 += curve * score * score;
      h01 += curve * score;
      h11 += curve;
    }
    const determinant = h00 * h11 - h01 * h01;
    const [d0, d1] = [(h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant];
    // Newton's step may be too long: it is halved until the loss falls.
    let size = 1;
    const after = () => lossOf(scale - size * d0, offset - size * d1);
    while (after() > loss && size > 1e-6) size /= 2;
    const next = after();
    if (!(loss - next > 1e-10)) break;
    [scale, offset, loss] = [scale - size * d0, offset - size * d1, next];
  }
  return scale > 0 ? { scale, offset } : { scale: 1, offset: 0 };
}

/**
 * The threshold with the best F0.5, in which precision counts twice as much as recall, among those at which no more than `overBlocking` of the weight without the label is
 * said to have it. Scores are probabilities. Without any text that has the label it is 0.5.
 */
export function bestThreshold(judged: readonly Weighed[], overBlocking: number): number {
  const sorted = [...judged].sort((a, b) => b.score - a.score);
  const weigh = (kind: boolean) =>
    sorted.reduce((sum, { positive, weight }) => sum + (positive === kind ? weight : 0), 0);
  const [having, lacking] = [weigh(true), weigh(false)];
  let [hits, misses, best, threshold] = [0, 0, -1, 0.5];
  for (const [i, { score, positive, weight }] of sorted.entries()) {
    if (positive) hits += weight;
    else misses += weight;
    const next = sorted[i + 1]?.score ?? 0;
    if (next === score) continue;
    if (misses > overBlocking * lacking) break;
    const f = (1.25 * hits) / (0.25 * having + hits + misses);
    // In the middle of the gap: the next text is not the one that was seen here.
    if (f > best) [best, threshold] = [f, (score + next) / 2];
  }
  return threshold;
}

/** Texts of about one probability: the mean of what was foretold, and how many of them have the label. */
export interface ReliabilityBin {
  foretold: number;
  observed: number;
  weight: number;
  /** How many they are. */
  texts: number;
}

/** Scores, which are probabilities, in bins of equal width; empty ones are left out. */
export function reliability(judged: readonly Weighed[], bins = 10): ReliabilityBin[] {
  const sums = Array.from({ length: bins }, () => ({ foretold: 0, observed: 0, weight: 0, texts: 0 }));
  for (const { score, positive, weight } of judged) {
    const bin = sums[Math.min(bins - 1, Math.floor(score * bins))];
    bin.foretold += weight * score;
    bin.observed += weight * Number(positive);
    bin.weight += weight;
    bin.texts++;
  }
  return sums
    .filter(({ weight }) => weight > 0)
    .map(({ foretold, observed, weight, texts }) => ({
      foretold: foretold / weight,
      observed: observed / weight,
      weight,
      texts,
    }));
}

/** How far what was foretold is from what is, on average (Naeini et al., 2015); NaN of no texts. */
export function calibrationError(judged: readonly Weighed[], bins = 10): number {
  const all = judged.reduce((sum, { weight }) => sum + weight, 0);
  const off = reliability(judged, bins).map(
    ({ foretold, observed, weight }) => (weight / all) * Math.abs(foretold - observed),
  );
  return all === 0 ? Number.NaN : off.reduce((a, b) => a + b, 0);
}
