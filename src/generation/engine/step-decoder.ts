/** A decoder over a graph of steps: sequences of about one length are computed as one batch, over a cache held here. */
import { floats } from '../graph-io.ts';
import type { DecodingModel } from '../model.ts';
import { capacityFor, stepFeeds } from '../step-feeds.ts';
import { type CacheClass, createCacheClass } from './cache-class.ts';
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

/** Tokens of a sequence that are computed at once at most: it bounds the scores that are held, and those in vain. */
const CHUNK = 128;

interface Held extends Sequence, Placed {
  length: number;
  open: boolean;
}

/** A decoder over a session of a graph that `toStepGraph` made. */
export function createStepDecoder(model: DecodingModel): Decoder {
  const { session, Tensor, cache, contextLength } = model;
  const classes = new Map<number, CacheClass>();
  const feeds = stepFeeds(model);
  const rowsOutputs = cache.map(({ output }) => output);

  const roomFor = (length: number): CacheClass => {
    const capacity = capacityFor(length);
    const room = classes.get(capacity) ?? createCacheClass(cache, capacity, Tensor);
    classes.set(capacity, room);
    return room;
  };

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

  async function run({ room, from, to, width, rows }: Batch, logits: Float32Array[][]): Promise<void> {
    const wanted = rows.flatMap(({ row, slot, wanted }) =>
      wanted.map((at) => ({ row, at: (slot - from) * width + at })),
    );
    const inputs = feeds({
      ...{ batch: to - from, width, capacity: room.capacity },
      rows: rows.map(({ slot, start, tokens }) => ({ at: slot - from, start, tokens })),
      wanted: wanted.length > 0 ? wanted.map(({ at }) => at) : [0],
    });
    const results = await session.run(
      { ...room.tensors(from, to), ...inputs },
      wanted.length > 0 ? ['logits', ...rowsOutputs] : rowsOutputs,
    );
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
    for (const [i, { row }] of wanted.entries())
      logits[row].push(floats(results.logits, i * vocab, (i + 1) * vocab));
  }
}

function held(sequence: Sequence): Held {
  const own = sequence as Held;
  if (!own.open) throw new Error('This sequence was closed.');
  return own;
}
