/** Operators that look elements up, or add to them, by index, and their gradients. */
import { int, numberOf, type Operator, string, type Value } from '../graph.ts';
import { formatShape, normalizeAxis, sameShape } from '../shape.ts';
import { expandTo, reshape } from './layout.ts';

const gatherOperator: Operator = {
  name: 'Gather',
  domain: '',
  infer([x, indices], attributes) {
    const axis = normalizeAxis(numberOf(attributes, 'axis'), x!.shape.length, 'Gather');
    if (indices!.dtype !== 'int64' && indices!.dtype !== 'int32') {
      throw new Error(`Gather needs integer indices, got ${indices!.dtype}.`);
    }
    return [
      {
        dtype: x!.dtype,
        shape: [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)],
      },
    ];
  },
  gradient({ node, inputs, gradients }) {
    const [x, indices] = inputs as Value[];
    const axis = numberOf(node.attributes, 'axis');
    if (axis !== 0) throw new Error(`The gradient of Gather is known for axis 0, not ${axis}.`);
    // A row looked up twice gets both gradients: add each row of the gradient into a table of zeros.
    const zeros = expandTo(x.graph.scalar(0, x.dtype), x.shape);
    return [scatterAdd(zeros, reshape(indices, [...indices.shape, 1]), gradients[0]!), undefined];
  },
};

const scatterOperator: Operator = {
  name: 'ScatterND',
  domain: '',
  infer([x, indices, updates]) {
    const depth = indices!.shape.at(-1);
    if (typeof depth !== 'number')
      throw new Error('ScatterND needs the last dimension of its indices as a number.');
    const expected = [...indices!.shape.slice(0, -1), ...x!.shape.slice(depth)];
    if (!sameShape(updates!.shape, expected)) {
      throw new Error(
        `ScatterND into ${formatShape(x!.shape)} at indices ${formatShape(indices!.shape)} needs updates ${formatShape(expected)}, got ${formatShape(updates!.shape)}.`,
      );
    }
    return [{ dtype: x!.dtype, shape: x!.shape }];
  },
  gradient({ inputs, gradients }) {
    return [gradients[0]!, undefined, gatherNd(gradients[0]!, inputs[1]!)];
  },
};

const gatherNdOperator: Operator = {
  name: 'GatherND',
  domain: '',
  infer([x, indices]) {
    const depth = indices!.shape.at(-1);
    if (typeof depth !== 'number' || depth > x!.shape.length) {
      throw new Error(
        `GatherND needs indices whose last dimension is a number up to ${x!.shape.length}, got ${formatShape(indices!.shape)}.`,
      );
    }
    return [
      {
        dtype: x!.dtype,
        shape: [...indices!.shape.slice(0, -1), ...x!.shape.slice(depth)],
      },
    ];
  },
  gradient({ inputs, gradients }) {
    const [x, indices] = inputs as Value[];
    return [scatterAdd(expandTo(x.graph.scalar(0, x.dtype), x.shape), indices, gradients[0]!), undefined];
  },
};

const gatherElementsOperator: Operator = {
  name: 'GatherElements',
  domain: '',
  infer([x, indices], attributes) {
    const axis = normalizeAxis(numberOf(attributes, 'axis'), x!.shape.length, 'GatherElements');
    if (
      indices!.shape.length !== x!.shape.length ||
      indices!.shape.some((dim, i) => i !== axis && dim !== x!.shape[i])
    ) {
      throw new Error(
        `GatherElements along axis ${axis} of ${formatShape(x!.shape)} needs indices alike on all other axes, got ${formatShape(indices!.shape)}.`,
      );
    }
    return [{ dtype: x!.dtype, shape: indices!.shape }];
  },
};

/** Rows of x (along axis 0 by default) at integer indices; the indices' shape takes that axis's place. */
export function gather(x: Value, indices: Value, axis = 0): Value {
  return x.graph.apply(gatherOperator, [x, indices], { axis: int(axis) })[0];
}

/** Elements or slices of x at index tuples `[..., depth]`. */
export function gatherNd(x: Value, indices: Value): Value {
  return x.graph.apply(gatherNdOperator, [x, indices])[0];
}

/** For each index, the element of x at that place along the axis and at the index's own place along all others. */
export function gatherElements(x: Value, indices: Value, axis: number): Value {
  return x.graph.apply(gatherElementsOperator, [x, indices], {
    axis: int(axis),
  })[0];
}

/** x with updates added at index tuples `[..., depth]`; repeated places add up. */
export function scatterAdd(x: Value, indices: Value, updates: Value): Value {
  return x.graph.apply(scatterOperator, [x, indices, updates], {
    reduction: string('add'),
  })[0];
}
