/** Room for the keys and values of sequences of one capacity, side by side, so that a graph reads them as one batch. */
import type { Tensor, TensorConstructor } from 'onnxruntime-common';
import type { CacheSpec } from '../model.ts';
import { allocate, copyRows, type Numbers, type Place, shapeOf } from './cache-rows.ts';

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
  let data: Numbers[] = cache.map(({ type }) => allocate(type, 0));
  let slots = 0;
  const used = new Set<number>();
  let known = new Map<string, Record<string, Tensor>>();

  /** Room for as many sequences; those there stay where they are. */
  function resize(count: number): void {
    data = data.map((old, i) => {
      const next = allocate(cache[i].type, count * strides[i]);
      next.set(old.subarray(0, Math.min(old.length, next.length)));
      return next;
    });
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
      // An empty class gives its memory back, but for one place.
      if (used.size === 0 && slots > 1) resize(1);
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
        made[spec.input] = numbersTensor(Tensor, spec.type, part, [to - from, heads, capacity, dim]);
      }
      if (known.size >= KNOWN) known.clear();
      known.set(key, made);
      return made;
    },
  };
}

/** Ranges whose tensors are kept ready. */
const KNOWN = 64;

export function numbersTensor(
  Tensor: TensorConstructor,
  type: CacheSpec['type'],
  data: Numbers,
  shape: number[],
): Tensor {
  return type === 'float16'
    ? new Tensor('float16', data as Uint16Array, shape)
    : new Tensor('float32', data as Float32Array, shape);
}

export { copyRows };
