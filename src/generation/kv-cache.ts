/** Steps of a decoder with a cache of keys and values: each step computes the new tokens alone. */
import type { Tensor } from 'onnxruntime-common';
import { floats, graphInputs } from './graph-io.ts';
import { type DecodingModel, release } from './model.ts';

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
  const { session, cache } = model;
  const inputs = graphInputs(model);
  const outputs = ['logits', ...cache.map(({ output }) => output)];
  let past = begun?.past;
  let all = begun?.tokens ?? [];
  return {
    step: async (tokens) => (await run(tokens, 1))[0],
    steps: (tokens) => run(tokens, tokens.length),
    get past() {
      return past ?? new Map();
    },
    close() {
      for (const tensor of past?.values() ?? []) release(tensor);
      past = undefined;
    },
  };

  /** Takes tokens; gives the logits after the last `wanted` of them, each `[vocab]`. */
  async function run(tokens: readonly number[], wanted: number): Promise<Float32Array[]> {
    all = [...all, ...tokens];
    // A graph without a cache reads everything again.
    const fresh = cache.length === 0 ? all : tokens;
    const feeds = inputs({ rows: [fresh], before: all.length - fresh.length, past, logits: wanted });
    const results = await session.run(feeds, outputs);
    for (const tensor of past?.values() ?? []) release(tensor);
    past = new Map(cache.map(({ input, output }) => [input, results[output]]));
    const { logits } = results;
    const vocab = logits.dims.at(-1)!;
    return Array.from({ length: wanted }, (_, i) => {
      const at = logits.size - (wanted - i) * vocab;
      return floats(logits, at, at + vocab);
    });
  }
}
