/** Random numbers for sampling. */

/**
 * A stream of numbers in [0, 1) with 53 random bits, from a seed: xoshiro128** (Blackman & Vigna, 2018), its state
 * filled by splitmix32. null takes a seed from the system.
 */
export function createRandom(seed: number | null): () => number {
  const start =
    seed === null
      ? crypto.getRandomValues(new Uint32Array(2))
      : Uint32Array.of(seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0);
  let counter = start[0] ^ Math.imul(start[1], 0x85ebca6b);
  const fill = () => {
    counter = (counter + 0x9e3779b9) | 0;
    let x = Math.imul(counter ^ (counter >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return x ^ (x >>> 15);
  };
  let [a, b, c, d] = [fill(), fill(), fill(), fill()];
  const next32 = () => {
    const fives = Math.imul(b, 5);
    const result = Math.imul((fives << 7) | (fives >>> 25), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  return () => (next32() * 2 ** 21 + (next32() >>> 11)) / 2 ** 53;
}

/** A seed from the system: 48 random bits, so that seeds counted up from it are whole numbers, too. */
export function drawSeed(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return (high >>> 16) * 2 ** 32 + low;
}
