/** Attention over hidden states whose heads stand side by side. */
import type { Value } from '../graph/graph.ts';
import { reshape, transpose } from '../graph/operators/layout.ts';
import { attention } from '../graph/operators/transformer.ts';

/**
 * Attention with several heads, without order or causality.
 * q `[batch, queries, heads·dim]`, k and v `[batch, keys, heads·dim]`; the mask broadcasts to
 * `[batch, heads, queries, keys]`. Returns q's shape.
 */
export function attendHeads(q: Value, k: Value, v: Value, heads: number, mask?: Value): Value {
  const apart = (x: Value) => {
    const [batch, length, width] = x.shape;
    return transpose(reshape(x, [batch, length, heads, Number(width) / heads]), [0, 2, 1, 3]);
  };
  return reshape(transpose(attention(apart(q), apart(k), apart(v), mask), [0, 2, 1, 3]), q.shape);
}
