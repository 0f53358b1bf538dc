import { cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { floats, graphInputs } from '../../src/generation/graph-io.ts';
import { createDecodingState } from '../../src/generation/kv-cache.ts';
import { type OnnxModel, type OnnxNode, readOnnx, writeOnnx } from '../../src/graph/onnx.ts';
import { inlineExternalData } from '../../src/graph/rewrites/external-data.ts';
import { fuseAttention } from '../../src/graph/rewrites/fuse-attention.ts';
import { toHalfPrecision } from '../../src/graph/rewrites/half-precision.ts';
import { exposeHiddenStates } from '../../src/graph/rewrites/hidden-states.ts';
import { storedTensor } from '../../src/graph/rewrites/model-edits.ts';
import { quantizeModel } from '../../src/graph/rewrites/quantize.ts';
import { loadModelFolder } from '../../src/service/model-folder.ts';
import { run } from '../cli/run-wick.ts';
import { distance, type Family, families, logitsOf } from '../fixtures/families.ts';
import { temporaryFolder } from '../fixtures/tiny.ts';

const smollm2 = families.find(({ name }) => name === 'smollm2')!;

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

describe('attention in single operators', () => {
  const fused = ['gpt2', 'phi', 'phi3', 'qwen2-fp16', 'qwen3', 'smollm2', 'smollm2-q8'];
  const graphOf = ({ folder, variants: [variant] }: Family) =>
    readOnnx(readFileSync(join(folder, `onnx/model${variant && `_${variant}`}.onnx`)));

  it.each(families.filter(({ name }) => fused.includes(name)))('of $name becomes one', async (family) => {
    const [variant] = family.variants;
    const model = graphOf(family);
    const before = model.graph.node.length;
    expect(fuseAttention(model)).toBeUndefined();
    const attention = model.graph.node.filter(({ opType }) => opType === 'GroupQueryAttention');
    expect(attention).toHaveLength(2);
    expect(model.graph.node.some(({ opType }) => opType === 'Softmax')).toBe(false);
    expect(model.graph.node.length).toBeLessThan(0.85 * before);
    const folder = temporaryFolder();
    cpSync(family.folder, folder, { recursive: true });
    writeFileSync(join(folder, 'onnx/model_fused.onnx'), writeOnnx(model));
    const [theirs, ours] = await Promise.all(
      [variant, 'fused'].map((name) => loadModelFolder(folder, { variant: name, threads: 1 })),
    );
    for (const { ids, logits, from } of family.reference.prompts) {
      for (const piece of [ids.length, 5, 1]) {
        const rows = await logitsOf(ours, ids, piece);
        for (const [i, row] of logits.entries())
          expect(distance(rows[from + i], row)).toBeLessThan(family.tolerance(variant));
      }
    }
    // Sequences of two lengths: what is padded behind is seen by none.
    const rows = [family.reference.prompts[1].ids.slice(0, 20), family.reference.prompts[0].ids];
    const [expected, given] = await Promise.all(
      [theirs, ours].map(
        async (model) => (await model.session.run(graphInputs(model)({ rows }), ['logits'])).logits,
      ),
    );
    expect(given.dims).toEqual(expected.dims);
    const [, length, vocab] = given.dims;
    for (const [row, { length: real }] of rows.entries()) {
      const [from, to] = [row * length * vocab, (row * length + real) * vocab];
      expect(distance(floats(given, from, to), floats(expected, from, to))).toBeLessThan(
        family.tolerance(variant),
      );
    }
  });

  it.each([
    ['gemma2', /through Tanh/],
    ['gemma3', /its mask/],
    ['llama3', /is not appended to/],
  ])('of %s is left as it is, which is told', (name, why) => {
    const model = graphOf(families.find((family) => family.name === name)!);
    const before = writeOnnx(model);
    expect(fuseAttention(model)).toMatch(why);
    expect(Buffer.from(writeOnnx(model)).equals(before)).toBe(true);
  });

  it.each([
    ['another comparison', 'Less', /compares positions 2 times/],
    ['something that is no mask', 'Pow', /its mask goes through Pow/],
  ])('under a mask with %s is left as it is', (_, opType, why) => {
    const model = graphOf(smollm2);
    const { node } = model.graph;
    const makerOf = (name: string) => node.find(({ output }) => output.includes(name))!;
    const softmax = node.find((each) => each.opType === 'Softmax')!;
    const mask = makerOf(makerOf(softmax.input[0]).input[1]);
    const [output] = mask.output;
    mask.output = ['before'];
    const added = { name: opType, opType, input: ['before', 'before'], output: [output], attribute: [] };
    node.splice(node.indexOf(mask) + 1, 0, added);
    expect(fuseAttention(model)).toMatch(why);
  });
});

it('is fed in the types that it declares, and asked for no more logits than are wanted', async () => {
  const folder = rewritten(smollm2, ({ graph }) => {
    const [INT32, INT64] = [6, 7];
    const node = (opType: string, input: string[], output: string, attribute: OnnxNode['attribute'] = []) =>
      graph.node.push({ name: output, opType, input, output: [output], attribute });
    const rename = (from: string, to: string, key: 'input' | 'output') => {
      for (const each of graph.node) each[key] = each[key]?.map((name) => (name === from ? to : name));
    };
    for (const name of ['input_ids', 'attention_mask']) {
      graph.input.find((input) => input.name === name)!.type.tensorType.elemType = INT32;
      rename(name, `${name}:long`, 'input');
      graph.node.unshift({
        ...{ name: `${name}:cast`, opType: 'Cast', input: [name], output: [`${name}:long`] },
        attribute: [{ name: 'to', type: 2, i: INT64 }],
      });
    }
    graph.input.push({
      name: 'num_logits_to_keep',
      type: { tensorType: { elemType: INT64, shape: { dim: [] } } },
    });
    const numbers = { axis: [1n], end: [2n ** 63n - 1n], zero: [0n] };
    for (const [name, value] of Object.entries(numbers))
      graph.initializer.push(storedTensor(name, BigInt64Array.from(value), [1], 'int64'));
    rename('logits', 'logits:all', 'output');
    node('Neg', ['num_logits_to_keep'], 'kept:negative');
    node('Unsqueeze', ['kept:negative', 'zero'], 'kept:from');
    node('Slice', ['logits:all', 'kept:from', 'end', 'axis'], 'logits');
  });
  const model = await loadModelFolder(folder, { variant: 'rewritten', threads: 1 });
  const ran = vi.spyOn(model.session, 'run');
  for (const { ids, logits, from } of smollm2.reference.prompts) {
    const whole = await logitsOf(model, ids);
    for (const [i, row] of logits.entries()) expect(distance(whole[from + i], row)).toBeLessThan(5e-5);
    const state = createDecodingState(model);
    expect(distance(await state.step(ids), whole.at(-1)!)).toBeLessThan(1e-6);
    expect((await ran.mock.results.at(-1)!.value).logits.dims).toEqual([1, 1, 272]);
  }
});

it('is told which branch to take, where one graph is for the first step and one for those behind it', async () => {
  const folder = rewritten(smollm2, ({ graph }) => {
    const inner = (name: string) =>
      graph.output.some((output) => output.name === name) ? `inner:${name}` : name;
    const empty = (name: string) => (name.startsWith('past_key_values.') ? `empty:${name}` : name);
    for (const node of graph.node) {
      node.input = node.input?.map(inner);
      node.output = node.output.map(inner);
    }
    // The first step has no past.
    const first = graph.node.map((node) => ({ ...node, input: node.input?.map(empty) }));
    for (const { name, type } of graph.input.filter((input) => input.name !== empty(input.name))) {
      const [, heads, , width] = type.tensorType.shape.dim.map(({ dimValue }) => Number(dimValue ?? 0));
      graph.initializer.push(storedTensor(empty(name), new Float32Array(), [1, heads, 0, width], 'float32'));
    }
    const output = graph.output.map((each) => ({ ...each, name: inner(each.name) }));
    const branch = (name: string, node: OnnxNode[]) => ({
      ...{ name, type: 5, g: { name, node, initializer: [], input: [], output } },
    });
    graph.node = [
      {
        ...{ name: 'merged', opType: 'If', input: ['use_cache_branch'] },
        output: graph.output.map(({ name }) => name),
        attribute: [branch('then_branch', graph.node), branch('else_branch', first)],
      },
    ];
    graph.valueInfo = undefined;
    const BOOL = 9;
    graph.input.push({
      ...{
        name: 'use_cache_branch',
        type: { tensorType: { elemType: BOOL, shape: { dim: [{ dimValue: 1 }] } } },
      },
    });
  });
  renameSync(join(folder, 'onnx/model_rewritten.onnx'), join(folder, 'onnx/decoder_model_merged.onnx'));
  rmSync(join(folder, 'onnx/model.onnx'));
  const model = await loadModelFolder(folder, { threads: 1 });
  expect(model.session.inputNames).toContain('use_cache_branch');
  for (const { ids, logits, from } of smollm2.reference.prompts) {
    const ours = await logitsOf(model, ids, 5);
    for (const [i, row] of logits.entries()) expect(distance(ours[from + i], row)).toBeLessThan(5e-5);
  }
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
