import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../../src/data/random.ts';
import { gradients } from '../../src/graph/autodiff.ts';
import { Graph, type Operator, type Value } from '../../src/graph/graph.ts';
import { conv } from '../../src/graph/operators/convolution.ts';
import * as elementwise from '../../src/graph/operators/elementwise.ts';
import * as indexing from '../../src/graph/operators/indexing.ts';
import * as layout from '../../src/graph/operators/layout.ts';
import { matmul } from '../../src/graph/operators/matmul.ts';
import { logSoftmax, rmsNorm, softmax } from '../../src/graph/operators/normalization.ts';
import { reduceMax, reduceMean, reduceSum } from '../../src/graph/operators/reduction.ts';
import {
  causalAttention,
  causalMask,
  linearCrossEntropy,
  rotary,
  rotaryTables,
} from '../../src/graph/operators/transformer.ts';
import { input, prepareGraph, sizeOf } from '../fixtures/run-graph.ts';

const {
  add,
  sub,
  mul,
  div,
  pow,
  max,
  min,
  neg,
  abs,
  exp,
  log,
  sqrt,
  reciprocal,
  tanh,
  relu,
  sigmoid,
  erf,
  cos,
  sin,
  silu,
  where,
  greater,
  cast,
} = elementwise;

interface Case {
  /** Shapes of the inputs that get a gradient. */
  shapes: number[][];
  build: (inputs: Value[]) => Value;
  /** Where inputs lie: away from kinks and poles. */
  range?: [number, number];
  /** Whether no two numbers lie near each other: where the larger one counts, a step must not change which it is. */
  apart?: boolean;
}

/**
 * Compares the gradient rule with central differences. The loss is a random weighting of all results, so that every
 * element of every result counts; the derivative is taken along random directions, so that float32 keeps enough
 * digits of it.
 */
async function check({ shapes, build, range = [-1, 1], apart = false }: Case, seed: number): Promise<void> {
  const random = createRandom(seed);
  const draw = (count: number, [low, high]: [number, number]) =>
    Float32Array.from({ length: count }, () => low + random() * (high - low));
  const graph = new Graph();
  const inputs = shapes.map((shape, i) => input(graph, `x${i}`, shape));
  const result = build(inputs);
  const weights = draw(sizeOf(result.shape), [-1, 1]);
  const weighting = graph.constant('weighting', weights, result.shape as number[], 'float32');
  const loss = reduceSum(mul(result, weighting), undefined, false);
  graph.output('loss', loss);
  for (const [i, gradient] of gradients(loss, inputs).entries()) {
    expect(gradient.shape).toEqual(shapes[i]);
    graph.output(`g${i}`, gradient);
  }
  const run = await prepareGraph(graph);
  const point = shapes.map((shape) => draw(sizeOf(shape), range));
  if (apart) spread(point, range);
  const at = async (step: number, directions: Float32Array[]) => {
    const feeds = Object.fromEntries(
      point.map((x, i) => [
        `x${i}`,
        {
          data: x.map((value, j) => value + step * directions[i][j]),
          shape: shapes[i],
        },
      ]),
    );
    return run(feeds);
  };
  const still = point.map((x) => new Float32Array(x.length));
  const results = await at(0, still);
  for (let i = 0; i < shapes.length; i++) {
    const directions = point.map((x, j) => (j === i ? draw(x.length, [-1, 1]) : new Float32Array(x.length)));
    const step = 5e-3;
    const [ahead, behind] = [await at(step, directions), await at(-step, directions)];
    const measured = (Number(ahead.loss.data[0]) - Number(behind.loss.data[0])) / (2 * step);
    const gradient = results[`g${i}`].data as Float32Array;
    const told = directions[i].reduce((sum, direction, j) => sum + direction * gradient[j], 0);
    const scale = Math.max(1, Math.abs(measured), Math.sqrt(sizeOf(shapes[i])) * 0.5);
    expect(
      Math.abs(told - measured) / scale,
      `input ${i} of shapes ${JSON.stringify(shapes)}: rule ${told}, differences ${measured}`,
    ).toBeLessThan(2e-2);
  }
}

/** Moves numbers to places of equal distance, in the order that they have among each other. */
function spread(tensors: readonly Float32Array[], [low, high]: [number, number]): void {
  const places = tensors.flatMap((tensor) => Array.from(tensor, (value, i) => ({ tensor, i, value })));
  places.sort((a, b) => a.value - b.value);
  for (const [rank, { tensor, i }] of places.entries())
    tensor[i] = low + ((rank + 0.5) / places.length) * (high - low);
}

const runs = { numRuns: 4 };
const dim = fc.integer({ min: 1, max: 4 });
const shape = fc.array(dim, { minLength: 1, maxLength: 3 });

/** Two shapes that broadcast: some dimensions of either are 1 or missing in front. */
const broadcastPair = fc
  .tuple(
    shape,
    fc.array(fc.constantFrom('both', 'left', 'right'), {
      minLength: 3,
      maxLength: 3,
    }),
    fc.integer({ min: 0, max: 2 }),
  )
  .map(([full, ones, drop]) => {
    const left = full.map((size, i) => (ones[i] === 'left' ? 1 : size));
    const right = full
      .map((size, i) => (ones[i] === 'right' ? 1 : size))
      .slice(Math.min(drop, full.length - 1));
    return [left, right];
  });

describe('element by element', () => {
  it.each([
    ['add', add, undefined],
    ['sub', sub, undefined],
    ['mul', mul, undefined],
    ['div', div, [0.5, 2]],
    ['pow', pow, [0.5, 2]],
    ['max', max, undefined],
    ['min', min, undefined],
  ] as [string, (a: Value, b: Value) => Value, [number, number] | undefined][])(
    '%s, broadcast',
    async (name, build, range) => {
      const apart = name === 'max' || name === 'min';
      await fc.assert(
        fc.asyncProperty(broadcastPair, fc.integer(), ([a, b], seed) =>
          check({ shapes: [a, b], build: ([x, y]) => build(x, y), range, apart }, seed),
        ),
        runs,
      );
    },
  );

  it.each([
    ['neg', neg, undefined],
    ['abs', abs, [0.2, 2]],
    ['exp', exp, undefined],
    ['log', log, [0.5, 2]],
    ['sqrt', sqrt, [0.5, 2]],
    ['reciprocal', reciprocal, [0.5, 2]],
    ['tanh', tanh, undefined],
    ['relu', relu, [0.2, 2]],
    ['sigmoid', sigmoid, undefined],
    ['erf', erf, undefined],
    ['cos', cos, undefined],
    ['sin', sin, undefined],
    ['silu', silu, [-3, 3]],
  ] as [string, (x: Value) => Value, [number, number] | undefined][])('%s', async (_, build, range) => {
    await fc.assert(
      fc.asyncProperty(shape, fc.integer(), (shape, seed) =>
        check({ shapes: [shape], build: ([x]) => build(x), range }, seed),
      ),
      runs,
    );
  });

  it('where, and a cast on the way', async () => {
    await fc.assert(
      fc.asyncProperty(broadcastPair, fc.integer(), ([a, b], seed) =>
        check(
          {
            shapes: [a, b],
            build: ([x, y]) => where(greater(cast(sin(x), 'float32'), x.graph.scalar(9)), x, add(y, x)),
          },
          seed,
        ),
      ),
      runs,
    );
  });
});

describe('reductions', () => {
  it.each([
    ['sum', reduceSum],
    ['mean', reduceMean],
    ['max', reduceMax],
  ] as const)('%s over any axes', async (name, build) => {
    await fc.assert(
      fc.asyncProperty(
        shape,
        fc.boolean(),
        fc.integer({ min: 0, max: 2 }),
        fc.integer(),
        (shape, keepdims, axis, seed) =>
          check(
            {
              shapes: [shape],
              build: ([x]) => build(x, axis < shape.length ? [axis] : undefined, keepdims),
              range: [-3, 3],
              apart: name === 'max',
            },
            seed,
          ),
      ),
      runs,
    );
  });
});

const indices = (like: Value, values: number[], shape: number[]) =>
  like.graph.constant('indices', BigInt64Array.from(values, BigInt), shape, 'int64');

describe('layout', () => {
  it.each<[string, Case]>([
    ['reshape', { shapes: [[2, 6]], build: ([x]) => layout.reshape(x, [3, 4]) }],
    ['transpose', { shapes: [[2, 3, 4]], build: ([x]) => layout.transpose(x, [2, 0, 1]) }],
    [
      'split',
      {
        shapes: [[2, 5]],
        build: ([x]) => mul(...(layout.split(x, [2, 1, 2], 1).filter((_, i) => i !== 1) as [Value, Value])),
      },
    ],
    ['split with a part unused', { shapes: [[2, 5]], build: ([x]) => layout.split(x, [2, 3], 1)[1] }],
    [
      'concat',
      {
        shapes: [
          [2, 2],
          [2, 3],
        ],
        build: (parts) => layout.concat(parts, 1),
      },
    ],
    ['concat of one twice', { shapes: [[2, 2]], build: ([x]) => layout.concat([x, x], 0) }],
    ['slice', { shapes: [[3, 6]], build: ([x]) => layout.slice(x, 1, 4, 1) }],
    [
      'gather with a row twice',
      {
        shapes: [[4, 3]],
        build: ([x]) => indexing.gather(x, indices(x, [1, 1, 3, 0], [2, 2])),
      },
    ],
    [
      'gatherNd',
      {
        shapes: [[4, 3]],
        build: ([x]) => indexing.gatherNd(x, indices(x, [1, 2, 1, 2, 0, 0], [3, 2])),
      },
    ],
    [
      'scatterAdd',
      {
        shapes: [
          [4, 3],
          [3, 3],
        ],
        build: ([x, y]) => indexing.scatterAdd(x, indices(x, [1, 1, 2], [3, 1]), y),
      },
    ],
    ['expand', { shapes: [[1, 3]], build: ([x]) => layout.expandTo(x, [2, 4, 3]) }],
  ])('%s', async (_, each) => {
    for (const seed of [1, 2]) await check(each, seed);
  });
});

describe('matrix products', () => {
  it('transposed, scaled, batched and broadcast', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          m: dim,
          k: dim,
          n: dim,
          transA: fc.boolean(),
          transB: fc.boolean(),
          alpha: fc.constantFrom(1, 0.5, -2),
          seed: fc.integer(),
        }),
        fc.constantFrom(
          [[], []],
          [[3], []],
          [[], [2]],
          [[2, 3], []],
          [[2, 3], [3]],
          [
            [2, 1],
            [1, 3],
          ],
        ),
        ({ m, k, n, transA, transB, alpha, seed }, [batchA, batchB]) =>
          check(
            {
              shapes: [
                [...batchA, ...(transA ? [k, m] : [m, k])],
                [...batchB, ...(transB ? [n, k] : [k, n])],
              ],
              build: ([a, b]) => matmul(a, b, { transA, transB, alpha }),
            },
            seed,
          ),
      ),
      { numRuns: 30 },
    );
  });
});

describe('the parts of a transformer', () => {
  const table = (graph: Graph, seq: number, half: number) => {
    const { cos, sin } = rotaryTables(seq, 2 * half, 100);
    return [
      graph.constant('cos', cos, [seq, half], 'float32'),
      graph.constant('sin', sin, [seq, half], 'float32'),
    ];
  };
  it.each<[string, Case]>([
    ['softmax', { shapes: [[2, 3, 5]], build: ([x]) => softmax(x), range: [-2, 2] }],
    ['softmax along another axis', { shapes: [[2, 3, 4]], build: ([x]) => softmax(x, 1) }],
    ['logSoftmax', { shapes: [[3, 5]], build: ([x]) => logSoftmax(x), range: [-2, 2] }],
    ['rmsNorm', { shapes: [[2, 3, 8], [8]], build: ([x, w]) => rmsNorm(x, w, 1e-5) }],
    [
      'rotary',
      {
        shapes: [[2, 2, 3, 16]],
        build: ([x]) => {
          const [cos, sin] = table(x.graph, 3, 8);
          return rotary(x, indices(x, [0, 1, 2, 0, 1, 2], [2, 3]), cos, sin);
        },
      },
    ],
    [
      'attention',
      {
        shapes: [
          [2, 2, 5, 4],
          [2, 2, 5, 4],
          [2, 2, 5, 4],
        ],
        build: ([q, k, v]) => causalAttention(q, k, v, causalMask(q, 5)),
      },
    ],
    [
      'grouped attention',
      {
        shapes: [
          [1, 4, 6, 4],
          [1, 2, 6, 4],
          [1, 2, 6, 4],
        ],
        build: ([q, k, v]) => causalAttention(q, k, v, causalMask(q, 6)),
      },
    ],
    [
      'attention in blocks',
      {
        shapes: [
          [1, 2, 128, 4],
          [1, 1, 128, 4],
          [1, 1, 128, 4],
        ],
        build: ([q, k, v]) => causalAttention(q, k, v, causalMask(q, 128)),
      },
    ],
    [
      'the loss',
      {
        shapes: [
          [4, 3],
          [7, 3],
        ],
        build: ([h, w]) => linearCrossEntropy(h, w, indices(h, [1, 6, 1, 0], [4])),
      },
    ],
  ])('%s', async (_, each) => {
    for (const seed of [1, 2, 3]) await check(each, seed);
  });

  it('attention in blocks is attention', async () => {
    const graph = new Graph();
    const [q, k, v] = ['q', 'k', 'v'].map((name) => graph.input(name, 'float32', ['batch', 2, 'seq', 4]));
    graph.output('symbolic', causalAttention(q, k, v, causalMask(q, 'seq')));
    const blocks = new Graph();
    const fixed = ['q', 'k', 'v'].map((name) => input(blocks, name, [1, 2, 256, 4]));
    blocks.output('blocks', causalAttention(fixed[0], fixed[1], fixed[2], causalMask(fixed[0], 256)));
    const random = createRandom(4);
    const feeds = Object.fromEntries(
      ['q', 'k', 'v'].map((name) => [
        name,
        {
          data: Float32Array.from({ length: 2048 }, () => random() * 4 - 2),
          shape: [1, 2, 256, 4],
        },
      ]),
    );
    const [whole, cut] = [
      await (await prepareGraph(graph))(feeds),
      await (await prepareGraph(blocks))(feeds),
    ];
    const difference = Math.max(
      ...Array.from(whole.symbolic.data, (x, i) => Math.abs(Number(x) - Number(cut.blocks.data[i]))),
    );
    expect(difference).toBeLessThan(1e-5);
  });
});

describe('what cannot be differentiated', () => {
  it('is an error that names the operator', () => {
    const graph = new Graph();
    const x = input(graph, 'x', [2]);
    const odd: Operator = {
      name: 'Oddity',
      domain: '',
      infer: ([value]) => [{ dtype: 'float32', shape: value!.shape }],
    };
    const loss = reduceSum(graph.apply(odd, [x])[0], undefined, false);
    expect(() => gradients(loss, [x])).toThrow(/Oddity has no gradient rule/);
  });

  it('is a loss with dimensions, a parameter it does not depend on, or one of another graph', () => {
    const graph = new Graph();
    const [x, y] = [input(graph, 'x', [2]), input(graph, 'y', [2])];
    expect(() => gradients(mul(x, x), [x])).toThrow(/scalar/);
    const loss = reduceSum(x, undefined, false);
    expect(() => gradients(loss, [y])).toThrow(/does not depend on "y"/);
    expect(() => gradients(loss, [input(new Graph(), 'z', [2])])).toThrow(/another graph/);
    expect(() => add(x, input(new Graph(), 'z', [2]))).toThrow(/another graph/);
  });
});

describe('convolution', () => {
  const kernels = fc.record({
    batch: dim,
    channels: dim,
    out: dim,
    kernel: fc.constantFrom(1, 2, 3, 5),
    height: fc.integer({ min: 5, max: 8 }),
    width: fc.integer({ min: 5, max: 8 }),
    padding: fc.integer({ min: 0, max: 2 }),
  });
  it('of any shape, with and without zeros around', async () => {
    await fc.assert(
      fc.asyncProperty(kernels, fc.integer(), async (c, seed) => {
        const shapes = [
          [c.batch, c.channels, c.height, c.width],
          [c.out, c.channels, c.kernel, c.kernel],
        ];
        const padding = Math.min(c.padding, c.kernel - 1);
        await check({ shapes, build: ([x, weight]) => conv(x, weight, padding) }, seed);
      }),
      runs,
    );
  });

  it('says that strides have no gradient', () => {
    const graph = new Graph();
    const x = input(graph, 'x', [1, 1, 4, 4]);
    const weight = input(graph, 'weight', [1, 1, 2, 2]);
    const loss = reduceSum(conv(x, weight, 0, 2), undefined, false);
    expect(() => gradients(loss, [weight])).toThrow(/stride of 1/);
  });
});
