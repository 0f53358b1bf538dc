import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Graph } from '../../src/graph/graph.ts';
import { type OnnxModel, readOnnx, toModel, toOnnx, writeOnnx } from '../../src/graph/onnx.ts';
import { add } from '../../src/graph/operators/elementwise.ts';
import { gather } from '../../src/graph/operators/indexing.ts';
import { matmul } from '../../src/graph/operators/matmul.ts';
import { dequantizeRows, quantizeRows } from '../../src/graph/rewrites/block-quantization.ts';
import { inlineExternalData } from '../../src/graph/rewrites/external-data.ts';
import { fromFloat16, toFloat16 } from '../../src/graph/rewrites/float16.ts';
import { toHalfPrecision } from '../../src/graph/rewrites/half-precision.ts';
import { quantizeModel } from '../../src/graph/rewrites/quantize.ts';
import { withoutWeights } from '../../src/graph/rewrites/without-weights.ts';
import { createSession, Tensor } from '../../src/training/runtime.ts';

const weight = fc.float({ min: -4, max: 4, noNaN: true });
const squared = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0);

describe('rows quantised in blocks', () => {
  const shapes = fc.record({
    rows: fc.integer({ min: 1, max: 5 }),
    columns: fc.integer({ min: 1, max: 70 }),
    bits: fc.constantFrom(4 as const, 8 as const),
    block: fc.constantFrom(16, 32),
  });

  it('are off by no more than half a step, or the cut end, and by less than plain rounding in sum', () => {
    fc.assert(
      fc.property(shapes, fc.infiniteStream(weight), ({ rows, columns, bits, block }, stream) => {
        const weights = Float32Array.from([...stream.take(rows * columns)]);
        const quantized = quantizeRows(weights, rows, columns, { bits, block });
        const back = dequantizeRows(quantized, rows, columns, { bits, block });
        const half = 2 ** (bits - 1);
        for (let row = 0; row < rows; row++) {
          for (let from = 0; from < columns; from += block) {
            const part = (x: Float32Array) =>
              x.subarray(row * columns + from, row * columns + Math.min(from + block, columns));
            const given = part(weights);
            const extreme = given.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
            const step = -extreme / half;
            const plain = given.map((x) =>
              step === 0 ? 0 : step * Math.max(-half, Math.min(half - 1, Math.round(x / step))),
            );
            expect(squared(given, part(back))).toBeLessThanOrEqual(squared(given, plain) + 1e-5);
            for (const [i, x] of given.entries())
              expect(Math.abs(x - part(back)[i])).toBeLessThanOrEqual(1.5 * Math.abs(step) + 1e-6);
          }
        }
      }),
    );
  });

  it('are refused where they are not finite, or a block is none', () => {
    expect(() => quantizeRows(Float32Array.of(1, Number.NaN), 1, 2, { bits: 4, block: 16 })).toThrow(/NaN/);
    expect(() => quantizeRows(Float32Array.of(1), 1, 1, { bits: 4, block: 24 })).toThrow(/not 24/);
  });
});

/** A table looked up, a product, and logits by the table again: a decoder without its middle. */
function little(): Graph {
  const graph = new Graph('little');
  const random = fc.sample(weight, { numRuns: 128 * 64 + 64 * 64, seed: 5 });
  const table = graph.constant('table', Float32Array.from(random.slice(0, 128 * 64)), [128, 64], 'float32');
  const matrix = graph.constant('matrix', Float32Array.from(random.slice(128 * 64)), [64, 64], 'float32');
  const hidden = gather(table, graph.input('input_ids', 'int64', ['seq']));
  const past = graph.input('past_key_values.0.key', 'float32', ['seq', 64]);
  const mixed = add(matmul(hidden, matrix), past);
  graph.output('present.0.key', mixed);
  graph.output('logits', matmul(mixed, table, { transB: true }));
  return graph;
}

async function run(model: OnnxModel, half = false): Promise<Float32Array> {
  const session = await createSession(writeOnnx(model), { threads: 1 });
  const past = new Float32Array(3 * 64).map((_, i) => Math.sin(i));
  const feeds = {
    input_ids: new Tensor('int64', BigInt64Array.of(0n, 77n, 127n), [3]),
    'past_key_values.0.key': half
      ? new Tensor('float16', toFloat16(past), [3, 64])
      : new Tensor('float32', past, [3, 64]),
  };
  return (await session.run(feeds, ['logits'])).logits.data as Float32Array;
}

const relative = (a: Float32Array, b: Float32Array) =>
  Math.sqrt(squared(a, b) / squared(a, new Float32Array(a.length)));

describe('a quantised model', () => {
  it.each([
    [{ bits: 8 }, 0.02, 2],
    [{ bits: 8, embedding: 8 }, 0.02, 2],
    [{ bits: 4, head: 'full' }, 0.2, 1],
    [{ bits: 4, head: 8, embedding: 4, block: 16 }, 0.2, 3],
  ] as const)('with %o gives nearly the same logits', async (options, tolerance, matrices) => {
    const model = readOnnx(toOnnx(little()));
    const report = quantizeModel(model, options);
    expect(report.quantized).toHaveLength(matrices);
    const logits = await run(model);
    const error = relative(await run(toModel(little())), logits);
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(tolerance);
    expect(writeOnnx(model).length).toBeLessThan(toOnnx(little()).length);
  });

  it('computes with the numbers that it holds', async () => {
    const model = readOnnx(toOnnx(little()));
    quantizeModel(model, { bits: 4, embedding: 4 });
    // The same graph in float32 with the weights that the quantised ones stand for.
    const plain = little();
    for (const constant of plain.constants.filter(({ shape }) => shape.length === 2)) {
      const [a, b] = constant.shape as number[];
      const data = constant.data as Float32Array;
      const turned = constant.name === 'matrix';
      const rows = turned ? data.map((_, i) => data[(i % a) * b + Math.floor(i / a)]) : data;
      const back = dequantizeRows(
        quantizeRows(rows, turned ? b : a, turned ? a : b, { bits: 4, block: 32 }),
        turned ? b : a,
        turned ? a : b,
        { bits: 4, block: 32 },
      );
      data.set(turned ? back.map((_, i) => back[(i % b) * a + Math.floor(i / b)]) : back);
    }
    // Activations are rounded to 8 bits in the product, weights are not rounded again.
    expect(relative(await run(toModel(plain)), await run(model))).toBeLessThan(0.02);
  });

  it('has something to quantise, or is an error', () => {
    const graph = new Graph('empty');
    graph.output('y', add(graph.input('x', 'float32', [1]), graph.scalar(1)));
    expect(() => quantizeModel(toModel(graph), { bits: 4 })).toThrow(/nothing to quantise/);
  });
});

describe('a model in half precision', () => {
  it('gives nearly the same logits as float32, with its cache in halves', async () => {
    const model = readOnnx(toOnnx(little()));
    toHalfPrecision(model);
    const types = Object.fromEntries(
      [...model.graph.input, ...model.graph.output].map(({ name, type }) => [name, type.tensorType.elemType]),
    );
    expect(types).toEqual({ input_ids: 7, 'past_key_values.0.key': 10, 'present.0.key': 10, logits: 1 });
    const error = relative(await run(toModel(little())), await run(model, true));
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(0.005);
  });

  it('has numbers beyond its range at the end of it', () => {
    const graph = new Graph('wide');
    const far = graph.constant('far', Float32Array.of(-1e9, 1e9, 2), [3], 'float32');
    graph.output('y', add(graph.input('x', 'float32', [3]), far));
    const model = toModel(graph);
    toHalfPrecision(model);
    const { rawData } = model.graph.initializer.find(({ name }) => name === 'far')!;
    expect([...fromFloat16(new Uint16Array(Uint8Array.from(rawData!).buffer))]).toEqual([-65504, 65504, 2]);
  });
});

describe('weights in a file beside the model', () => {
  const outside = (entries: Record<string, string>): OnnxModel => {
    const model = toModel(little());
    const table = model.graph.initializer.find(({ name }) => name === 'table')!;
    const externalData = Object.entries(entries).map(([key, value]) => ({ key, value }));
    Object.assign(table, { rawData: undefined, dataLocation: 1, externalData });
    return model;
  };
  const bytes = new Uint8Array((little().constants[0].data as Float32Array).buffer);
  const file = new Uint8Array(bytes.length + 8);
  file.set(bytes, 8);

  it('come into it', async () => {
    const model = outside({ location: 'weights', offset: '8', length: String(bytes.length) });
    inlineExternalData(model, () => file);
    expect(await run(model)).toEqual(await run(toModel(little())));
  });

  it('are found in the file itself by a graph that was taken out of it', () => {
    const file = new Uint8Array(
      readFileSync(new URL('../../models/wick-guard/onnx/model.onnx', import.meta.url)),
    );
    const graph = withoutWeights(file, 'weights');
    expect(graph.length).toBeLessThan(file.length / 20);
    const model = readOnnx(graph);
    inlineExternalData(model, () => file);
    expect(Buffer.compare(writeOnnx(model), writeOnnx(readOnnx(file)))).toBe(0);
    expect(() => withoutWeights(file.subarray(0, 1000), 'weights')).toThrow(/out of range/);
  });

  it('that are not where they should be are named', () => {
    for (const entries of [
      { offset: '0' },
      { location: 'weights', offset: '16', length: String(bytes.length) },
    ])
      expect(() => inlineExternalData(outside(entries as never), () => file)).toThrow(/"table" lies/);
  });
});
