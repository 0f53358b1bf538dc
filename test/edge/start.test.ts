import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { temporaryFolder } from '../fixtures/tiny.ts';
import { freePort, until } from './worker.ts';

const wick = fileURLToPath(new URL('../../src/cli/wick.js', import.meta.url));

let running: ChildProcess | undefined;
afterEach(() => {
  running?.kill('SIGKILL');
});

/** Runs `wick start`, with nothing on its stdin. */
function start(env: Record<string, string>, ...args: string[]): { child: ChildProcess; lines: string[] } {
  const { WICK_SECRET, ...rest } = process.env;
  const child = spawn(process.execPath, [wick, 'start', ...args], {
    env: { ...rest, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running = child;
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    createInterface(stream).on('line', (line) => lines.push(line));
  return { child, lines };
}

/** The processes that a process has started, and those that they have. */
async function descendants(pid: number): Promise<number[]> {
  const parents = new Map<number, number>();
  for (const name of await readdir('/proc')) {
    const stat = /^\d+$/.test(name) ? await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '') : '';
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (stat && fields[0] !== 'Z') parents.set(Number(name), Number(fields[1]));
  }
  const of = (parent: number): number[] =>
    [...parents].filter(([, its]) => its === parent).flatMap(([child]) => [child, ...of(child)]);
  return of(pid);
}

const text = (port: number, query = '') =>
  fetch(`http://localhost:${port}/text?max_tokens=5&temperature=0${query}`, {
    method: 'POST',
    body: 'Once upon a time',
  });

test('both start, a service that dies is started again, and Ctrl-C ends all', async () => {
  const [port, servicePort] = [await freePort(), await freePort()];
  const { child, lines } = start({ PORT: String(port), WICK_SERVICE_PORT: String(servicePort) });
  const said = (what: RegExp) => until(`${what}`, () => lines.some((line) => what.test(line)), 50_000);
  await said(/Try: curl -N/);
  expect(lines).toContainEqual(`wick    │ Ready at http://localhost:${port}`);
  for (const line of lines) expect(line).toMatch(/^(wick|edge|service) +│ /);
  const fromEdge = await (await text(port)).text();
  expect(await (await text(port, '&placement=service')).text()).toBe(fromEdge);
  await said(/^edge +│ POST \/text 200/);

  const processes = await descendants(child.pid!);
  const commands = await Promise.all(processes.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8')));
  // workerd, too, has `serve` in its command line.
  const service = processes[commands.findIndex((command) => command.includes('wick.js\0serve'))];
  const environment = await readFile(`/proc/${service}/environ`, 'utf8');
  const secret = /(?:^|\0)WICK_SECRET=([0-9a-f]{64})\0/.exec(environment)![1];
  for (const shown of [...commands, ...lines]) expect(shown).not.toContain(secret);

  process.kill(service, 'SIGKILL');
  await said(/The service ended \(SIGKILL\)/);
  expect((await text(port)).status).toBe(200);
  await said(/The service answers again/);
  expect(await (await text(port, '&placement=service')).text()).toBe(fromEdge);

  const all = await descendants(child.pid!);
  const ended = once(child, 'exit');
  child.kill('SIGINT');
  expect(await ended).toEqual([130, null]);
  await until('the end of all processes', async () => {
    const left = await Promise.all(
      all.map((pid) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z')),
    );
    return left.every((stat) => stat.slice(stat.lastIndexOf(')')).startsWith(') Z'));
  });
});

test('SIGTERM ends it too, also before all is ready, and --json logs JSON alone', async () => {
  const env = { PORT: String(await freePort()), WICK_SERVICE_PORT: String(await freePort()) };
  const { child, lines } = start(env, '--json');
  await until('the first line', () => lines.length > 0);
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
  for (const line of lines)
    expect(JSON.parse(line)).toMatchObject({ time: expect.any(String), from: expect.any(String) });
});

test.each(['PORT', 'WICK_SERVICE_PORT'])('a taken %s is named, with what to do', async (variable) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as { port: number };
  const env = {
    PORT: String(await freePort()),
    WICK_SERVICE_PORT: String(await freePort()),
    [variable]: String(port),
  };
  const { child, lines } = start(env);
  expect(await once(child, 'exit')).toEqual([1, null]);
  await until('the sentence', () => lines.length > 0);
  expect(lines.join('\n')).toMatch(new RegExp(`port ${port} is taken.*${variable}`));
  taken.close();
});

test('a port that is none is refused', async () => {
  const { child, lines } = start({ PORT: 'here' });
  expect(await once(child, 'exit')).toEqual([1, null]);
  await until('the sentence', () => lines.length > 0);
  expect(lines.join('\n')).toMatch(/PORT is "here"\. A port is a whole number/);
});

test.each([
  ['is not there', undefined, /The policy cannot be read: .*no\.json/],
  ['is no JSON', 'mask all', /The policy is not JSON/],
  [
    'names a caller that it does not know',
    policyFor('nobody'),
    /rules\.0\.keys\.0: there is no caller "nobody"/,
  ],
])('a policy that %s is refused before anything starts', async (_, text, sentence) => {
  const file = join(temporaryFolder(), text === undefined ? 'no.json' : 'policy.json');
  if (text !== undefined) await writeFile(file, text);
  const { child, lines } = start({}, '--policy', file);
  expect(await once(child, 'exit')).toEqual([1, null]);
  await until('the sentence', () => lines.length > 0);
  expect(lines.join('\n')).toMatch(sentence);
});

function policyFor(key: string): string {
  const rules = [{ entities: ['*'], action: 'mask', keys: [key] }];
  return JSON.stringify({
    version: 1,
    name: 'a',
    rules,
    examples: [{ text: '', direction: 'input', gives: '' }],
  });
}
