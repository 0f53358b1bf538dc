/** Gaussian noise from a seed. */
import { createRandom } from '../random.ts';

/**
 * A source of N(0, 1) noise, an array of `length` at each call (Box & Muller, 1958). The same seed gives the same arrays,
 * on every machine whose logarithm and cosine agree to the last bit.
 */
export function noiseSource(seed: number): (length: number) => Float32Array {
  const random = createRandom(seed);
  return (length) => {
    const out = new Float32Array(length);
    for (let i = 0; i < length; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(1 - random()));
      const angle = 2 * Math.PI * random();
      out[i] = radius * Math.cos(angle);
      if (i + 1 < length) out[i + 1] = radius * Math.sin(angle);
    }
    return out;
  };
}
