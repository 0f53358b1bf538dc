/**
 * A decoder over any graph, as it is, with a cache or without: each run takes one token of one sequence, so that a
 * token's logits depend on nothing but the tokens before it. It is slow, and right for graphs of all kinds.
 */
import type { Tensor } from 'onnxruntime-common';
import { createDecodingState } from '../kv-cache.ts';
import type { DecodingModel } from '../model.ts';
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

interface Held extends Sequence {
  length: number;
  tokens: readonly number[];
  /** For each tensor of the cache `[heads, length, dim]`; undefined when closed. */
  tensors?: readonly Numbers[];
}

/** A decoder over the model's own session. */
export function createSingleDecoder(model: DecodingModel): Decoder {
  const { cache, contextLength, Tensor } = model;
  return {
    bytesPerToken: bytesPerToken(cache),
    open: (): Held => ({ length: 0, tokens: [], tensors: cache.map(({ type }) => allocate(type, 0)) }),

    async step(rows) {
      checkStep(rows, contextLength);
      const before = rows.map(({ sequence }) => ({ ...held(sequence) }));
      try {
        const logits: Float32Array[][] = [];
        for (const { sequence, tokens, logits: wanted } of rows)
          logits.push((await take(held(sequence), tokens)).slice(tokens.length - wanted));
        return logits;
      } catch (error) {
        for (const [i, { sequence }] of rows.entries()) Object.assign(sequence, before[i]);
        throw error;
      }
    },

    truncate(sequence, length) {
      Object.assign(held(sequence), { ...rowsOf(held(sequence), 0, length), length });
    },

    read(sequence, from, to): HeldRows {
      const rows = rowsOf(held(sequence), from, to);
      return { from, count: to - from, bytes: (to - from) * bytesPerToken(cache), ...rows };
    },

    append(sequence, rows) {
      const own = held(sequence);
      checkAppend(own, rows, contextLength);
      const { tensors, tokens } = rows as HeldRows;
      const length = own.length + rows.count;
      own.tensors = cache.map((spec, i) => {
        const { heads, dim } = shapeOf(spec);
        const data = allocate(spec.type, heads * length * dim);
        const to = { data, capacity: length };
        copyRows(spec, { data: own.tensors![i], capacity: own.length, at: 0 }, { ...to, at: 0 }, own.length);
        copyRows(
          spec,
          { data: tensors[i], capacity: rows.count, at: 0 },
          { ...to, at: own.length },
          rows.count,
        );
        return data;
      });
      own.tokens = [...own.tokens, ...tokens];
      own.length = length;
    },

    close(sequence) {
      (sequence as Held).tensors = undefined;
    },
  };

  /** Takes the tokens one by one; gives the logits after each. */
  async function take(own: Held, tokens: readonly number[]): Promise<Float32Array[]> {
    const past = new Map(cache.map((spec, i) => [spec.input, tensorOf(own, i)]));
    const state = createDecodingState(model, { tokens: own.tokens, past });
    const logits: Float32Array[] = [];
    for (const token of tokens) logits.push(await state.step([token]));
    own.tensors = cache.map(({ input }) => state.past.get(input)!.data as Numbers);
    own.tokens = [...own.tokens, ...tokens];
    own.length += tokens.length;
    return logits;
  }

  function tensorOf(own: Held, i: number): Tensor {
    const shape = cache[i].empty.with(2, own.length);
    return cache[i].type === 'float16'
      ? new Tensor('float16', own.tensors![i] as Uint16Array, shape)
      : new Tensor('float32', own.tensors![i] as Float32Array, shape);
  }

  function rowsOf(own: Held, from: number, to: number): Pick<HeldRows, 'tensors' | 'tokens'> {
    checkRange(own, from, to);
    const count = to - from;
    const tensors = cache.map((spec, i) => {
      const { heads, dim } = shapeOf(spec);
      const data = allocate(spec.type, heads * count * dim);
      copyRows(
        spec,
        { data: own.tensors![i], capacity: own.length, at: from },
        { data, capacity: count, at: 0 },
        count,
      );
      return data;
    });
    return { tensors, tokens: own.tokens.slice(from, to) };
  }
}

function held(sequence: Sequence): Held {
  const own = sequence as Held;
  if (!own.tensors) throw new Error('This sequence was closed.');
  return own;
}
