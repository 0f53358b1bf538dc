import { cpSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { story, temporaryFolder } from '../fixtures/tiny.ts';
import { run } from './run-wick.ts';

function copyOfModel(): string {
  const folder = join(temporaryFolder(), 'Story');
  cpSync('models/Llama-wick-3M', folder, { recursive: true });
  return folder;
}

it('makes smaller graphs that generate, and tells what they cost', async () => {
  const folder = copyOfModel();
  const text = join(folder, 'text.txt');
  writeFileSync(text, `Once upon a time there was a small girl. ${story(1)}`);
  const sizes: Record<string, number> = {};
  for (const [to, suffix, most] of [
    ['q8', 'quantized', 0.01],
    ['q4', 'q4', 0.15],
    ['fp16', 'fp16', 0.005],
  ] as const) {
    const { code, stdout, stderr } = await run(['quantize', folder, '--to', to, '--text', text, '--json']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const result = JSON.parse(stdout);
    expect(result.file).toBe(join(folder, 'onnx', `model_${suffix}.onnx`));
    expect(result.bits_per_byte / result.bits_per_byte_before - 1).toBeLessThan(most);
    sizes[to] = result.bytes;
  }
  expect(sizes.q4).toBeLessThan(sizes.q8);
  const said = await run([
    'generate',
    'Once',
    '--model',
    folder,
    '--variant',
    'q4',
    '--max-tokens',
    '8',
    '--json',
  ]);
  expect(JSON.parse(said.stdout).text.length).toBeGreaterThan(5);
});

it.each([
  [['--to', 'q5'], /q8, q4, fp16/, 2],
  [['--to', 'q4', '--block', '24'], /16, 32, 64, 128 or 256/, 2],
  [['--to', 'fp16', '--head', 'q8'], /for q8 and q4/, 1],
  [['--to', 'q4', '--text', 'nowhere.txt'], /nowhere\.txt/, 1],
] as const)('%j is refused', async (args, sentence, code) => {
  const folder = copyOfModel();
  const result = await run(['quantize', folder, ...args]);
  expect(result.stderr).toMatch(sentence);
  expect(result.code).toBe(code);
  expect(existsSync(join(folder, 'onnx/model_q4.onnx'))).toBe(false);
});

it('leaves a graph that is there, and says what is missing', async () => {
  const folder = copyOfModel();
  writeFileSync(join(folder, 'onnx/model_q4.onnx'), 'mine');
  const there = await run(['quantize', folder, '--to', 'q4']);
  expect(there.stderr).toMatch(/there already; --force/);
  expect((await run(['quantize', folder, '--to', 'q4', '--force'])).code).toBe(0);
  writeFileSync(join(folder, 'onnx/model.onnx'), 'no graph');
  expect((await run(['quantize', folder, '--to', 'q8'])).stderr).toMatch(/not an ONNX model/);
  rmSync(join(folder, 'onnx/model.onnx'));
  expect((await run(['quantize', folder, '--to', 'q8'])).stderr).toMatch(/lacks onnx\/model\.onnx/);
});
