import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compare } from '../../src/cli/commands/replay.ts';
import { bar } from '../../src/cli/show-trace.ts';
import { parseTrace } from '../../src/cli/trace-file.ts';
import { type Started, startWorker } from '../edge/worker.ts';
import { temporaryFolder } from '../fixtures/tiny.ts';
import { run } from './run-wick.ts';

let worker: Started;
beforeAll(async () => {
  worker = await startWorker();
});
afterAll(() => worker?.stop());

const folder = temporaryFolder();
const model = 'Llama-wick-3M';
const json = { 'content-type': 'application/json' };
const ask = async (path: string, body: object, accept = ''): Promise<string> => {
  const length = path === '/v1/responses' ? { max_output_tokens: 8 } : { max_tokens: 8 };
  const wish = { model, trace: true, ...length, ...body };
  const init = { method: 'POST', headers: { ...json, accept }, body: JSON.stringify(wish) };
  return (await fetch(new URL(path, worker.url), init)).text();
};
function saved(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}
const messages = [{ role: 'user', content: 'Tell a story.' }];

it.each<[name: string, path: string, body: object, accept?: string]>([
  ['a completion with a seed', '/v1/completions', { prompt: 'Once upon', seed: 5, temperature: 0.9 }],
  ['two choices of a chat, their seed drawn', '/v1/chat/completions', { messages, n: 2 }],
  ['a stream', '/v1/completions', { prompt: 'The dragon', stream: true }],
  ['a response', '/v1/responses', { input: 'Tell a story.' }],
  ['a streamed response', '/v1/responses', { input: 'Tell a story.', stream: true }],
  ['a text as JSON', '/text', { prompt: 'The dragon' }, 'application/json'],
  ['a text as events', '/text', { prompt: 'The dragon' }, 'text/event-stream'],
])('%s of the edge is made again there, and on this machine', async (name, path, body, accept) => {
  const file = saved(name.replaceAll(' ', '-'), await ask(path, body, accept));
  const [there, here] = await Promise.all([
    run(['replay', file, '--url', worker.url.href]),
    run(['replay', file, '--json']),
  ]);
  expect(there).toMatchObject({ code: 0, stdout: expect.stringMatching(/^The same: all \d+ tokens\.\n$/) });
  expect(JSON.parse(here.stdout)).toMatchObject({ same: true });
  const shown = await run(['trace', file]);
  expect(shown.stdout).toMatch(/revision [0-9a-f]{16}.*edge: onnxruntime-web.*model, 4096 left.*█/s);
  expect(shown.stdout).not.toContain('\u001b');
});

it('another revision is refused with both names, and what departs is told', async () => {
  const answer = JSON.parse(await ask('/v1/completions', { prompt: 'Once', temperature: 0 }));
  answer.wick.trace.revision = '0123456789abcdef';
  answer.choices[0].wick.trace[3].id = 7;
  const file = saved('changed.json', JSON.stringify(answer));
  const refused = await run(['replay', file]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/0123456789abcdef, and here is [0-9a-f]{16}: --force/);
  const forced = await run(['replay', file, '--force']);
  expect(forced.code).toBe(1);
  expect(forced.stdout).toMatch(/^It departs in choice 0 at token 4: it was 7 and is \d+\.\n$/);
});

it.each([
  ['nothing', '', /neither JSON/],
  ['half a JSON', '{"choices":[', /neither JSON/],
  ['another JSON', '{"choices":5}', /not an answer with a trace/],
  ['an answer without a trace', '{"choices":[{"index":0}]}', /has no trace/],
  ['a list', '[]', /not an answer/],
])('%s is no trace', (_, text, sentence) => {
  expect(() => parseTrace(text, 'it')).toThrow(sentence);
});

it('an answer that is shorter or longer departs where the other ends', () => {
  const token = (id: number) => ({ id }) as never;
  const trace = { request: {} as never, choices: [[token(1), token(2)]] };
  expect(compare(trace, [[1, 2]])).toEqual({ tokens: 2, same: true });
  expect(compare(trace, [[1]])).toMatchObject({ departs: { choice: 0, token: 1, was: 2, is: null } });
  expect(compare(trace, [[1, 2], [3]])).toMatchObject({ departs: { choice: 1, token: 0, was: null, is: 3 } });
});

it('bars are as long as probabilities are large', () => {
  expect(bar(0).trim()).toBe('');
  expect(bar(1)).toBe('█'.repeat(16));
  expect(bar(0.5).trim()).toBe('█'.repeat(8));
});
