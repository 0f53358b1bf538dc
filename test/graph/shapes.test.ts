import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Graph, type Value } from '../../src/graph/graph.ts';
import { add, exp, where } from '../../src/graph/operators/elementwise.ts';
import * as indexing from '../../src/graph/operators/indexing.ts';
import * as layout from '../../src/graph/operators/layout.ts';
import { matmul } from '../../src/graph/operators/matmul.ts';
import { rmsNorm, softmax } from '../../src/graph/operators/normalization.ts';
import { reduceSum } from '../../src/graph/operators/reduction.ts';
import { causalAttention, linearCrossEntropy } from '../../src/graph/operators/transformer.ts';
import { broadcast, type Dim, normalizeAxis, product, quotient } from '../../src/graph/shape.ts';
import { input, runGraph } from '../fixtures/run-graph.ts';

const dim = fc.oneof(fc.integer({ min: 1, max: 6 }), fc.constantFrom('batch', 'seq', 'total'));

describe('dimensions', () => {
  it('multiply in any order to one spelling', () => {
    fc.assert(
      fc.property(fc.array(dim, { maxLength: 5 }), fc.array(dim, { maxLength: 5 }), (a, b) => {
        expect(product([...a, ...b])).toBe(product([product(b), product(a)]));
        expect(product([...a].reverse())).toBe(product(a));
      }),
    );
  });

  it('divide back what was multiplied', () => {
    fc.assert(
      fc.property(fc.array(dim, { maxLength: 4 }), fc.array(dim, { maxLength: 4 }), (a, b) => {
        expect(quotient(product([...a, ...b]), product(b))).toBe(product(a));
      }),
    );
    expect(quotient('batch', 2)).toBeUndefined();
    expect(quotient(6, 'batch')).toBeUndefined();
  });

  it('broadcast as NumPy does', () => {
    expect(broadcast(['batch', 1, 3], [4, 1], 'x')).toEqual(['batch', 4, 3]);
    fc.assert(
      fc.property(fc.array(dim, { maxLength: 4 }), (a) => {
        expect(broadcast(a, a, 'x')).toEqual(a);
        expect(broadcast(a, [], 'x')).toEqual(a);
        expect(
          broadcast(
            a,
            a.map(() => 1 as Dim),
            'x',
          ),
        ).toEqual(a);
      }),
    );
  });

  it('know their axes from both ends', () => {
    expect([normalizeAxis(-1, 3, 'x'), normalizeAxis(0, 3, 'x')]).toEqual([2, 0]);
    expect(() => normalizeAxis(3, 3, 'Softmax')).toThrow(
      'Softmax has no axis 3: the tensor has 3 axes, so -3 to 2.',
    );
  });
});

describe('a mismatch is a sentence', () => {
  const graph = new Graph();
  let count = 0;
  const of = (...shape: Dim[]) => graph.input(`v${count++}`, 'float32', shape);
  const int = (...shape: Dim[]) => graph.input(`v${count++}`, 'int64', shape);
  it.each<[string, () => unknown, RegExp]>([
    ['add', () => add(of(2, 3), of(2, 4)), /Add cannot combine shapes \[2, 3\] and \[2, 4\]/],
    ['add of symbols', () => add(of('batch'), of('seq')), /batch meets seq/],
    ['add of types', () => add(of(2), int(2)), /one type, got float32 and int64/],
    ['exp of integers', () => exp(int(2)), /Exp needs a floating-point tensor, got int64\[2\]/],
    ['where', () => where(of(2), of(2), of(2)), /bool condition/],
    ['matmul', () => matmul(of(2, 3), of(4, 5)), /3 columns meet 4 rows/],
    ['matmul transposed', () => matmul(of(2, 3), of(3, 5), { transB: true }), /does not fit/],
    ['matmul of a vector', () => matmul(of(3), of(3, 5)), /two axes or more/],
    ['matmul of batches', () => matmul(of(2, 3, 4), of(3, 4, 5)), /A matrix product cannot combine/],
    [
      'reshape',
      () => layout.reshape(of(2, 3), [4]),
      /cannot make \[4\] \(4 elements\) of \[2, 3\] \(6 elements\)/,
    ],
    ['reshape of symbols', () => layout.reshape(of('batch', 6), ['seq', 6]), /cannot make \[seq, 6\]/],
    ['transpose', () => layout.transpose(of(2, 3), [0, 0]), /permutation of 2 axes/],
    ['split', () => layout.split(of(2, 5), [2, 2], 1), /they sum to 4/],
    ['concat', () => layout.concat([of(2, 3), of(3, 3)], 1), /cannot join/],
    ['slice', () => layout.slice(of(4), 2, 6, 0), /cannot take 2 to 6/],
    ['gather', () => indexing.gather(of(4), of(2)), /integer indices/],
    ['gatherNd', () => indexing.gatherNd(of(4), int(2, 3)), /up to 1/],
    [
      'scatterAdd',
      () => indexing.scatterAdd(of(4, 3), int(2, 1), of(2, 4)),
      /needs updates \[2, 3\], got \[2, 4\]/,
    ],
    ['expand', () => layout.expandTo(of(2, 3), [2, 4]), /Expand cannot combine/],
    ['reduce', () => reduceSum(of(2), [1]), /ReduceSum has no axis 1/],
    ['softmax', () => softmax(of(2), 2), /no axis 2/],
    ['rmsNorm', () => rmsNorm(of(2, 3), of(4), 1e-5), /needs a weight float32\[3\]/],
    [
      'attention',
      () => causalAttention(of(1, 3, 4, 8), of(1, 2, 4, 8), of(1, 2, 4, 8), of(4, 4)),
      /kv_heads dividing heads/,
    ],
    ['cross-entropy', () => linearCrossEntropy(of(4, 3), of(7, 2), int(4)), /table \[vocab, width\]/],
    ['constant', () => graph.constant('c', Float32Array.of(1), [2], 'float32'), /needs 2 elements, got 1/],
    [
      'constant of a type',
      () => graph.constant('c', Int32Array.of(1), [1], 'float32'),
      /needs a Float32Array/,
    ],
    [
      'input twice',
      () => [graph.input('twice', 'float32', []), graph.input('twice', 'float32', [])],
      /a value named "twice" already/,
    ],
    [
      'unknown size',
      () => layout.expandTo(of(1), ['nowhere']),
      /No input of the graph has the dimension "nowhere"/,
    ],
  ])('%s', (_, build, message) => {
    expect(build).toThrow(message);
  });
});

it('shapes told are the shapes computed', async () => {
  const graph = new Graph();
  const x = graph.input('x', 'float32', ['batch', 'seq', 6]);
  const results: Record<string, Value> = {
    flat: layout.reshape(x, [product(['batch', 'seq']), 6]),
    heads: layout.reshape(x, ['batch', 'seq', 2, 3]),
    turned: layout.transpose(x, [1, 0, 2]),
    part: layout.split(x, [2, 4])[1],
    total: reduceSum(x, [0, 1], false),
    square: matmul(x, x, { transB: true }),
    count: layout.range(x, 'seq'),
    ones: layout.expandTo(graph.scalar(1), [2, 'batch', 'seq']),
    joined: layout.concat([x, x]),
  };
  for (const [name, value] of Object.entries(results)) graph.output(name, value);
  const sizes: Record<string, number> = { batch: 2, seq: 5 };
  const computed = await runGraph(graph, {
    x: { data: new Float32Array(60).fill(1), shape: [2, 5, 6] },
  });
  for (const [name, { shape }] of Object.entries(results)) {
    const told = shape.map((dim) =>
      String(dim)
        .split('*')
        .reduce((all, factor) => all * (sizes[factor] ?? Number(factor)), 1),
    );
    expect(computed[name].shape, name).toEqual(told);
  }
  expect([...Array.from(computed.count.data, Number)]).toEqual([0, 1, 2, 3, 4]);
});

it('an input that is an output keeps its name', async () => {
  const graph = new Graph();
  const x = input(graph, 'x', [2]);
  graph.output('same', x);
  expect((await runGraph(graph, { x: { data: Float32Array.of(1, 2), shape: [2] } })).same.data).toEqual(
    Float32Array.of(1, 2),
  );
});
