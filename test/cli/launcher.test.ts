import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { afterEach, expect, it } from 'vitest';
import { ended, wick } from './run-wick.ts';

/** Makes a Node say that it is an older one. */
const older = (version: string) =>
  `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'${version}'}})`;

const started: ChildProcessWithoutNullStreams[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGTERM');
});

function launch(version: string, ...args: string[]): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, ['--import', older(version), wick, ...args], {
    env: { ...process.env, WICK_SECRET: 'a secret for tests alone' },
  });
  started.push(child);
  return child;
}

/** Platforms for which npm installs a Node beside wick. */
const installed = [
  `node-${process.platform}-${process.arch}`,
  `node-bin-${process.platform}-${process.arch}`,
].some((name) => {
  try {
    return createRequire(import.meta.url).resolve(`${name}/package.json`) !== '';
  } catch {
    return false;
  }
});

it.each(['20.0.0', '22.17.1'])('hands over to the Node that npm installed, from Node %s', async (version) => {
  const { code, stdout, stderr } = await ended(launch(version, 'models', '--json'));
  if (installed) {
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout).models).not.toHaveLength(0);
  } else {
    expect(code).toBe(1);
    expect(stderr).toMatch(/^wick: Node \S+ does not run TypeScript.* Install Node 22\.18 or later\.\n$/);
  }
});

it.runIf(installed)('passes on what the command reads and its exit code', async () => {
  const [unknown, missing] = await Promise.all([
    ended(launch('20.0.0', 'nonsense')),
    ended(launch('20.0.0', 'models', '--models', 'nowhere')),
  ]);
  expect([unknown.code, missing.code]).toEqual([2, 1]);
  expect(missing.stderr).toMatch(/^wick: There is no folder .*nowhere/);

  const child = launch('20.0.0', 'generate', '--max-tokens', '2', '--json');
  child.stdin.end('Once upon a time');
  expect(JSON.parse((await ended(child)).stdout).usage.completion_tokens).toBe(2);
});

const endings = [
  ['SIGINT', 130],
  ['SIGTERM', 0],
] as const;
const versions = installed ? [process.versions.node, '20.0.0'] : [process.versions.node];

it.each(versions.flatMap((version) => endings.map(([signal, code]) => ({ version, signal, code }))))(
  'ends on $signal with $code, on Node $version',
  async ({ version, signal, code }) => {
    const child = launch(version, 'serve', '--port', '0', '--threads', '1');
    const end = ended(child);
    const listens = new Promise<string>((resolve) => {
      child.stdout.on('data', (chunk) => {
        const found = /listens at (http:\S+)/.exec(chunk);
        if (found) resolve(found[1]);
      });
    });
    const url = await Promise.race([listens, end.then(({ stderr }) => Promise.reject(new Error(stderr)))]);
    expect((await fetch(`${url}/health`)).status).toBe(200);
    child.kill(signal);
    expect(await end).toMatchObject({ code, stderr: '' });
  },
);
