/** Operators that move elements without computing on them, and their gradients. */
import { int, ints, numberOf, numbersOf, type Operator, type Value } from '../graph.ts';
import {
  broadcast,
  type Dim,
  formatShape,
  normalizeAxis,
  product,
  quotient,
  type Shape,
  sameShape,
} from '../shape.ts';
import { add, mul } from './elementwise.ts';
import { sumTo } from './reduction.ts';

// The target shape of Reshape and Expand is data in ONNX; here the builder knows it already and passes it on.
const targets = new WeakMap<Value, Shape>();
const targetOf = (name: string, shape: Value): Shape => {
  const target = targets.get(shape);
  if (target) return target;
  if (shape.data instanceof BigInt64Array) return [...shape.data].map(Number);
  throw new Error(`${name} needs a target shape made by shapeTensor or a constant.`);
};

const shapeOperator: Operator = {
  name: 'Shape',
  domain: '',
  infer([x], attributes) {
    return [
      {
        dtype: 'int64',
        shape: [numberOf(attributes, 'end', x!.shape.length) - numberOf(attributes, 'start')],
      },
    ];
  },
};

const reshapeOperator: Operator = {
  name: 'Reshape',
  domain: '',
  infer([x, shape]) {
    const target = targetOf('Reshape', shape!);
    if (product(target) !== product(x!.shape)) {
      throw new Error(
        `Reshape cannot make ${formatShape(target)} (${product(target)} elements) of ${formatShape(x!.shape)} (${product(x!.shape)} elements).`,
      );
    }
    return [{ dtype: x!.dtype, shape: target }];
  },
  gradient: ({ inputs, gradients }) => [reshape(gradients[0]!, inputs[0]!.shape)],
};

const expandOperator: Operator = {
  name: 'Expand',
  domain: '',
  infer([x, shape]) {
    return [
      {
        dtype: x!.dtype,
        shape: broadcast(x!.shape, targetOf('Expand', shape!), 'Expand'),
      },
    ];
  },
  gradient: ({ inputs, gradients }) => [sumTo(gradients[0]!, inputs[0]!.shape)],
};

const transposeOperator: Operator = {
  name: 'Transpose',
  domain: '',
  infer([x], attributes) {
    const perm = numbersOf(attributes, 'perm');
    if (perm.length !== x!.shape.length || [...perm].sort((a, b) => a - b).some((axis, i) => axis !== i)) {
      throw new Error(
        `Transpose needs a permutation of ${x!.shape.length} axes for ${formatShape(x!.shape)}, got [${perm.join(', ')}].`,
      );
    }
    return [{ dtype: x!.dtype, shape: perm.map((axis) => x!.shape[axis]) }];
  },
  gradient({ node, gradients }) {
    const perm = numbersOf(node.attributes, 'perm');
    return [
      transpose(
        gradients[0]!,
        perm.map((_, axis) => perm.indexOf(axis)),
      ),
    ];
  },
};

const splitOperator: Operator = {
  name: 'Split',
  domain: '',
  infer([x, sizes], attributes) {
    const axis = normalizeAxis(numberOf(attributes, 'axis'), x!.shape.length, 'Split');
    const parts = [...(sizes!.data as BigInt64Array)].map(Number);
    const sum = parts.reduce((a, b) => a + b, 0);
    if (sum !== x!.shape[axis]) {
      throw new Error(
        `Split cannot cut axis ${axis} of ${formatShape(x!.shape)} into [${parts.join(', ')}]: they sum to ${sum}.`,
      );
    }
    return parts.map((part) => ({
      dtype: x!.dtype,
      shape: x!.shape.map((dim, i) => (i === axis ? part : dim)),
    }));
  },
  gradient({ node, outputs, gradients }) {
    const axis = numberOf(node.attributes, 'axis');
    const zero = outputs[0].graph.scalar(0, outputs[0].dtype);
    return [
      concat(
        outputs.map((output, i) => gradients[i] ?? expandTo(zero, output.shape)),
        axis,
      ),
    ];
  },
};

const concatOperator: Operator = {
  name: 'Concat',
  domain: '',
  infer(inputs, attributes) {
    const [first] = inputs as Value[];
    const axis = normalizeAxis(numberOf(attributes, 'axis'), first.shape.length, 'Concat');
    const sizes = (inputs as Value[]).map((x) => {
      const fits =
        x.dtype === first.dtype &&
        x.shape.length === first.shape.length &&
        x.shape.every((dim, i) => i === axis || dim === first.shape[i]);
      if (!fits) {
        throw new Error(
          `Concat along axis ${axis} cannot join ${first.dtype}${formatShape(first.shape)} and ${x.dtype}${formatShape(x.shape)}: all else must be equal.`,
        );
      }
      return x.shape[axis];
    });
    const joined: Dim = sizes.every((dim) => typeof dim === 'number')
      ? (sizes as number[]).reduce((a, b) => a + b, 0)
      : sizes.filter((dim) => dim !== 0).join('+');
    return [
      {
        dtype: first.dtype,
        shape: first.shape.map((dim, i) => (i === axis ? joined : dim)),
      },
    ];
  },
  gradient({ node, inputs, gradients }) {
    const axis = numberOf(node.attributes, 'axis');
    const sizes = (inputs as Value[]).map((x) => x.shape.at(axis)!);
    if (sizes.some((size) => typeof size !== 'number')) {
      throw new Error('The gradient of Concat needs parts whose size along the axis is a number.');
    }
    return split(gradients[0]!, sizes as number[], axis);
  },
};

const sliceOperator: Operator = {
  name: 'Slice',
  domain: '',
  infer([x, starts, ends, axes]) {
    const [start, end, axis] = [starts, ends, axes].map((list) => Number((list!.data as BigInt64Array)[0]));
    const size = x!.shape[axis];
    if (start < 0 || end < start || (typeof size === 'number' && end > size)) {
      throw new Error(`Slice cannot take ${start} to ${end} of axis ${axis} of ${formatShape(x!.shape)}.`);
    }
    return [
      {
        dtype: x!.dtype,
        shape: x!.shape.map((dim, i) => (i === axis ? end - start : dim)),
      },
    ];
  },
  gradient({ inputs, gradients }) {
    const [x, starts, ends, axes] = inputs as Value[];
    const [start, end, axis] = [starts, ends, axes].map((list) => Number((list.data as BigInt64Array)[0]));
    const size = x.shape[axis];
    if (typeof size !== 'number')
      throw new Error('The gradient of Slice needs the axis to have a number as its size.');
    const zeros = (length: number) =>
      expandTo(
        x.graph.scalar(0, x.dtype),
        x.shape.map((dim, i) => (i === axis ? length : dim)),
      );
    const around = [start > 0 && zeros(start), gradients[0]!, end < size && zeros(size - end)];
    return [
      concat(
        around.filter((part) => part !== false),
        axis,
      ),
      undefined,
      undefined,
      undefined,
    ];
  },
};

const rangeOperator: Operator = {
  name: 'Range',
  domain: '',
  infer: ([, limit]) => [{ dtype: 'int64', shape: targetOf('Range', limit!) }],
};

/** The int64 tensor that holds a shape at run time; its symbols are read off the graph's inputs. */
export function shapeTensor(like: Value, shape: Shape): Value {
  const { graph } = like;
  const tensor = shape.every((dim) => typeof dim === 'number')
    ? graph.list(shape as number[])
    : concat(
        shape.map((dim) => (typeof dim === 'number' ? graph.list([dim]) : dimensionSize(like, dim))),
        0,
      );
  targets.set(tensor, shape);
  return tensor;
}

/** A symbolic dimension's size at run time, int64 of shape [1]. */
export function dimensionSize({ graph }: Value, dim: Dim): Value {
  return graph.dimension(dim, (symbols, coefficient) =>
    symbols
      .map((symbol) => {
        const { input, axis } = graph.source(symbol);
        return graph.apply(shapeOperator, [input], {
          start: int(axis),
          end: int(axis + 1),
        })[0];
      })
      .reduce((size, factor) => mul(size, factor), graph.list([coefficient])),
  );
}

/**
 * The same elements in another shape.
 * @throws Error if the number of elements differs.
 */
export function reshape(x: Value, shape: Shape): Value {
  if (sameShape(x.shape, shape)) return x;
  // One symbolic dimension needs no computing at run time: Reshape's -1 stands for "what is left".
  const symbolic = shape.filter((dim) => typeof dim === 'string');
  const numbers = product(shape.filter((dim) => typeof dim === 'number'));
  if (symbolic.length === 1 && quotient(product(x.shape), numbers) === symbolic[0]) {
    const sizes = BigInt64Array.from(shape, (dim) => BigInt(typeof dim === 'string' ? -1 : dim));
    const tensor = x.graph.constant('shape', sizes, [sizes.length], 'int64');
    targets.set(tensor, shape);
    return x.graph.apply(reshapeOperator, [x, tensor])[0];
  }
  return x.graph.apply(reshapeOperator, [x, shapeTensor(x, shape)])[0];
}

const identityOperator: Operator = {
  name: 'Identity',
  domain: '',
  infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }],
  gradient: ({ gradients }) => [gradients[0]],
};

/** The value under a name of its own. */
export const identity = (x: Value): Value => x.graph.apply(identityOperator, [x])[0];

/** Stretches dimensions of 1 (and adds leading ones) until the shape is `shape`. */
export function expandTo(x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : x.graph.apply(expandOperator, [x, shapeTensor(x, shape)])[0];
}

/** The axes in another order: axis i of the result is axis `perm[i]` of x. */
export function transpose(x: Value, perm: readonly number[]): Value {
  return x.graph.apply(transposeOperator, [x], { perm: ints(perm) })[0];
}

/** Cuts an axis into parts of the given sizes. */
export function split(x: Value, sizes: readonly number[], axis = -1): Value[] {
  if (sizes.length === 1 && x.shape.at(axis) === sizes[0]) return [x];
  return x.graph.apply(splitOperator, [x, x.graph.list(sizes)], {
    axis: int(axis),
  });
}

/** The places from `start` up to, not with, `end` of an axis. */
export function slice(x: Value, start: number, end: number, axis: number): Value {
  const { graph } = x;
  const at = normalizeAxis(axis, x.shape.length, 'Slice');
  return graph.apply(sliceOperator, [x, graph.list([start]), graph.list([end]), graph.list([at])])[0];
}

/** Joins tensors along an axis. */
export function concat(parts: readonly Value[], axis = -1): Value {
  return parts.length === 1 ? parts[0] : parts[0].graph.apply(concatOperator, parts, { axis: int(axis) })[0];
}

/** 0, 1, … up to a dimension's size: int64 `[dim]`. `like` is any value of the graph. */
export function range(like: Value, dim: Dim): Value {
  const { graph } = like;
  const limit = reshape(typeof dim === 'number' ? graph.list([dim]) : dimensionSize(like, dim), []);
  targets.set(limit, [dim]);
  return graph.apply(rangeOperator, [graph.scalar(0, 'int64'), limit, graph.scalar(1, 'int64')])[0];
}

/** The sum of values of one shape. */
export const sum = (values: readonly Value[]): Value => values.reduce((a, b) => add(a, b));
