/**
 * The tokens that a draw may take: filters narrow them down. They are kept as ids in falling order of their logits,
 * as far down as the filters have looked; the vocabulary as a whole is never sorted.
 */

export interface Candidates {
  /** Token ids; the first `count` are candidates. */
  ids: Uint32Array;
  /** Their logits. */
  logits: Float32Array;
  count: number;
  /** Whether the candidates stand in falling order of logits (equal ones in rising order of ids). */
  sorted: boolean;
}

/** All tokens whose logit is not -Infinity. */
export function allCandidates(logits: Float32Array): Candidates {
  const ids = new Uint32Array(logits.length);
  const kept = new Float32Array(logits.length);
  let count = 0;
  for (let id = 0; id < logits.length; id++) {
    if (logits[id] === -Infinity) continue;
    ids[count] = id;
    kept[count++] = logits[id];
  }
  return { ids, logits: kept, count, sorted: false };
}

/** The k likeliest; among equals the lower ids. 0 leaves all. */
export function keepTopK(candidates: Candidates, k: number): void {
  if (k === 0) return;
  sortFirst(candidates, k);
  candidates.count = Math.min(candidates.count, k);
  candidates.sorted = true;
}

/**
 * Nucleus sampling (Holtzman et al., 2020): the likeliest tokens until their probabilities sum to p, the one that
 * reaches it included. 1 leaves all.
 */
export function keepTopP(candidates: Candidates, p: number): void {
  if (p >= 1) return;
  const { logits } = candidates;
  const [largest, total] = partition(candidates);
  // Few tokens hold most of the probability: sort a little, and more only while it is not enough.
  for (let length = Math.min(64, candidates.count); ; length = Math.min(candidates.count, length * 4)) {
    sortFirst(candidates, length);
    let sum = 0;
    for (let i = 0; i < length; i++) {
      sum += Math.exp(logits[i] - largest);
      if (sum >= p * total) {
        candidates.count = i + 1;
        return;
      }
    }
    if (length === candidates.count) return;
  }
}

/** Tokens at least `p` times as likely as the likeliest (Nguyen et al., 2024). 0 leaves all. */
export function keepMinP(candidates: Candidates, p: number): void {
  if (p <= 0) return;
  const { ids, logits } = candidates;
  let largest = -Infinity;
  for (let i = 0; i < candidates.count; i++) if (logits[i] > largest) largest = logits[i];
  const least = largest + Math.log(p);
  let count = 0;
  for (let i = 0; i < candidates.count; i++) {
    if (logits[i] < least) continue;
    ids[count] = ids[i];
    logits[count++] = logits[i];
  }
  candidates.count = count;
}

/**
 * Locally typical sampling (Meister et al., 2022): the tokens whose surprise is nearest to the entropy, until their
 * probabilities sum to p, the one that reaches it included. 1 leaves all.
 */
export function keepTypical(candidates: Candidates, p: number): void {
  if (p >= 1) return;
  const [largest, total] = partition(candidates);
  const surprises = surprisesOf(candidates, largest, total);
  const entropy = surprises.reduce((sum, surprise) => sum + Math.exp(-surprise) * surprise, 0);
  const order = [...surprises.keys()].sort(
    (i, j) =>
      Math.abs(surprises[i] - entropy) - Math.abs(surprises[j] - entropy) || likelier(candidates)(i, j),
  );
  let [sum, count] = [0, 0];
  while (count < order.length && sum < p) sum += Math.exp(-surprises[order[count++]]);
  keepPlaces(candidates, order.slice(0, count));
}

/**
 * Excludes top choices: of the tokens with at least the probability `threshold` only the least likely stays. Where there
 * are fewer than two of them, nothing changes. (The sampler decides how often.)
 */
export function excludeTopChoices(candidates: Candidates, threshold: number): void {
  const [largest, total] = partition(candidates);
  const surprises = surprisesOf(candidates, largest, total);
  const least = -Math.log(threshold);
  const top = [...surprises.keys()].filter((i) => surprises[i] <= least).sort(likelier(candidates));
  if (top.length < 2) return;
  const excluded = new Set(top.slice(0, -1));
  keepPlaces(
    candidates,
    [...surprises.keys()].filter((i) => !excluded.has(i)),
  );
}

/** Tokens of at most `bits` of surprise, and at least the likeliest. */
export function keepUnsurprising(candidates: Candidates, bits: number): void {
  const [largest, total] = partition(candidates);
  const surprises = surprisesOf(candidates, largest, total);
  const kept = [...surprises.keys()].filter((i) => surprises[i] <= bits * Math.LN2);
  keepPlaces(candidates, kept.length > 0 ? kept : [[...surprises.keys()].sort(likelier(candidates))[0]]);
}

/** The entropy of the candidates in nats, and the most that so many could have. */
export function entropyOf(candidates: Candidates): { entropy: number; most: number } {
  const [largest, total] = partition(candidates);
  const surprises = surprisesOf(candidates, largest, total);
  const entropy = surprises.reduce((sum, surprise) => sum + Math.exp(-surprise) * surprise, 0);
  return { entropy, most: Math.log(candidates.count) };
}

/** The surprise of a candidate in bits. */
export function surpriseOf(candidates: Candidates, id: number): number {
  const [largest, total] = partition(candidates);
  const place = candidates.ids.subarray(0, candidates.count).indexOf(id);
  return (largest + Math.log(total) - candidates.logits[place]) / Math.LN2;
}

/** Draws one of the candidates by their probabilities; `random` is a number in [0, 1). */
export function draw({ ids, logits, count }: Candidates, random: number): number {
  let largest = -Infinity;
  for (let i = 0; i < count; i++) if (logits[i] > largest) largest = logits[i];
  let total = 0;
  for (let i = 0; i < count; i++) total += Math.exp(logits[i] - largest);
  let rest = random * total;
  for (let i = 0; i < count; i++) {
    rest -= Math.exp(logits[i] - largest);
    if (rest < 0) return ids[i];
  }
  return ids[count - 1];
}

/** -log p of each candidate, in nats. */
const surprisesOf = ({ logits, count }: Candidates, largest: number, total: number): number[] =>
  Array.from(logits.subarray(0, count), (logit) => largest + Math.log(total) - logit);

/** Orders the places of candidates: the likelier first, among equals the lower id. */
export const likelier =
  ({ ids, logits }: Readonly<Candidates>) =>
  (i: number, j: number): number =>
    logits[j] - logits[i] || ids[i] - ids[j];

/** Keeps the candidates that stand at these places, in the order in which they stand there now. */
function keepPlaces(candidates: Candidates, places: readonly number[]): void {
  const { ids, logits } = candidates;
  const order = [...places].sort((i, j) => i - j);
  for (const [to, from] of order.entries()) {
    ids[to] = ids[from];
    logits[to] = logits[from];
  }
  candidates.count = order.length;
}

/** The largest logit, and the sum of exp(logit - largest). */
export function partition({ logits, count }: Candidates): [number, number] {
  let largest = -Infinity;
  for (let i = 0; i < count; i++) if (logits[i] > largest) largest = logits[i];
  let total = 0;
  for (let i = 0; i < count; i++) total += Math.exp(logits[i] - largest);
  return [largest, total];
}

/** Puts the `length` likeliest first, in order: quickselect for which they are, then a sort of those alone. */
function sortFirst(candidates: Candidates, length: number): void {
  if (candidates.sorted) return;
  const { ids, logits, count } = candidates;
  const wanted = Math.min(length, count);
  const before = (i: number, j: number) =>
    logits[i] > logits[j] || (logits[i] === logits[j] && ids[i] < ids[j]);
  const swap = (i: number, j: number) => {
    [ids[i], ids[j]] = [ids[j], ids[i]];
    [logits[i], logits[j]] = [logits[j], logits[i]];
  };
  let [low, high] = [0, count - 1];
  while (low < high && wanted < count) {
    // The middle one as pivot, moved to the end while the others go round it.
    swap((low + high) >> 1, high);
    let border = low;
    for (let i = low; i < high; i++) if (before(i, high)) swap(i, border++);
    swap(border, high);
    if (border === wanted || border === wanted - 1) break;
    if (border < wanted) low = border + 1;
    else high = border - 1;
  }
  const order = Array.from({ length: wanted }, (_, i) => i).sort((i, j) => (before(i, j) ? -1 : 1));
  const sortedIds = order.map((i) => ids[i]);
  const sortedLogits = order.map((i) => logits[i]);
  ids.set(sortedIds);
  logits.set(sortedLogits);
  candidates.sorted = wanted === count;
}
