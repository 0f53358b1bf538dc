/** Room for the keys and values of sequences of one capacity, side by side, so that a graph reads them as one batch. */
import type { Tensor, TensorConstructor } from 'onnxruntime-common';
import type { CacheSpec } from '../model.ts';
import { type Place, shapeOf } from './cache-rows.ts';

export interface CacheClass {
  /** Positions of each sequence. */
  readonly capacity: number;
  /** Takes a free place, the lowest. */
  take(): number;
  free(slot: number): void;
  /** The positions of a sequence in tensor `i` of the cache, from `at` on. */
  place(i: number, slot: number, at: number): Place;
  /** The tensors of the cache for places `from` up to `to`, by the names of the graph's inputs. No copies. */
  tensors(from: number, to: number): Record<string, Tensor>;
}

export function createCacheClass(
  cache: readonly CacheSpec[],
  capacity: number,
  Tensor: TensorConstructor,
): CacheClass {
  const strides = cache.map((spec) => shapeOf(spec).heads * capacity * shapeOf(spec).dim);
  let data = room(0);
  let slots = 0;
  const used = new Set<number>();
  let known = new Map<string, Record<string, Tensor>>();

  /** All tensors lie in one piece of memory, which is read faster than many. */
  function room(count: number): Float32Array[] {
    const all = new Float32Array(count * strides.reduce((a, b) => a + b, 0));
    let end = 0;
    return strides.map((stride) => {
      end += count * stride;
      return all.subarray(end - count * stride, end);
    });
  }

  /** Makes room for as many sequences; those there stay where they are. */
  function resize(count: number): void {
    const next = room(count);
    for (const [i, old] of data.entries()) next[i].set(old.subarray(0, next[i].length));
    data = next;
    slots = count;
    known = new Map();
  }

  return {
    capacity,
    take() {
      let slot = 0;
      while (used.has(slot)) slot++;
      if (slot === slots) resize(Math.max(1, Math.ceil(slots * 1.5)));
      used.add(slot);
      return slot;
    },
    free(slot) {
      used.delete(slot);
      if (used.size === 0) resize(0);
    },
    place: (i, slot, at) => {
      const begin = slot * strides[i];
      return { data: data[i].subarray(begin, begin + strides[i]), capacity, at };
    },
    tensors(from, to) {
      const key = `${from}:${to}`;
      const found = known.get(key);
      if (found) return found;
      const made: Record<string, Tensor> = {};
      for (const [i, spec] of cache.entries()) {
        const { heads, dim } = shapeOf(spec);
        const part = data[i].subarray(from * strides[i], to * strides[i]);
        made[spec.input] = new Tensor('float32', part, [to - from, heads, capacity, dim]);
      }
      if (known.size >= KNOWN) known.clear();
      known.set(key, made);
      return made;
    },
  };
}

/** Ranges whose tensors are kept ready. */
const KNOWN = 64;
