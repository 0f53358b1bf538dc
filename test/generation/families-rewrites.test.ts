import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type OnnxModel, readOnnx, writeOnnx } from '../../src/graph/onnx.ts';
import { inlineExternalData } from '../../src/graph/rewrites/external-data.ts';
import { toHalfPrecision } from '../../src/graph/rewrites/half-precision.ts';
import { exposeHiddenStates } from '../../src/graph/rewrites/hidden-states.ts';
import { quantizeModel } from '../../src/graph/rewrites/quantize.ts';
import { loadModelFolder } from '../../src/service/model-folder.ts';
import { run } from '../cli/run-wick.ts';
import { distance, type Family, families, logitsOf } from '../fixtures/families.ts';
import { temporaryFolder } from '../fixtures/tiny.ts';

/** A copy of a family's folder, with its float32 graph rewritten as `model_rewritten.onnx`. */
function rewritten({ name, folder }: Family, rewrite: (model: OnnxModel) => unknown): string {
  const copy = join(temporaryFolder(), name);
  cpSync(folder, copy, { recursive: true });
  const model = readOnnx(readFileSync(join(folder, 'onnx/model.onnx')));
  inlineExternalData(model, (file) => readFileSync(join(folder, 'onnx', file)));
  rewrite(model);
  writeFileSync(join(copy, 'onnx/model_rewritten.onnx'), writeOnnx(model));
  return copy;
}

/** How far the logits of a rewritten graph are from PyTorch's, at the most. */
async function farthest(family: Family, rewrite: (model: OnnxModel) => unknown): Promise<number> {
  const folder = rewritten(family, rewrite);
  const model = await loadModelFolder(folder, { variant: 'rewritten', threads: 1 });
  let most = 0;
  for (const { ids, logits, from } of family.reference.prompts) {
    const ours = await logitsOf(model, ids);
    for (const [i, row] of logits.entries()) most = Math.max(most, distance(ours[from + i], row));
  }
  return most;
}

describe.each(families.filter(({ variants }) => variants.includes('')))('$name', (family) => {
  it.each([
    ['with weights of 8 bits', 0.15, (model: OnnxModel) => quantizeModel(model, { bits: 8 })],
    ['in half precision', 0.03, (model: OnnxModel) => toHalfPrecision(model)],
    ['with its hidden states', 5e-5, (model: OnnxModel) => expect(exposeHiddenStates(model)).toBe(true)],
  ])('%s computes nearly what PyTorch computes in float32', async (_, tolerance, rewrite) => {
    const most = await farthest(family, rewrite);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(tolerance);
  });

  it('has the product behind its logits in the precision that is asked for, whatever stands between', () => {
    rewritten(family, (model) => {
      const { quantized } = quantizeModel(model, { bits: 4, head: 'full' });
      const more = quantizeModel(model, { bits: 8 });
      expect(more.quantized).toHaveLength(1);
      expect(quantized).not.toContain(more.quantized[0]);
    });
  });
});

it('loses little by 8 bits, its weights in two files, on the command line', async () => {
  const llama3 = families.find(({ name }) => name === 'llama3')!;
  const folder = join(temporaryFolder(), 'llama3');
  cpSync(llama3.folder, folder, { recursive: true });
  const { stdout } = await run(['quantize', folder, '--to', 'q8', '--text', 'LICENSE', '--json']);
  const result = JSON.parse(stdout);
  expect(result.bytes_before).toBeGreaterThan(150_000);
  expect(result.bytes).toBeLessThan(0.6 * result.bytes_before);
  expect(Math.abs(result.bits_per_byte / result.bits_per_byte_before - 1)).toBeLessThan(0.01);
});
