/** Keys and values as rows of positions in typed arrays, `[heads, capacity, dim]`, and what may be asked of them. */
import type { CacheSpec } from '../model.ts';
import type { CacheRows, Sequence, StepRow } from './decoder.ts';

/** The numbers of a float32 or a float16 tensor. */
export type Numbers = Float32Array | Uint16Array;

/** Rows that were read: for each tensor of the cache `[heads, count, dim]`, and the tokens that they stand for. */
export interface HeldRows extends CacheRows {
  readonly tensors: readonly Numbers[];
  readonly tokens: readonly number[];
}

/** Positions in an array of `[heads, capacity, dim]`. */
export interface Place {
  data: Numbers;
  capacity: number;
  /** The first position. */
  at: number;
}

export const allocate = (type: CacheSpec['type'], size: number): Numbers =>
  type === 'float16' ? new Uint16Array(size) : new Float32Array(size);

/** Heads and numbers a head of one tensor of the cache. */
export const shapeOf = ({ empty }: CacheSpec): { heads: number; dim: number } => ({
  heads: empty[1],
  dim: empty[3],
});

/** Bytes of the keys and values of one token. */
export function bytesPerToken(cache: readonly CacheSpec[]): number {
  return cache.reduce((sum, { type, empty }) => sum + empty[1] * empty[3] * (type === 'float16' ? 2 : 4), 0);
}

/** Copies `count` positions of every head. */
export function copyRows(spec: CacheSpec, from: Place, to: Place, count: number): void {
  const { heads, dim } = shapeOf(spec);
  for (let head = 0; head < heads; head++) {
    const begin = (head * from.capacity + from.at) * dim;
    to.data.set(from.data.subarray(begin, begin + count * dim), (head * to.capacity + to.at) * dim);
  }
}

/** @throws Error where the rows of a step are not what a step can do */
export function checkStep(rows: readonly StepRow[], contextLength: number): void {
  const seen = new Set<Sequence>();
  for (const { sequence, tokens, logits } of rows) {
    if (seen.has(sequence)) throw new Error('A sequence stands in two rows of a step; it may stand in one.');
    seen.add(sequence);
    if (tokens.length === 0) throw new Error('A row of a step has no tokens; it needs one or more.');
    if (!(Number.isInteger(logits) && logits >= 0 && logits <= tokens.length))
      throw new Error(`A row of ${tokens.length} tokens asks for the logits of ${logits} of them.`);
    if (sequence.length + tokens.length > contextLength)
      throw new Error(
        `A sequence of ${sequence.length} tokens cannot take ${tokens.length} more: the model holds ${contextLength}.`,
      );
  }
}

/** @throws Error unless positions `from` up to `to` are ones that the sequence has */
export function checkRange(sequence: Sequence, from: number, to: number): void {
  const right = Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from <= to;
  if (!right || to > sequence.length)
    throw new Error(`A sequence of ${sequence.length} tokens has no positions ${from} up to ${to}.`);
}

/** @throws Error unless the rows begin where the sequence ends, and fit */
export function checkAppend(sequence: Sequence, rows: CacheRows, contextLength: number): void {
  if (rows.from !== sequence.length)
    throw new Error(`Rows from position ${rows.from} cannot follow a sequence of ${sequence.length} tokens.`);
  if (rows.from + rows.count > contextLength)
    throw new Error(
      `Rows up to position ${rows.from + rows.count} do not fit: the model holds ${contextLength}.`,
    );
}
