/** Seeded random numbers for shuffles and initial weights: reproducible, not for secrets. */

/**
 * A stream of numbers in [0, 1), 32 bits each, from a 32-bit seed: sfc32 (Doty-Humphrey's "small fast counting"
 * generator of PractRand), whose state is filled by splitmix32 so that neighbouring seeds have unrelated streams.
 */
export function createRandom(seed: number): () => number {
  let [a, b, c] = [1, 2, 3].map((i) => mix(seed + Math.imul(i, 0x9e3779b9)));
  let counter = 1;
  const next = () => {
    const t = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + t) | 0;
    return (t >>> 0) / 2 ** 32;
  };
  // The generator's author has it run a few rounds before its first number.
  for (let i = 0; i < 12; i++) next();
  return next;
}

/** A draw from the standard normal distribution (Box & Muller, 1958). */
export function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** A 32-bit integer scrambled into another, one to one: the finaliser of splitmix32 / murmur3. */
export function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/**
 * The place of `index` in a shuffle of `count` places, computed without the rest of the shuffle: a Feistel network
 * over the next power of four, walked on until it lands inside (Black & Rogaway, 2002). The same key gives the same
 * shuffle.
 */
export function permute(index: number, count: number, key: number): number {
  const half = Math.max(1, Math.ceil(Math.log2(Math.max(2, count)) / 2));
  const mask = 2 ** half - 1;
  let place = index;
  do {
    let left = Math.floor(place / 2 ** half);
    let right = place % 2 ** half;
    for (let round = 0; round < 4; round++) {
      [left, right] = [
        right,
        (left ^ mix(right + Math.imul(key, 0x9e3779b1) + Math.imul(round + 1, 0x632be59b))) & mask,
      ];
    }
    place = left * 2 ** half + right;
  } while (place >= count);
  return place;
}
