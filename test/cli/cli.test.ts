import { spawn } from 'node:child_process';
import { expect, it } from 'vitest';
import { commands } from '../../src/cli/main.ts';
import { formatBytes, formatCount, formatDuration } from '../../src/cli/output.ts';

const wick = new URL('../../src/cli/wick.js', import.meta.url).pathname;

function run(args: string[], { env = {}, input = '' }: { env?: object; input?: string } = {}) {
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    const child = spawn(process.execPath, [wick, ...args], {
      env: { ...process.env, ...env } as NodeJS.ProcessEnv,
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    child.on('close', (code) => resolve({ code, stdout, stderr }));
    child.stdin.end(input);
  });
}

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

it.each([
  [[], 2, /^$/],
  [['nonsense'], 2, /There is no command "nonsense"\. There is: prepare/],
  [['toString'], 2, /There is no command/],
  [['models', '--nonsense'], 2, /unknown option '--nonsense'/],
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
    models: [{ id: 'Llama-wick-3M', architecture: 'LlamaForCausalLM' }],
  });
  expect(stdout.trim().split('\n')).toHaveLength(1);
});

it('colours nothing off a terminal', async () => {
  const { stderr } = await run(['nonsense']);
  expect(stderr).not.toContain('\u001b[');
});

it('does not mind a reader that leaves', async () => {
  const code = await new Promise((resolve) => {
    const child = spawn('sh', ['-c', `"${process.execPath}" "${wick}" --help | head -c 1; exit 0`], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    child.on('close', (code) => resolve(`${code}${stderr}`));
  });
  expect(code).toBe('0');
});

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
