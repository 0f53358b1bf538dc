/** Matrix products and their gradients. */
import { type Attributes, float, int, numberOf, type Operator, type Value } from '../graph.ts';
import { broadcast, type Dim, formatShape, product, type Shape } from '../shape.ts';
import { reshape } from './layout.ts';
import { sumTo } from './reduction.ts';

const flag = (attributes: Attributes, name: string) => numberOf(attributes, name) === 1;

function swapLast(shape: Shape): Dim[] {
  return [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!];
}

/**
 * onnxruntime's MatMul with transposition of either factor's last two axes and a factor `alpha`: no transposed
 * copy is made, and scaling costs nothing.
 */
const fusedMatMulOperator: Operator = {
  name: 'FusedMatMul',
  domain: 'com.microsoft',
  infer([a, b], attributes) {
    if (a!.dtype !== b!.dtype || a!.shape.length < 2 || b!.shape.length < 2) {
      throw new Error(
        `A matrix product needs two tensors of one type with two axes or more, got ${a!.dtype}${formatShape(a!.shape)} and ${b!.dtype}${formatShape(b!.shape)}.`,
      );
    }
    const x = flag(attributes, 'transA') ? swapLast(a!.shape) : a!.shape;
    const y = flag(attributes, 'transB') ? swapLast(b!.shape) : b!.shape;
    if (x.at(-1) !== y.at(-2)) {
      throw new Error(
        `A matrix product of ${formatShape(x)} and ${formatShape(y)} does not fit: ${x.at(-1)} columns meet ${y.at(-2)} rows.`,
      );
    }
    const batch = broadcast(x.slice(0, -2), y.slice(0, -2), 'A matrix product');
    return [{ dtype: a!.dtype, shape: [...batch, x.at(-2)!, y.at(-1)!] }];
  },
  gradient({ node, inputs, gradients }) {
    const [a, b] = inputs as [Value, Value];
    const g = gradients[0]!;
    const alpha = numberOf(node.attributes, 'alpha', 1);
    const transA = flag(node.attributes, 'transA');
    const transB = flag(node.attributes, 'transB');
    // Y = A'B'·alpha, where ' marks a possible transposition: dA' = g·B'^T, dB' = A'^T·g, each turned back.
    const da = transA
      ? matmul(b, g, { transA: transB, transB: true, alpha })
      : matmul(g, b, { transB: !transB, alpha });
    return [sumTo(da, a.shape), weightGradient(a, b, g, { alpha, transA, transB })];
  },
};

function weightGradient(
  a: Value,
  b: Value,
  g: Value,
  { alpha, transA, transB }: { alpha: number; transA: boolean; transB: boolean },
): Value {
  // A matrix shared by a batch of rows: one product over all rows instead of one a batch and a sum of them.
  if (b.shape.length === 2 && a.shape.length > 2 && !transA) {
    const rows = (x: Value) => reshape(x, [product(x.shape.slice(0, -1)), x.shape.at(-1)!]);
    return transB
      ? matmul(rows(g), rows(a), { transA: true, alpha })
      : matmul(rows(a), rows(g), { transA: true, alpha });
  }
  const db = transB
    ? matmul(g, a, { transA: true, transB: transA, alpha })
    : matmul(a, g, { transA: !transA, alpha });
  return sumTo(db, b.shape);
}

/**
 * The matrix product of the last two axes, times `alpha`; leading axes are broadcast.
 * `[..., m, k] · [..., k, n] → [..., m, n]`; `transA` and `transB` read a factor with its last two axes swapped.
 */
export function matmul(
  a: Value,
  b: Value,
  { transA = false, transB = false, alpha = 1 }: { transA?: boolean; transB?: boolean; alpha?: number } = {},
): Value {
  const attributes = {
    transA: int(transA ? 1 : 0),
    transB: int(transB ? 1 : 0),
    alpha: float(alpha),
  };
  return a.graph.apply(fusedMatMulOperator, [a, b], attributes)[0];
}
