import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Graph } from '../../src/graph/graph.ts';
import { readOnnx, tensorData, toModel, toOnnx, writeOnnx } from '../../src/graph/onnx.ts';
import { add, mul } from '../../src/graph/operators/elementwise.ts';
import { matmul } from '../../src/graph/operators/matmul.ts';

function small(): Graph {
  const graph = new Graph('small');
  const x = graph.input('x', 'float32', ['batch', 2]);
  const w = graph.constant('w', Float32Array.of(1, 2, 3, 4), [2, 2], 'float32');
  mul(x, x);
  graph.output('y', add(matmul(x, w, { alpha: 0.5 }), graph.scalar(1)));
  return graph;
}

const models = readdirSync('models', {
  recursive: true,
  encoding: 'utf8',
}).filter((name) => name.endsWith('.onnx'));

describe('a model read and written again', () => {
  it('is equal, byte for byte', () => {
    const bytes = toOnnx(small(), { note: 'ü' });
    expect(writeOnnx(readOnnx(bytes))).toEqual(bytes);
  });

  it.each(models)('is equal: %s', (name) => {
    const bytes = readFileSync(join('models', name));
    expect(Buffer.compare(writeOnnx(readOnnx(bytes)), bytes)).toBe(0);
  });

  it('keeps its numbers', () => {
    const { graph, metadataProps } = readOnnx(toOnnx(small(), { note: 'ü' }));
    expect(metadataProps).toEqual([{ key: 'note', value: 'ü' }]);
    const w = graph.initializer.find(({ name }) => name === 'w')!;
    expect(w.dims.map(Number)).toEqual([2, 2]);
    expect(tensorData(w)).toEqual(Float32Array.of(1, 2, 3, 4));
  });
});

it('leaves out what no output needs', () => {
  const { graph, opsetImport } = toModel(small());
  expect(graph.node.map(({ opType }) => opType)).toEqual(['FusedMatMul', 'Add']);
  expect(opsetImport).toEqual([
    { domain: '', version: 21 },
    { domain: 'com.microsoft', version: 1 },
  ]);
});

describe('what is no model', () => {
  it.each([
    ['nothing', new Uint8Array()],
    ['text', new TextEncoder().encode('this is no model')],
    ['ones', new Uint8Array(100).fill(255)],
  ])('is an error: %s', (_, bytes) => {
    expect(() => readOnnx(bytes)).toThrow(/These \d+ bytes are not an ONNX model/);
  });

  it('cut or changed anywhere, is a model or an error, never a crash', () => {
    const bytes = toOnnx(small());
    const tryToRead = (changed: Uint8Array) => {
      try {
        expect(readOnnx(changed).graph).toBeDefined();
      } catch (error) {
        expect((error as Error).message).toMatch(/are not an ONNX model/);
      }
    };
    for (let length = 0; length < bytes.length; length++) tryToRead(bytes.subarray(0, length));
    fc.assert(
      fc.property(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 0, max: 255 }), (at, value) => {
        const changed = bytes.slice();
        changed[at] = value;
        tryToRead(changed);
      }),
    );
  });
});
