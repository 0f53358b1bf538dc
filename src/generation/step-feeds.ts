/** What a graph of steps takes beside the cache. */
import type { Tensor } from 'onnxruntime-common';
import { stepInputs } from '../graph/rewrites/step-inputs.ts';
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
  const [kvHeads, columns] = [cache[0].empty[1], cache[1].empty[1]];
  const int64 = (values: readonly number[], shape: number[]) =>
    new Tensor('int64', BigInt64Array.from(values, BigInt), shape);
  const nowhere = {
    [stepInputs.places]: int64([], [0, 0, 0, 3]),
    [stepInputs.valuePlaces]: int64([], [0, 0, 0, 3]),
    [stepInputs.own]: int64([], [0, 0, 0, 1]),
  };

  return (run) => {
    const { batch, width, rows, wanted } = run;
    const keys = keysOf(run);
    const scores = 1 + keys;
    const ids = new Array<number>(batch * width).fill(0);
    const positions = new Array<number>(batch * width).fill(0);
    const bias = new Float32Array(batch * width * scores).fill(-Infinity);
    // Every token looks at itself, also one that is computed in vain: a sum over nothing would be no number.
    for (let query = 0; query < batch * width; query++) bias[query * scores] = 0;
    for (const { at, start, tokens } of rows) {
      for (const [i, token] of tokens.entries()) {
        const query = at * width + i;
        ids[query] = token;
        positions[query] = start + i;
        bias.fill(0, query * scores, query * scores + 1 + start + i);
      }
    }
    const feeds: Record<string, Tensor> = {
      input_ids: int64(ids, [batch, width]),
      position_ids: int64(positions, [batch, width]),
      [stepInputs.bias]: new Tensor('float32', bias, [batch, 1, width, scores]),
      [stepInputs.keys]: int64([keys], [1]),
      [stepInputs.oneToken]: new Tensor('bool', Uint8Array.of(width === 1 ? 1 : 0), []),
      ...(width === 1 ? nowhere : placesOf(run)),
      [stepInputs.rows]: int64(wanted, [wanted.length]),
    };
    for (const name of Object.keys(feeds)) if (!needs.has(name)) delete feeds[name];
    return feeds;
  };

  /** Where new keys and values go, in a copy of the cache; those computed in vain go anywhere in it. */
  function placesOf({ batch, width, rows }: StepRun): Record<string, Tensor> {
    const starts = new Array<number>(batch).fill(0);
    for (const { at, start } of rows) starts[at] = start;
    const placesIn = (heads: number) => {
      const list = new BigInt64Array(batch * heads * width * 3);
      let next = 0;
      for (const [at, start] of starts.entries())
        for (let head = 0; head < heads; head++)
          for (let i = 0; i < width; i++)
            for (const index of [at, head, start + i]) list[next++] = BigInt(index);
      return new Tensor('int64', list, [batch, heads, width, 3]);
    };
    const positions = starts.flatMap((start) =>
      Array.from({ length: kvHeads * width }, (_, i) => start + (i % width)),
    );
    return {
      [stepInputs.places]: placesIn(kvHeads),
      [stepInputs.valuePlaces]: placesIn(columns),
      [stepInputs.own]: int64(positions, [batch, kvHeads, width, 1]),
    };
  }
}

/** Softmax sums in blocks of so many: a capacity is a multiple of it, so that the sums do not depend on it. */
const BLOCK = 64;

/** The positions that a run reads: with many tokens those up to its last, as the sums are the same with more. */
function keysOf({ width, capacity, rows }: StepRun): number {
  if (width === 1) return capacity;
  const last = Math.max(width, ...rows.map(({ start }) => start + width));
  return Math.min(capacity, Math.ceil(last / BLOCK) * BLOCK);
}

/** The least capacity for so many positions: eight between a power of two and the next. */
export function capacityFor(length: number): number {
  const step = Math.max(BLOCK, 2 ** Math.floor(Math.log2(length)) / 8);
  return Math.ceil(length / step) * step;
}
