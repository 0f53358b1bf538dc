/** Words as sums of the vectors of their features, from a table into which features are hashed (Bojanowski et al., 2017). */
import type { Graph, Value } from '../graph/graph.ts';
import { cast, mul, sub } from '../graph/operators/elementwise.ts';
import { gather } from '../graph/operators/indexing.ts';
import { reshape } from '../graph/operators/layout.ts';
import { matmul } from '../graph/operators/matmul.ts';
import { reduceSum } from '../graph/operators/reduction.ts';
import { quantizeRows } from '../graph/rewrites/block-quantization.ts';
import type { ParameterSpec } from './parameters.ts';

/**
 * Sums of the vectors of words' features, each times its share: features int64 and shares float32, both
 * `[batch, words, features_per_word]`, to `[batch, words, width]`.
 */
export type LookUp = (features: Value, shares: Value) => Value;

/** Rows of a table, times their shares, summed: `[1, features] · [features, width]` for each word. */
export function weighedSum(rows: Value, shares: Value): Value {
  const [batch, words, features, width] = rows.shape;
  return reshape(matmul(reshape(shares, [batch, words, 1, features]), rows), [batch, words, width]);
}

/**
 * A table kept in 8 bits, each row with a scale.
 * @throws Error naming the parameter, if it is missing
 */
export function hashedTable(
  graph: Graph,
  { name, shape: [rows, width] }: ParameterSpec,
  elements: ReadonlyMap<string, Float32Array>,
): LookUp {
  const vectors = elements.get(name);
  if (!vectors) throw new Error(`The weights lack the parameter "${name}".`);
  const { packed, scales } = quantizeRows(vectors, rows, width, { bits: 8, block: width });
  const codes = graph.constant(name, packed, [rows, width], 'uint8');
  const scale = graph.constant(`${name}_scale`, scales, [rows], 'float32');
  // Σ share·scale·(code - 128): the codes meet one product, and all else is done on a number for each feature.
  return (features, shares) => {
    const scaled = mul(shares, gather(scale, features));
    const sum = weighedSum(cast(gather(codes, features), 'float32'), scaled);
    return sub(sum, mul(reduceSum(scaled, [2]), graph.scalar(128)));
  };
}
