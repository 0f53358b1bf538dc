/** Where parameters begin: drawn from normal distributions, reproducibly, or as a model that was exported has them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ParameterSpec } from '../architecture/parameters.ts';
import { createRandom, normal } from '../data/random.ts';
import { readOnnx, tensorData } from '../graph/onnx.ts';
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

/**
 * The parameters in the float32 graphs of a model folder, by the names under which they were exported.
 * @throws Error if the folder has no graph, or lacks a parameter, or has it in another size
 */
export function exportedParameters(
  specs: readonly ParameterSpec[],
  folder: string,
): Map<string, NamedTensor> {
  const files = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];
  const graphs = files.filter((name) => /(^|[/\\])model\.onnx$/.test(name)).sort();
  if (graphs.length === 0) throw new Error(`${folder} is no model folder: it holds no model.onnx.`);
  const stored = new Map(
    graphs.flatMap((name) =>
      readOnnx(readFileSync(join(folder, name))).graph.initializer.map(
        (tensor) => [tensor.name, tensor] as const,
      ),
    ),
  );
  return new Map(
    specs.map(({ name, shape }) => {
      const tensor = stored.get(name);
      const found = tensor?.dims?.map(Number) ?? [];
      if (!tensor || found.join() !== shape.join()) {
        const has = tensor ? `has it as [${found.join(', ')}]` : 'lacks it';
        throw new Error(
          `The model needs the parameter "${name}" as [${shape.join(', ')}]; ${folder} ${has}.`,
        );
      }
      return [name, { name, shape, data: tensorData(tensor) as Float32Array<ArrayBuffer> }];
    }),
  );
}
