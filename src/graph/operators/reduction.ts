/** Operators that reduce axes to one number each, and their gradients. */
import { type Attributes, int, numberOf, type Operator, type Value } from '../graph.ts';
import { formatShape, normalizeAxis, type Shape, sameShape } from '../shape.ts';
import { cast, div, equal, mul } from './elementwise.ts';
import { expandTo, reshape } from './layout.ts';

/** The axes a reduction's second input lists, which has to be a constant for the shape to be known. */
function constantAxes(name: string, x: Value, axes: Value | undefined): number[] {
  if (!axes) return x.shape.map((_, axis) => axis);
  if (!(axes.data instanceof BigInt64Array)) throw new Error(`${name} needs its axes as an int64 constant.`);
  return [...axes.data].map((axis) => normalizeAxis(Number(axis), x.shape.length, name));
}

const keeps = (attributes: Attributes) => numberOf(attributes, 'keepdims', 1) !== 0;

function reduced(shape: Shape, axes: readonly number[], keepdims: boolean): Shape {
  return keepdims
    ? shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
    : shape.filter((_, axis) => !axes.includes(axis));
}

function reduction(
  name: string,
  rule?: (context: { gradient: Value; input: Value; output: Value; axes: number[] }) => Value,
): Operator {
  return {
    name,
    domain: '',
    infer([x, axes], attributes) {
      return [
        {
          dtype: x!.dtype,
          shape: reduced(x!.shape, constantAxes(name, x!, axes), keeps(attributes)),
        },
      ];
    },
    gradient:
      rule &&
      (({ node, inputs, outputs, gradients }) => {
        const input = inputs[0]!;
        const axes = constantAxes(name, input, inputs[1]);
        const kept = reduced(input.shape, axes, true);
        const restore = (value: Value) => (keeps(node.attributes) ? value : reshape(value, kept));
        return [
          rule({
            gradient: restore(gradients[0]!),
            input,
            output: restore(outputs[0]),
            axes,
          }),
        ];
      }),
  };
}

const sumOperator = reduction('ReduceSum', ({ gradient, input }) => expandTo(gradient, input.shape));
const meanOperator = reduction('ReduceMean', ({ gradient, input, axes }) =>
  expandTo(div(gradient, count(input, axes)), input.shape),
);
// Where several elements are the largest, each gets an equal share, as finite differences on both sides do.
const maxOperator = reduction('ReduceMax', ({ gradient, input, output, axes }) => {
  const hit = cast(equal(input, output), input.dtype);
  return mul(hit, div(gradient, reduceSum(hit, axes)));
});

/** How many elements a reduction over `axes` puts together, as a float scalar. */
function count(input: Value, axes: readonly number[]): Value {
  const dims = axes.map((axis) => input.shape[axis]);
  if (dims.every((dim) => typeof dim === 'number')) {
    return input.graph.scalar(
      (dims as number[]).reduce((a, b) => a * b, 1),
      input.dtype,
    );
  }
  const ones = expandTo(input.graph.scalar(1, input.dtype), dims);
  return reduceSum(ones, undefined, false);
}

const reduce =
  (operator: Operator) =>
  (x: Value, axes?: readonly number[], keepdims = true): Value =>
    x.graph.apply(operator, [x, axes && x.graph.list(axes)], {
      keepdims: int(keepdims ? 1 : 0),
    })[0];

/** The sum over `axes` (all by default); a reduced axis stays as 1 unless `keepdims` is false. */
export const reduceSum = reduce(sumOperator);
/** The mean over `axes` (all by default). */
export const reduceMean = reduce(meanOperator);
/** The largest element over `axes` (all by default). */
export const reduceMax = reduce(maxOperator);

/**
 * Sums a tensor down to a shape that was broadcast to it: the gradient of broadcasting.
 * @throws Error if `shape` does not broadcast to the tensor's.
 */
export function sumTo(x: Value, shape: Shape): Value {
  if (sameShape(x.shape, shape)) return x;
  const lead = x.shape.length - shape.length;
  if (lead < 0)
    throw new Error(`A tensor of shape ${formatShape(x.shape)} does not sum to ${formatShape(shape)}.`);
  const leading = x.shape.slice(0, lead).map((_, axis) => axis);
  const dropped = leading.length > 0 ? reduceSum(x, leading, false) : x;
  const stretched = shape.flatMap((dim, axis) => (dim === 1 && dropped.shape[axis] !== 1 ? [axis] : []));
  return stretched.length > 0 ? reduceSum(dropped, stretched) : dropped;
}
