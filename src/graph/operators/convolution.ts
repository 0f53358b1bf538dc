/** Convolution of images, and its gradient. */
import { type Attributes, ints, numbersOf, type Operator, type Value } from '../graph.ts';
import { type Dim, formatShape } from '../shape.ts';
import { gather } from './indexing.ts';
import { reshape, transpose } from './layout.ts';

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
    // To the kernel: image and gradient convolved over all places, with the batch in the place of the channels.
    const swap = [1, 0, 2, 3];
    const dw = conv(transpose(x, swap), transpose(g, swap), pads[0]);
    return [dx, transpose(dw, swap)];
  },
};

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
