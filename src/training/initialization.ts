/** Where parameters begin: drawn from normal distributions, reproducibly. */
import type { ParameterSpec } from '../architecture/parameters.ts';
import { createRandom, normal } from '../data/random.ts';
import type { NamedTensor } from './safetensors.ts';

/** Draws every parameter in order; the same seed gives the same numbers. */
export function initialParameters(specs: readonly ParameterSpec[], seed: number): Map<string, NamedTensor> {
  const random = createRandom(seed);
  return new Map(
    specs.map(({ name, shape, initial }) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const data = new Float32Array(count);
      if (initial === 'ones') data.fill(1);
      else for (let i = 0; i < count; i++) data[i] = normal(random) * initial;
      return [name, { name, shape, data }];
    }),
  );
}
