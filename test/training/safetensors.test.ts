import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../src/training/safetensors.ts';
import { temporaryFolder } from '../fixtures/tiny.ts';

const folder = temporaryFolder();
const tensors = [
  {
    name: 'a.weight',
    shape: [2, 3],
    data: Float32Array.of(1, -2, 3.5, 0, 1e-38, 3e38),
  },
  { name: 'ü', shape: [], data: Float32Array.of(7) },
  { name: 'empty', shape: [0, 4], data: new Float32Array(0) },
];

it('reads what it wrote', () => {
  const path = join(folder, 'whole.safetensors');
  writeSafetensors(path, tensors, { step: '3', note: 'schön' });
  const read = readSafetensors(path);
  expect([...read.tensors.values()]).toEqual(tensors);
  expect(read.metadata).toEqual({ step: '3', note: 'schön' });
});

it('lays bytes out as the format says', () => {
  const path = join(folder, 'layout.safetensors');
  writeSafetensors(path, tensors);
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  expect(length % 8).toBe(0);
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length));
  expect(header['a.weight']).toEqual({
    dtype: 'F32',
    shape: [2, 3],
    data_offsets: [0, 24],
  });
  expect(bytes.readFloatLE(8 + length + 4)).toBe(-2);
});

it('names what is wrong with any truncated or changed file, and never crashes', () => {
  const path = join(folder, 'good.safetensors');
  writeSafetensors(path, tensors);
  const good = readFileSync(path);
  const bad = join(folder, 'bad.safetensors');
  fc.assert(
    fc.property(fc.integer({ min: 0, max: good.length - 1 }), (length) => {
      writeFileSync(bad, good.subarray(0, length));
      expect(() => readSafetensors(bad)).toThrow(/is not a whole safetensors file/);
    }),
    { numRuns: 60 },
  );
  for (const content of ['', 'garbage that is no header at all', Buffer.alloc(64, 255)]) {
    writeFileSync(bad, content);
    expect(() => readSafetensors(bad)).toThrow(/is not a whole safetensors file/);
  }
});
