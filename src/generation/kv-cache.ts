/** Steps of a decoder with a cache of keys and values: each step computes the new tokens alone. */
import type { Tensor } from 'onnxruntime-common';
import { fromFloat16 } from '../graph/rewrites/float16.ts';
import { type CacheSpec, type DecodingModel, release } from './model.ts';

/** A sequence that is taken further step by step. */
export interface DecodingState {
  /**
   * Takes tokens; returns the logits that follow the last of them, `[vocab]`.
   * @throws Error if the graph fails
   */
  step(tokens: readonly number[]): Promise<Float32Array>;
  /** Takes tokens; returns the logits that follow each of them. */
  steps(tokens: readonly number[]): Promise<Float32Array[]>;
  /** What was spared so far, where anything can be. */
  readonly savings?: Savings;
  /** Frees the cache. */
  close(): void;
}

/** Work that was spared, in tokens. */
export interface Savings {
  /** Tokens of the prompt that were found in a cache. */
  cached: number;
  /** Tokens of the answer that were computed ahead, and those of them that were then drawn. */
  proposed: number;
  accepted: number;
}

/** One whose cache can be seen. */
export interface OpenDecodingState extends DecodingState {
  /** Keys and values of the tokens taken, by the names of the graph's inputs. */
  readonly past: ReadonlyMap<string, Tensor>;
}

/** Where a sequence that was begun elsewhere stands. */
export interface Begun {
  tokens: readonly number[];
  /** Its keys and values, by the names of the graph's inputs. */
  past: ReadonlyMap<string, Tensor>;
}

/** Decoding of one sequence, from its beginning unless it was begun. */
export function createDecodingState(model: DecodingModel, begun?: Begun): OpenDecodingState {
  const { session, Tensor, cache } = model;
  const needs = new Set(session.inputNames);
  const outputs = ['logits', ...cache.map(({ output }) => output)];
  let past = begun?.past;
  let all = begun?.tokens ?? [];
  const int64 = (values: ArrayLike<number>, shape: number[]) =>
    new Tensor(
      'int64',
      BigInt64Array.from({ length: values.length }, (_, i) => BigInt(values[i])),
      shape,
    );
  return {
    step: async (tokens) => rowsOf(await run(tokens), 1)[0],
    steps: async (tokens) => rowsOf(await run(tokens), tokens.length),
    get past() {
      return past ?? new Map();
    },
    close() {
      for (const tensor of past?.values() ?? []) release(tensor);
      past = undefined;
    },
  };

  async function run(tokens: readonly number[]): Promise<Tensor> {
    const before = all.length;
    all = [...all, ...tokens];
    // A graph without a cache reads everything again.
    const fresh = cache.length === 0 ? all : tokens;
    const from = all.length - fresh.length;
    const feeds: Record<string, Tensor> = {
      input_ids: int64(fresh, [1, fresh.length]),
    };
    if (needs.has('attention_mask'))
      feeds.attention_mask = int64(new Array(all.length).fill(1), [1, all.length]);
    if (needs.has('position_ids'))
      feeds.position_ids = int64(
        fresh.map((_, i) => from + i),
        [1, fresh.length],
      );
    if (needs.has('use_cache_branch'))
      feeds.use_cache_branch = new Tensor('bool', Uint8Array.of(before > 0 ? 1 : 0), [1]);
    for (const spec of cache) feeds[spec.input] = past?.get(spec.input) ?? emptyCache(spec);
    const results = await session.run(feeds, outputs);
    for (const tensor of past?.values() ?? []) release(tensor);
    past = new Map(cache.map(({ input, output }) => [input, results[output]]));
    return results.logits;
  }

  function emptyCache({ type, empty }: CacheSpec): Tensor {
    return type === 'float16'
      ? new Tensor('float16', new Uint16Array(0), empty)
      : new Tensor('float32', new Float32Array(0), empty);
  }
}

/** The logits of the last positions, each as float32 `[vocab]`. */
function rowsOf(logits: Tensor, count: number): Float32Array[] {
  const vocab = logits.dims.at(-1)!;
  const places = Array.from({ length: count }, (_, i) => logits.size - (count - i) * vocab);
  if (logits.type === 'float32') {
    const data = logits.data as Float32Array;
    return places.map((at) => data.slice(at, at + vocab));
  }
  if (logits.type === 'float16') {
    const data = logits.data as Uint16Array;
    return places.map((at) => fromFloat16(data.subarray(at, at + vocab)));
  }
  throw new Error(`The model's logits are ${logits.type}; wick knows float32 and float16.`);
}
