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

/** Arrays that candidates can be put into. */
export type CandidateSpace = Pick<Candidates, 'ids' | 'logits'>;

export const candidateSpace = (size: number): CandidateSpace => ({
  ids: new Uint32Array(size),
  logits: new Float32Array(size),
});

/** All tokens whose logit is not -Infinity. @param space at least as large; what was in it is overwritten */
export function allCandidates(
  logits: Float32Array,
  { ids, logits: kept }: CandidateSpace = candidateSpace(logits.length),
): Candidates {
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
  keepFirst(candidates, k, (_, found, all) => (found >= k || all ? Math.min(found, k) : undefined));
}

/**
 * Nucleus sampling (Holtzman et al., 2020): the likeliest tokens until their probabilities sum to p, the one that
 * reaches it included. 1 leaves all.
 */
export function keepTopP(candidates: Candidates, p: number): void {
  if (p >= 1) return;
  const [largest, total] = partition(candidates);
  keepFirst(candidates, FEW, (logitAt, found, all) => {
    let sum = 0;
    for (let i = 0; i < found; i++) {
      sum += Math.exp(logitAt(i) - largest);
      if (sum >= p * total) return i + 1;
    }
    return all ? found : undefined;
  });
}

/** Tokens at least `p` times as likely as the likeliest (Nguyen et al., 2024). 0 leaves all. */
export function keepMinP(candidates: Candidates, p: number): void {
  if (p <= 0) return;
  const { ids, logits } = candidates;
  const least = largestOf(candidates) + Math.log(p);
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
export function draw(candidates: Candidates, random: number): number {
  const { ids, logits, count } = candidates;
  const largest = largestOf(candidates);
  const weights = scratchOf(count);
  let total = 0;
  for (let i = 0; i < count; i++) {
    weights[i] = Math.exp(logits[i] - largest);
    total += weights[i];
  }
  let rest = random * total;
  for (let i = 0; i < count; i++) {
    rest -= weights[i];
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
export function partition(candidates: Candidates): [number, number] {
  const { logits, count } = candidates;
  const largest = largestOf(candidates);
  let total = 0;
  for (let i = 0; i < count; i++) total += Math.exp(logits[i] - largest);
  return [largest, total];
}

/** Few tokens hold most of the probability: so many are looked at first, and more where they do not suffice. */
const FEW = 256;
/** So many candidates show how large the largest are. */
const SAMPLE = 512;

/** Numbers of a call, which the next overwrites: the vocabulary is large, and a token is drawn often. */
let scratch = new Float64Array(0);
function scratchOf(count: number): Float64Array {
  if (scratch.length < count) scratch = new Float64Array(count);
  return scratch;
}

/**
 * Keeps the first candidates in falling order of logits (equal ones in rising order of ids).
 * @param guess about how many
 * @param enough says how many, of so many that are in order with their logits; undefined while these do not suffice
 */
function keepFirst(
  candidates: Candidates,
  guess: number,
  enough: (logitAt: (place: number) => number, found: number, all: boolean) => number | undefined,
): void {
  const { ids, logits, count } = candidates;
  if (candidates.sorted) {
    candidates.count = enough((place) => logits[place], count, true)!;
    return;
  }
  const sample = sampleOf(candidates);
  const all = scratchOf(count);
  for (let wanted = guess; ; wanted *= 8) {
    const least = logitOfRank(sample, wanted, count);
    let found = 0;
    for (let i = 0; i < count; i++) if (logits[i] >= least) all[found++] = keyOf(logits[i], ids[i]);
    const keys = all.subarray(0, found).sort();
    const kept = enough((place) => logitOf(keys[place]), found, found === count);
    if (kept === undefined) continue;
    for (let i = 0; i < kept; i++) {
      ids[i] = keys[i] % IDS;
      logits[i] = logitOf(keys[i]);
    }
    candidates.count = kept;
    candidates.sorted = true;
    return;
  }
}

/** Some of the logits, rising. */
function sampleOf({ logits, count }: Candidates): Float32Array {
  const step = Math.ceil(count / SAMPLE);
  return Float32Array.from({ length: Math.floor(count / step) }, (_, i) => logits[i * step]).sort();
}

/** A logit that about so many candidates, and rather more, are not below. */
function logitOfRank(sample: Float32Array, wanted: number, count: number): number {
  const rank = Math.ceil((wanted * sample.length) / count) + 3;
  return rank < sample.length / 2 ? sample[sample.length - rank] : -Infinity;
}

const IDS = 2 ** 21;
const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** A number that rises as the logit falls, and with the id among equals. Both can be had back from it. */
function keyOf(logit: number, id: number): number {
  // -0 is 0.
  float[0] = logit + 0;
  const rising = bits[0] >>> 31 ? ~bits[0] >>> 0 : (bits[0] | 0x80000000) >>> 0;
  return (0xffffffff - rising) * IDS + id;
}

function logitOf(key: number): number {
  const rising = 0xffffffff - Math.floor(key / IDS);
  bits[0] = rising >>> 31 ? rising & 0x7fffffff : ~rising;
  return float[0];
}

function largestOf({ logits, count }: Candidates): number {
  let largest = -Infinity;
  for (let i = 0; i < count; i++) if (logits[i] > largest) largest = logits[i];
  return largest;
}
