/** What a graph of steps takes beside the cache. */
import type { Tensor } from 'onnxruntime-common';
import { stepInputs } from '../graph/rewrites/step-graph.ts';
import type { DecodingModel } from './model.ts';

/** A run of `batch` sequences, each with `width` tokens; those that no row speaks of are computed in vain. */
export interface StepRun {
  batch: number;
  width: number;
  /** Positions in each sequence's cache; with the new tokens they are no more than that. */
  capacity: number;
  rows: readonly {
    /** Which of the batch. */
    at: number;
    /** The position of the first token. */
    start: number;
    /** As many as the width, or fewer. */
    tokens: readonly number[];
  }[];
  /** After which tokens logits are wanted, counted through all rows of the batch; one at least. */
  wanted: readonly number[];
}

/** A function that makes the inputs of a run, those that the graph takes. */
export function stepFeeds({
  session,
  Tensor,
  cache,
}: Pick<DecodingModel, 'session' | 'Tensor' | 'cache'>): (run: StepRun) => Record<string, Tensor> {
  const needs = new Set(session.inputNames);
  const kvHeads = cache[0].empty[1];
  const int64 = (values: readonly number[], shape: number[]) =>
    new Tensor('int64', BigInt64Array.from(values, BigInt), shape);

  return (run) => {
    const { batch, width, capacity, rows, wanted } = run;
    const keys = 1 + capacity;
    const ids = new Array<number>(batch * width).fill(0);
    const positions = new Array<number>(batch * width).fill(0);
    const bias = new Float32Array(batch * width * keys).fill(-Infinity);
    // Every token looks at itself, also one that is computed in vain: a sum over nothing would be no number.
    for (let query = 0; query < batch * width; query++) bias[query * keys] = 0;
    for (const { at, start, tokens } of rows) {
      for (const [i, token] of tokens.entries()) {
        const query = at * width + i;
        ids[query] = token;
        positions[query] = start + i;
        bias.fill(0, query * keys, query * keys + 1 + start + i);
      }
    }
    const feeds: Record<string, Tensor> = {
      input_ids: int64(ids, [batch, width]),
      position_ids: int64(positions, [batch, width]),
      [stepInputs.bias]: new Tensor('float32', bias, [batch, 1, width, keys]),
      [stepInputs.parts]: int64([1, capacity], [2]),
      [stepInputs.oneToken]: new Tensor('bool', Uint8Array.of(width === 1 ? 1 : 0), []),
      [stepInputs.places]: width === 1 ? int64([], [0, 0, 0, 3]) : places(run),
      [stepInputs.rows]: int64(wanted, [wanted.length]),
    };
    for (const name of Object.keys(feeds)) if (!needs.has(name)) delete feeds[name];
    return feeds;
  };

  /** Where new keys and values go, in a copy of the cache; those computed in vain go anywhere in it. */
  function places({ batch, width, rows }: StepRun): Tensor {
    const starts = new Array<number>(batch).fill(0);
    for (const { at, start } of rows) starts[at] = start;
    const list = new BigInt64Array(batch * kvHeads * width * 3);
    let next = 0;
    for (const [at, start] of starts.entries())
      for (let head = 0; head < kvHeads; head++)
        for (let i = 0; i < width; i++)
          for (const index of [at, head, start + i]) list[next++] = BigInt(index);
    return new Tensor('int64', list, [batch, kvHeads, width, 3]);
  }
}

/** Softmax sums in blocks of so many: a capacity is a multiple of it, so that the sums do not depend on it. */
const BLOCK = 64;

/** The least capacity for so many positions: eight between a power of two and the next. */
export function capacityFor(length: number): number {
  const step = Math.max(BLOCK, 2 ** Math.floor(Math.log2(length)) / 8);
  return Math.ceil(length / step) * step;
}
