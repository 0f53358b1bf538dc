/** Softmax and root-mean-square normalisation, with their gradients. */
import { type Attributes, float, int, numberOf, type Operator, type Value } from '../graph.ts';
import { formatShape, normalizeAxis, product } from '../shape.ts';
import { add, exp, mul, reciprocal, sqrt, sub } from './elementwise.ts';
import { expandTo, reshape } from './layout.ts';
import { matmul } from './matmul.ts';
import { reduceMean, reduceSum } from './reduction.ts';

const axisOf = (attributes: Attributes, x: Value) =>
  normalizeAxis(numberOf(attributes, 'axis'), x.shape.length, 'Softmax');

const softmaxOperator: Operator = {
  name: 'Softmax',
  domain: '',
  infer([x], attributes) {
    axisOf(attributes, x!);
    return [{ dtype: x!.dtype, shape: x!.shape }];
  },
  gradient({ node, outputs, gradients }) {
    const [p] = outputs;
    const gp = mul(gradients[0]!, p);
    return [sub(gp, mul(p, reduceSum(gp, [axisOf(node.attributes, p)])))];
  },
};

const logSoftmaxOperator: Operator = {
  name: 'LogSoftmax',
  domain: '',
  infer: softmaxOperator.infer,
  gradient({ node, outputs, gradients }) {
    const g = gradients[0]!;
    return [sub(g, mul(exp(outputs[0]), reduceSum(g, [axisOf(node.attributes, g)])))];
  },
};

/** onnxruntime's RMSNorm in one pass. Its second result, 1 / rms, is not what it should be on every provider: unused. */
const rmsNormOperator: Operator = {
  name: 'SimplifiedLayerNormalization',
  domain: '',
  infer([x, weight]) {
    const width = x!.shape.at(-1);
    if (weight!.shape.length !== 1 || weight!.shape[0] !== width || weight!.dtype !== x!.dtype) {
      throw new Error(
        `RMSNorm of ${x!.dtype}${formatShape(x!.shape)} needs a weight ${x!.dtype}[${width}], got ${weight!.dtype}${formatShape(weight!.shape)}.`,
      );
    }
    return [{ dtype: x!.dtype, shape: x!.shape }];
  },
  gradient({ node, inputs, gradients }) {
    const [x, weight] = inputs as Value[];
    const g = gradients[0]!;
    const epsilon = x.graph.scalar(numberOf(node.attributes, 'epsilon'));
    const inverse = reciprocal(sqrt(add(reduceMean(mul(x, x), [-1]), epsilon)));
    const width = x.shape.at(-1) as number;
    const { graph } = x;
    // y = w·x·r with r = (mean(x²) + ε)^-1/2: dx = r·(g·w) - x·r³/width·Σ(g·w·x), dw = Σ_rows g·x·r
    const gx = mul(g, mul(x, inverse));
    const rows = product(x.shape.slice(0, -1));
    // Sums as matrix products: they run on every core, where a reduction over rows does not.
    const dw = matmul(expandTo(graph.scalar(1, x.dtype), [1, rows]), reshape(gx, [rows, width]));
    const dot = matmul(gx, reshape(weight, [width, 1]), { alpha: 1 / width });
    const dx = mul(inverse, sub(mul(g, weight), mul(mul(x, inverse), dot)));
    return [dx, reshape(dw, [width])];
  },
};

/** exp(x) / Σ exp(x) along an axis. */
export function softmax(x: Value, axis = -1): Value {
  return x.graph.apply(softmaxOperator, [x], { axis: int(axis) })[0];
}

/** log(softmax(x)) along an axis, without the loss of precision of taking one after the other. */
export function logSoftmax(x: Value, axis = -1): Value {
  return x.graph.apply(logSoftmaxOperator, [x], { axis: int(axis) })[0];
}

/** Root-mean-square normalisation of the last axis (Zhang & Sennrich, 2019): x / rms(x) · weight. */
export function rmsNorm(x: Value, weight: Value, epsilon: number): Value {
  return x.graph.apply(rmsNormOperator, [x, weight], {
    axis: int(-1),
    epsilon: float(epsilon),
    stash_type: int(1),
  })[0];
}
