/** What goes into a decoder's graph and comes out of it, of the types that the graph declares. */
import type { Tensor } from 'onnxruntime-common';
import { fromFloat16 } from '../graph/rewrites/float16.ts';
import { isStepGraph } from '../graph/rewrites/step-inputs.ts';
import type { CacheSpec, DecodingModel, GraphInput } from './model.ts';
import { capacityFor, stepFeeds } from './step-feeds.ts';

/** What a graph computes in one run: tokens of one or more sequences. */
export interface GraphRun {
  /** The tokens of each; behind those that are shorter than the longest stands padding, which is masked. */
  rows: readonly (readonly number[])[];
  /** How many tokens each has behind it. */
  before?: number;
  /** Their keys and values, by the names of the graph's inputs. */
  past?: ReadonlyMap<string, Tensor> | undefined;
  /** After how many of the last tokens the logits are wanted, all if nothing is said; most graphs give all anyhow. */
  logits?: number;
}

/** A function that makes a graph's inputs, all those and only those that it takes. */
export function graphInputs(
  model: Pick<DecodingModel, 'session' | 'Tensor' | 'cache'>,
): (run: GraphRun) => Record<string, Tensor> {
  const { session, Tensor, cache } = model;
  if (isStepGraph(session.inputNames)) return wholeSteps(model);
  const types = new Map(
    session.inputMetadata.map((input) => [input.name, input.isTensor ? input.type : undefined]),
  );
  const specs = new Map(cache.map((spec) => [spec.input, spec]));

  return ({ rows, before = 0, past, logits = 0 }) => {
    const batch = rows.length;
    const length = Math.max(...rows.map((row) => row.length));
    const integers = (
      name: GraphInput,
      shape: number[],
      of: (row: number, place: number) => number,
    ): Tensor => {
      const width = shape[1] ?? 1;
      const size = shape.reduce((product, dim) => product * dim, 1);
      const at = (i: number) => of(Math.floor(i / width), i % width);
      return types.get(name) === 'int32'
        ? new Tensor(
            'int32',
            Int32Array.from({ length: size }, (_, i) => at(i)),
            shape,
          )
        : new Tensor(
            'int64',
            BigInt64Array.from({ length: size }, (_, i) => BigInt(at(i))),
            shape,
          );
    };
    const inputs: Record<GraphInput, () => Tensor> = {
      input_ids: () => integers('input_ids', [batch, length], (row, place) => rows[row][place] ?? 0),
      attention_mask: () =>
        integers('attention_mask', [batch, before + length], (row, place) =>
          Number(place < before + rows[row].length),
        ),
      position_ids: () => integers('position_ids', [batch, length], (_, place) => before + place),
      use_cache_branch: () => new Tensor('bool', Uint8Array.of(Number(before > 0)), [1]),
      // 0 asks for all.
      num_logits_to_keep: () => integers('num_logits_to_keep', [], () => logits),
    };
    const feeds: Record<string, Tensor> = {};
    for (const name of session.inputNames) {
      const spec = specs.get(name);
      feeds[name] = spec ? (past?.get(name) ?? emptyCache(spec, batch)) : inputs[name as GraphInput]();
    }
    return feeds;
  };

  function emptyCache({ type, empty }: CacheSpec, batch: number): Tensor {
    const shape = empty.with(0, batch);
    return type === 'float16'
      ? new Tensor('float16', new Uint16Array(0), shape)
      : new Tensor('float32', new Float32Array(0), shape);
  }
}

/** Whole sequences as one step of a graph of steps. */
function wholeSteps(
  model: Pick<DecodingModel, 'session' | 'Tensor' | 'cache'>,
): (run: GraphRun) => Record<string, Tensor> {
  const feeds = stepFeeds(model);
  return ({ rows, before = 0 }) => {
    if (before > 0) throw new Error('A graph of steps goes on from a cache with its own decoder only.');
    const batch = rows.length;
    const width = Math.max(...rows.map((row) => row.length));
    const capacity = capacityFor(width);
    const past = model.cache.map(({ input, empty: [, heads, , dim] }) => {
      const numbers = new Float32Array(batch * heads * capacity * dim);
      return [input, new model.Tensor('float32', numbers, [batch, heads, capacity, dim])];
    });
    return {
      ...Object.fromEntries(past),
      ...feeds({
        ...{ batch, width, capacity },
        rows: rows.map((tokens, at) => ({ at, start: 0, tokens })),
        wanted: Array.from({ length: batch * width }, (_, i) => i),
      }),
    };
  };
}

/**
 * Numbers `from` up to `to` of a graph's output, as float32 and copied out of it.
 * @throws Error if they are of a type that no decoder has
 */
export function floats(output: Tensor, from = 0, to = output.size): Float32Array {
  if (output.type === 'float32') return (output.data as Float32Array).slice(from, to);
  if (output.type === 'float16') return fromFloat16((output.data as Uint16Array).subarray(from, to));
  throw new Error(`The model's graph gives ${output.type}; wick knows float32 and float16.`);
}
