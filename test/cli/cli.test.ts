import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { WriteStream } from 'node:tty';
import { afterEach, expect, it, vi } from 'vitest';
import { commands } from '../../src/cli/main.ts';
import { formatBytes, formatCount, formatDuration, styled } from '../../src/cli/output.ts';
import { readOnnx } from '../../src/graph/onnx.ts';
import { ended, run, wick } from './run-wick.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

it('lists its commands', async () => {
  const { code, stdout, stderr } = await run(['--help']);
  expect(code).toBe(0);
  expect(stderr).toBe('');
  for (const name of Object.keys(commands)) expect(stdout).toContain(name);
});

it.each(Object.keys(commands))('%s has --help and --json', async (name) => {
  const command = await commands[name].load();
  const withOptions = command.commands.length > 0 ? command.commands : [command];
  for (const each of withOptions) {
    expect(each.options.map(({ long }) => long)).toContain('--json');
    expect(each.helpInformation()).toContain('--help');
  }
});

it('tells what a command is for', async () => {
  const [asked, helped] = await Promise.all([run(['models', '--help']), run(['help', 'models'])]);
  expect(asked).toMatchObject({ code: 0, stderr: '' });
  expect(asked.stdout).toMatch(/^Usage: wick models .*--json/s);
  expect(helped).toEqual(asked);
});

it.each([
  [[], 2, /^$/],
  [['help', 'nonsense'], 2, /There is no command "nonsense"/],
  [['__proto__'], 2, /There is no command/],
  [['models', 'superfluous'], 2, /^wick: too many arguments/],
  [['eval'], 2, /Usage: wick eval/],
  [['eval', 'nonsense'], 2, /^wick: unknown command 'nonsense'/],
  [['nonsense'], 2, /There is no command "nonsense"\. There is: prepare/],
  [['toString'], 2, /There is no command/],
  [['models', '--nonsense'], 2, /^wick: unknown option '--nonsense'/],
  [['prepare'], 2, /missing required argument|required option/],
  [['train', 'nowhere.json'], 1, /nowhere\.json cannot be read/],
  [['export', 'nowhere', '--out', 'x'], 1, /nowhere/],
  [['eval', 'bits-per-byte', '--model', 'nowhere', 'package.json'], 1, /no model folder .*nowhere/],
  [['generate', '--model', 'nowhere', 'x'], 1, /no model folder/],
  [['generate', '--temperature', 'hot', 'x'], 2, /It is a number/],
  [['generate', '--temperature', '9', 'x'], 1, /temperature is a number from 0 to 2, not 9/],
  [['models', '--models', 'nowhere'], 1, /no folder/],
])('%j ends with its code and a sentence', async (args, expected, message) => {
  const { code, stderr } = await run(args);
  expect(code).toBe(expected);
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/\n\s+at /);
});

it('prints JSON, and nothing else, on stdout', async () => {
  const { stdout } = await run(['models', '--json']);
  expect(JSON.parse(stdout)).toMatchObject({
    models: [
      { id: 'Llama-wick-3M', architecture: 'LlamaForCausalLM' },
      { id: 'wick-draw', architecture: 'WickPipeline', size: 64 },
    ],
  });
  expect(stdout.trim().split('\n')).toHaveLength(1);
});

it('tells the precision of each graph, and counts what the others store', async () => {
  const { stdout } = await run(['models', '--models', 'test/fixtures/families', '--json']);
  const models = JSON.parse(stdout).models as {
    id: string;
    parameters?: number;
    graphs: { precision: string }[];
  }[];
  const of = (id: string) => models.find((model) => model.id === id)!;
  expect(of('qwen2-q4').graphs.map(({ precision }) => precision)).toEqual(['q4', 'q4, the rest fp16']);
  expect(of('qwen2-q4').parameters).toBeUndefined();
  expect(of('qwen3').parameters).toBeGreaterThan(15_500);
  expect(of('qwen3').parameters).toBeLessThan(16_500);
});

it('keeps stdout free of anything else when asked for JSON, also when it fails', async () => {
  const results = await Promise.all([
    run(['models', '--json', '--models', 'nowhere']),
    run(['models', '--json', '--nonsense']),
    run(['eval', 'bits-per-byte', '--json', '--model', 'nowhere', 'package.json']),
  ]);
  expect(results.map(({ stdout }) => stdout)).toEqual(['', '', '']);
});

it('lists models of any architecture, and names the configuration that is not one', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wick-models-'));
  const onnx = (id: string) => join(folder, id, 'onnx');
  try {
    mkdirSync(onnx('other'), { recursive: true });
    writeFileSync(
      join(folder, 'other/config.json'),
      '{"architectures": ["GPT2LMHeadModel"], "n_positions": 8}',
    );
    writeFileSync(join(onnx('other'), 'model.onnx'), 'abc');
    writeFileSync(join(onnx('other'), 'model.onnx_data'), 'defgh');
    const { stdout } = await run(['models', '--models', folder, '--json']);
    const [model] = JSON.parse(stdout).models;
    expect(model).toMatchObject({ id: 'other', architecture: 'GPT2LMHeadModel', context: 8 });
    expect(model).not.toHaveProperty('parameters');
    expect(model.graphs).toEqual([{ name: 'onnx/model.onnx', precision: 'fp32', bytes: 8 }]);

    for (const [text, message] of [
      ['null', /config\.json is not a model configuration/],
      ['{"architectures"', /config\.json is not JSON/],
    ] as const) {
      writeFileSync(join(folder, 'other/config.json'), text);
      const { code, stderr } = await run(['models', '--models', folder]);
      expect(code).toBe(1);
      expect(stderr).toMatch(message);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('counts the parameters of the model that ships', async () => {
  const { stdout } = await run(['models', '--json']);
  const [{ parameters }] = JSON.parse(stdout).models;
  const { graph } = readOnnx(readFileSync('models/Llama-wick-3M/onnx/model.onnx'));
  const weights = graph.initializer.filter(({ name }) => name.endsWith('.weight'));
  const sizes = weights.map(({ dims }) => dims.reduce((product, dim) => product * Number(dim), 1));
  expect(parameters).toBe(sizes.reduce((sum, size) => sum + size, 0));
});

it('colours nothing off a terminal', async () => {
  const { stderr } = await run(['nonsense']);
  expect(stderr).not.toContain('\u001b[');
});

it('colours nothing where NO_COLOR is set, a terminal or not', () => {
  const { getColorDepth } = WriteStream.prototype;
  const terminal = Object.assign(new PassThrough(), { isTTY: true, getColorDepth });
  const text = () => styled('red', 'x', terminal as unknown as NodeJS.WriteStream);
  for (const name of ['NO_COLOR', 'FORCE_COLOR', 'NODE_DISABLE_COLORS', 'CI']) vi.stubEnv(name, undefined);
  vi.stubEnv('TERM', 'xterm-256color');
  expect(text()).toContain('\u001b[31m');
  vi.stubEnv('NO_COLOR', '1');
  expect(text()).toBe('x');
});

it.each(['--help | head -c 0', '--help | head -c 1', 'nonsense 2>&1 | head -c 0', 'models | true'])(
  'does not mind a reader that leaves: wick %s',
  async (line) => {
    const child = spawn('sh', ['-c', `"${process.execPath}" "${wick}" ${line}; exit 0`]);
    expect(await ended(child)).toMatchObject({ code: 0, stderr: '' });
  },
);

it('generates from stdin', async () => {
  const { stdout, code } = await run(['generate', '--max-tokens', '5', '--temperature', '0', '--json'], {
    input: 'Once upon a time',
  });
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    model: 'Llama-wick-3M',
    finish_reason: 'length',
    usage: { completion_tokens: 5 },
  });
});

it('says numbers for people', () => {
  expect([
    formatCount(999),
    formatCount(1_234_567),
    formatBytes(1536),
    formatDuration(3725),
    formatDuration(61),
  ]).toEqual(['999', '1.23M', '1.50 KiB', '1h 2m', '1m 1s']);
});
