/** A decoder over a graph of steps: sequences of about one length are computed as one batch, over a cache held here. */
import type { Tensor } from 'onnxruntime-common';
import { fromFloat16, toFloat16 } from '../../graph/rewrites/float16.ts';
import { newRows, stepInputs } from '../../graph/rewrites/step-graph.ts';
import type { DecodingModel } from '../model.ts';
import { type CacheClass, createCacheClass, numbersTensor } from './cache-class.ts';
import {
  allocate,
  bytesPerToken,
  checkAppend,
  checkRange,
  checkStep,
  copyRows,
  type HeldRows,
  type Numbers,
  shapeOf,
} from './cache-rows.ts';
import type { Decoder, Sequence } from './decoder.ts';
import { type Batch, batches, type Placed } from './step-batches.ts';

/** The smallest capacity; others are doubles of it. Softmax sums in blocks of 64: a capacity is a multiple of that. */
const SMALLEST = 256;
/** Tokens of a sequence that are computed at once at most: it bounds the scores that are held. */
const CHUNK = 512;

interface Held extends Sequence, Placed {
  length: number;
  open: boolean;
}

/** A decoder over a session of a graph that `toStepGraph` made. */
export function createStepDecoder({ session, Tensor, cache, contextLength }: DecodingModel): Decoder {
  const classes = new Map<number, CacheClass>();
  const needs = new Set(session.inputNames);
  const rowsOutputs = cache.map(({ input }) => newRows(input));
  const fetches = ['logits', ...rowsOutputs];
  const { type } = cache[0];
  const { heads: kvHeads } = shapeOf(cache[0]);

  const roomFor = (length: number): CacheClass => {
    let capacity = SMALLEST;
    while (capacity < length) capacity *= 2;
    const room = classes.get(capacity) ?? createCacheClass(cache, capacity, Tensor);
    classes.set(capacity, room);
    return room;
  };
  const int64 = (values: readonly number[], shape: number[]) =>
    new Tensor('int64', BigInt64Array.from(values, BigInt), shape);

  return {
    bytesPerToken: bytesPerToken(cache),

    open(): Held {
      const room = roomFor(1);
      return { length: 0, room, slot: room.take(), open: true };
    },

    async step(rows) {
      checkStep(rows, contextLength);
      const own = rows.map(({ sequence }) => held(sequence));
      for (const [i, sequence] of own.entries()) reserve(sequence, sequence.length + rows[i].tokens.length);
      const logits: Float32Array[][] = rows.map(() => []);
      for (const batch of batches(own, rows, CHUNK)) await run(batch, logits);
      // Only now do the sequences have what was written behind their ends.
      for (const [i, sequence] of own.entries()) sequence.length += rows[i].tokens.length;
      return logits;
    },

    truncate(sequence, length) {
      checkRange(held(sequence), 0, length);
      held(sequence).length = length;
    },

    read(sequence, from, to): HeldRows {
      const own = held(sequence);
      checkRange(own, from, to);
      const count = to - from;
      const tensors = cache.map((spec, i) => {
        const { heads, dim } = shapeOf(spec);
        const data = allocate(spec.type, heads * count * dim);
        copyRows(spec, own.room.place(i, own.slot, from), { data, capacity: count, at: 0 }, count);
        return data;
      });
      return { from, count, bytes: count * bytesPerToken(cache), tensors, tokens: [] };
    },

    append(sequence, rows) {
      const own = held(sequence);
      checkAppend(own, rows, contextLength);
      reserve(own, rows.from + rows.count);
      for (const [i, spec] of cache.entries()) {
        const data = (rows as HeldRows).tensors[i];
        copyRows(
          spec,
          { data, capacity: rows.count, at: 0 },
          own.room.place(i, own.slot, rows.from),
          rows.count,
        );
      }
      own.length += rows.count;
    },

    close(sequence) {
      const own = sequence as Held;
      if (own.open) own.room.free(own.slot);
      own.open = false;
    },
  };

  /** Moves a sequence to where so many positions fit. */
  function reserve(sequence: Held, length: number): void {
    const { room, slot } = sequence;
    if (length <= room.capacity) return;
    const next = roomFor(length);
    const place = next.take();
    for (const [i, spec] of cache.entries())
      copyRows(spec, room.place(i, slot, 0), next.place(i, place, 0), sequence.length);
    room.free(slot);
    Object.assign(sequence, { room: next, slot: place });
  }

  async function run(batch: Batch, logits: Float32Array[][]): Promise<void> {
    const { room, from, to, width, rows } = batch;
    const wanted = rows.flatMap(({ row, slot, wanted }) =>
      wanted.map((at) => ({ row, at: (slot - from) * width + at })),
    );
    const feeds: Record<string, Tensor> = {
      ...room.tensors(from, to),
      ...positionFeeds(batch),
      // A graph computes at least one row of logits.
      [stepInputs.rows]: int64(wanted.length > 0 ? wanted.map(({ at }) => at) : [0], [wanted.length || 1]),
      [stepInputs.parts]: int64([1, room.capacity], [2]),
      [stepInputs.oneToken]: new Tensor('bool', Uint8Array.of(width === 1 ? 1 : 0), []),
    };
    for (const name of Object.keys(feeds)) if (!needs.has(name)) delete feeds[name];
    const results = await session.run(feeds, wanted.length > 0 ? fetches : rowsOutputs);
    for (const [i, spec] of cache.entries()) {
      const data = results[rowsOutputs[i]].data as Numbers;
      const { heads, dim } = shapeOf(spec);
      for (const { slot, start, tokens } of rows) {
        const begin = (slot - from) * heads * width * dim;
        const own = data.subarray(begin, begin + heads * width * dim);
        copyRows(spec, { data: own, capacity: width, at: 0 }, room.place(i, slot, start), tokens.length);
      }
    }
    if (wanted.length === 0) return;
    const vocab = results.logits.dims.at(-1)!;
    for (const [i, { row }] of wanted.entries()) {
      const numbers = (results.logits.data as Numbers).subarray(i * vocab, (i + 1) * vocab);
      logits[row].push(numbers instanceof Float32Array ? numbers : fromFloat16(numbers));
    }
  }

  /** Tokens, their places, and what each may look at. Places between that are not in the step look at themselves. */
  function positionFeeds(batch: Batch): Record<string, Tensor> {
    const { room, from, to, width, rows } = batch;
    const count = to - from;
    const keys = 1 + room.capacity;
    const ids = new Array<number>(count * width).fill(0);
    const positions = new Array<number>(count * width).fill(0);
    const bias = new Float32Array(count * width * keys).fill(-Infinity);
    for (let query = 0; query < count * width; query++) bias[query * keys] = 0;
    for (const { slot, start, tokens } of rows) {
      const at = slot - from;
      for (const [i, token] of tokens.entries()) {
        const query = at * width + i;
        ids[query] = token;
        positions[query] = start + i;
        bias.fill(0, query * keys, query * keys + 1 + start + i);
      }
    }
    const biasShape = [count, 1, width, keys];
    return {
      input_ids: int64(ids, [count, width]),
      position_ids: int64(positions, [count, width]),
      [stepInputs.bias]: numbersTensor(Tensor, type, type === 'float16' ? toFloat16(bias) : bias, biasShape),
      [stepInputs.places]: width === 1 ? int64([], [0, 0, 0, 3]) : places(batch),
    };
  }

  /** Where new keys and values go; those of places between go somewhere in a copy that is thrown away. */
  function places({ from, to, width, rows }: Batch): Tensor {
    const starts = new Array<number>(to - from).fill(0);
    for (const { slot, start } of rows) starts[slot - from] = start;
    const list = starts.flatMap((start, at) =>
      Array.from({ length: kvHeads }, (_, head) =>
        Array.from({ length: width }, (_, i) => [at, head, start + i]).flat(),
      ).flat(),
    );
    return int64(list, [to - from, kvHeads, width, 3]);
  }
}

function held(sequence: Sequence): Held {
  const own = sequence as Held;
  if (!own.open) throw new Error('This sequence was closed.');
  return own;
}
