/** Convolution of images, and its gradient. */
import { type Attributes, ints, numbersOf, type Operator, type Value } from '../graph.ts';
import { type Dim, formatShape, type Shape } from '../shape.ts';
import { gather } from './indexing.ts';
import { concat, expandTo, reshape, slice, transpose } from './layout.ts';
import { matmul } from './matmul.ts';
import { reduceSum } from './reduction.ts';

const strideOf = (attributes: Attributes) => numbersOf(attributes, 'strides')[0] ?? 1;

const convOperator: Operator = {
  name: 'Conv',
  domain: '',
  infer([x, weight], attributes) {
    const pads = numbersOf(attributes, 'pads');
    const stride = strideOf(attributes);
    if (
      x!.shape.length !== 4 ||
      weight!.shape.length !== 4 ||
      x!.shape[1] !== weight!.shape[1] ||
      x!.dtype !== weight!.dtype
    ) {
      throw new Error(
        `Conv needs an image [batch, channels, height, width] and a weight [out, channels, kernel, kernel] of one type, got ${x!.dtype}${formatShape(x!.shape)} and ${weight!.dtype}${formatShape(weight!.shape)}.`,
      );
    }
    const side = (axis: number): Dim => {
      const [size, kernel] = [x!.shape[axis], weight!.shape[axis]];
      const around = pads[axis - 2] + pads[axis];
      if (typeof size === 'string') {
        if (stride === 1 && around + 1 === kernel) return size;
        // What a stride leaves of a symbol is a symbol of its own.
        if (stride === kernel && around === 0) return `${size}/${stride}`;
        throw new Error(
          `Conv of the dimension "${size}" has to keep it, or to cut it into pieces of its stride.`,
        );
      }
      const out = Math.floor((size + around - Number(kernel)) / stride) + 1;
      if (out < 1)
        throw new Error(`Conv with a kernel of ${kernel} does not fit into ${formatShape(x!.shape)}.`);
      return out;
    };
    return [{ dtype: x!.dtype, shape: [x!.shape[0], weight!.shape[0], side(2), side(3)] }];
  },
  gradient({ node, inputs, gradients }) {
    const [x, weight] = inputs as [Value, Value];
    const pads = numbersOf(node.attributes, 'pads');
    const [out, channels, kernel] = weight.shape as number[];
    if (strideOf(node.attributes) !== 1) throw new Error('The gradient of Conv is known for a stride of 1.');
    const g = gradients[0]!;
    // Back to the image: the kernel turned by half a turn, from outputs to inputs.
    const places = kernel * kernel;
    const reversed = x.graph.list(Array.from({ length: places }, (_, i) => places - 1 - i));
    const turned = reshape(gather(reshape(weight, [out, channels, places]), reversed, 2), weight.shape);
    const dx = conv(g, transpose(turned, [1, 0, 2, 3]), kernel - 1 - pads[0]);
    return [dx, kernelGradient(padded(x, pads[0]), g, kernel)];
  },
};

/**
 * Each place of the kernel sees the image moved by as much: a product of matrices over all places of the image, which
 * is several times faster than the convolution with a kernel as large as the image that it also is.
 */
function kernelGradient(x: Value, g: Value, kernel: number): Value {
  const [batch, out, height, width] = g.shape;
  const channels = x.shape[1];
  const places = [Number(height) * Number(width)];
  const rows = reshape(g, [batch, out, ...places]);
  const moved = Array.from({ length: kernel * kernel }, (_, place) => {
    const [down, right] = [Math.floor(place / kernel), place % kernel];
    const seen = slice(slice(x, down, down + Number(height), 2), right, right + Number(width), 3);
    const product = matmul(rows, reshape(seen, [batch, channels, ...places]), { transB: true });
    return reshape(reduceSum(product, [0], false), [out, channels, 1]);
  });
  return reshape(concat(moved, 2), [out, channels, kernel, kernel]);
}

/** An image with zeros around it. */
function padded(x: Value, padding: number): Value {
  if (padding === 0) return x;
  const zeros = (shape: Shape) => expandTo(x.graph.scalar(0, x.dtype), shape);
  const [batch, channels, height] = x.shape;
  const beside = zeros([batch, channels, height, padding]);
  const wide = concat([beside, x, beside], 3);
  const above = zeros([batch, channels, padding, wide.shape[3]]);
  return concat([above, wide, above], 2);
}

/**
 * The convolution of `[batch, channels, height, width]` with a square kernel `[out, channels, k, k]`, zeros around.
 * @param padding zeros on each side; by default as many as keep the size
 */
export function conv(
  x: Value,
  weight: Value,
  padding = (Number(weight.shape[2]) - 1) / 2,
  stride = 1,
): Value {
  return x.graph.apply(convOperator, [x, weight], {
    kernel_shape: ints(weight.shape.slice(2) as number[]),
    pads: ints([padding, padding, padding, padding]),
    strides: ints([stride, stride]),
  })[0];
}
