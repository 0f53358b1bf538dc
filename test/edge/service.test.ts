import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { writeEvent } from '../../src/api/events.ts';
import { signatureFault } from '../../src/api/signature.ts';
import { freePort, type Started, secret, startWorker, until } from './worker.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const model = 'Llama-wick-3M';
const wish = { model, prompt: 'Once upon a time', temperature: 0, max_tokens: 12, placement: 'service' };

let worker: Started;
let port: number;
beforeAll(async () => {
  port = await freePort();
  worker = await startWorker({ WICK_SERVICE_URL: `http://127.0.0.1:${port}`, WICK_SECRET: secret });
});
afterAll(() => worker?.stop());

let service: ChildProcess | undefined;
let other: Server | undefined;
afterEach(async () => {
  if (service && service.exitCode === null && service.signalCode === null) {
    service.kill('SIGKILL');
    await once(service, 'exit');
  }
  other?.closeAllConnections();
  await new Promise((resolve) => (other ? other.close(resolve) : resolve(undefined)));
  service = other = undefined;
  expect(worker.log.join('\n')).not.toContain(secret);
});

/** The real service, as a process of its own. */
async function startService(): Promise<void> {
  service = spawn(
    process.execPath,
    ['src/cli/wick.js', 'serve', '--port', String(port), '--models', 'models', '--preload'],
    {
      cwd: root,
      env: { ...process.env, WICK_SECRET: secret },
      stdio: 'ignore',
    },
  );
  await until(
    'the service',
    async () => (await fetch(`http://127.0.0.1:${port}/ready`).catch(() => undefined))?.ok ?? false,
  );
}

/** Something else in the service's place: it has one model, and generates as told. */
async function startOther(generate: RequestListener, id = 'Heavy'): Promise<void> {
  other = createServer((request, response) => {
    if (request.url !== '/v1/models') return generate(request, response);
    response.end(
      JSON.stringify({ object: 'list', data: [{ id, object: 'model', created: 1, owned_by: 'wick' }] }),
    );
  });
  other.listen(port, '127.0.0.1');
  await once(other, 'listening');
}

/** Writes the beginning of an answer. */
function begin(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.write(
    '{"type":"start","prompt_tokens":4}\n{"type":"delta","index":0,"text":" there","tokens":[5]}\n',
  );
}

const post = (body: object, init: RequestInit = {}, path = '/v1/completions') =>
  fetch(new URL(path, worker.url), { method: 'POST', body: JSON.stringify(body), ...init });
interface Answer {
  model: string;
  choices: { text: string }[];
  wick?: object;
  error?: { message: string; code: string };
}
const answerTo = async (body: object) => (await (await post(body)).json()) as Answer;

test('the service answers with the same greedy tokens as the edge, streaming and not', async () => {
  await startService();
  const response = await post(wish);
  expect(response.headers.get('x-wick-placement')).toBe('service');
  const fromService = (await response.json()) as Answer;
  const fromEdge = await answerTo({ ...wish, placement: 'edge' });
  expect(fromService.choices).toEqual(fromEdge.choices);
  const client = new OpenAI({ baseURL: new URL('/v1', worker.url).href, apiKey: 'none', maxRetries: 0 });
  let text = '';
  const { placement, ...plain } = wish;
  for await (const chunk of await client.completions.create(
    { ...plain, stream: true },
    { body: { ...wish, stream: true } },
  )) {
    text += chunk.choices[0].text;
  }
  expect(text).toBe(fromEdge.choices[0].text);
  const list = (await (await fetch(new URL('/v1/models', worker.url))).json()) as {
    data: { wick: { placements: string[]; revisions: { edge: string; service: string } } }[];
  };
  const { placements, revisions } = list.data[0].wick;
  expect(placements).toEqual(['edge', 'service']);
  // The same files are the same revision, in a bundle and in a folder.
  expect(revisions.edge).toMatch(/^[0-9a-f]{16}$/);
  expect(revisions.service).toBe(revisions.edge);
  const health = (await (await fetch(new URL('/health', worker.url))).json()) as { service: object };
  expect(health.service).toEqual({ status: 'ok' });
});

test('the service says what is wrong with a request in its own words', async () => {
  await startService();
  const response = await post({ ...wish, prompt: 'word '.repeat(5000) });
  expect(response.status).toBe(400);
  expect(((await response.json()) as Answer).error).toMatchObject({ code: 'context_length_exceeded' });
  const tokens = await post({ ...wish, prompt: [5_000_000] });
  expect(tokens.status).toBe(400);
});

test('a service that is killed in the middle breaks a stream off, without its end', async () => {
  await startService();
  const long = { ...wish, max_tokens: 480, logit_bias: { 2: -100 }, stream: true };
  const response = await post(long);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let events = (await reader.read()).value!;
  service!.kill('SIGKILL');
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) events += piece.value;
  expect(events).not.toContain('[DONE]');
  const last = JSON.parse(events.trim().split('data: ').at(-1)!) as Answer;
  expect(last.error).toMatchObject({ code: 'service_broke_off' });
});

test('a service that is down is a 503, or the edge in its place where the request allows it', async () => {
  const down = await post(wish);
  expect(down.status).toBe(503);
  expect(Number(down.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(((await down.json()) as Answer).error).toMatchObject({
    type: 'server_error',
    code: 'service_unavailable',
  });

  const instead = await post({ ...wish, fallback: true });
  expect(instead.status).toBe(200);
  expect(instead.headers.get('x-wick-fallback')).toBe('true');
  const answer = (await instead.json()) as Answer;
  expect(answer).toMatchObject({ model, wick: { placement: 'edge', fallback: true } });
  const streamed = await (await post({ ...wish, fallback: true, stream: true })).text();
  expect(JSON.parse(streamed.split('\n')[0].slice(6))).toMatchObject({
    wick: { placement: 'edge', fallback: true },
  });
  expect(streamed).toContain('[DONE]');

  const text = await fetch(
    new URL('/text?placement=service&fallback=true&temperature=0&max_tokens=12', worker.url),
    {
      method: 'POST',
      body: wish.prompt,
    },
  );
  expect(text.headers.get('x-wick-fallback')).toBe('true');
  expect(await text.text()).toBe(`${answer.choices[0].text}\n`);
  expect(await answerTo({ ...wish, model: 'Heavy' })).toMatchObject({
    error: { code: 'service_unavailable' },
  });
  expect((await (await fetch(new URL('/v1/models', worker.url))).json()) as object).toMatchObject({
    data: [{ id: model }],
  });
});

test("a model that only the service has is asked for there, signed, and the service's busy is passed on", async () => {
  const faults: (string | undefined)[] = [];
  await startOther(async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    const headers = new Headers(request.headers as Record<string, string>);
    faults.push(await signatureFault({ secret, method: 'POST', path: request.url!, body }, headers));
    if (faults.length > 1) {
      response.writeHead(503, { 'retry-after': '17' });
      return response.end(
        '{"error":{"message":"Busy.","type":"server_error","param":null,"code":"overloaded"}}',
      );
    }
    begin(response);
    response.end(
      '{"type":"end","index":0,"finish_reason":"stop"}\n{"type":"done","usage":{"prompt_tokens":4,"completion_tokens":1,"total_tokens":5}}\n',
    );
  });
  const { placement, ...heavy } = { ...wish, model: 'Heavy' };
  expect((await post(heavy)).status).toBe(200);
  expect(faults).toEqual([undefined]);
  const busy = await post(heavy);
  expect(busy.status).toBe(503);
  expect(busy.headers.get('retry-after')).toBe('17');
  expect((await busy.json()) as Answer).toMatchObject({ error: { message: 'Busy.', code: 'overloaded' } });
  const { error } = await answerTo({ ...heavy, model: 'nobody' });
  expect(error?.message).toMatch(/nobody.*Llama-wick-3M, Heavy/);
});

const oops = { message: 'Out of memory.', type: 'server_error', param: null, code: 'failed' };
const broken: [what: string, end: (response: ServerResponse) => unknown][] = [
  ['cuts its stream', (response) => setTimeout(() => response.destroy(), 50)],
  ['ends its stream early', (response) => response.end()],
  ['sends no events', (response) => response.end('<html>oops</html>\n')],
  ['sends half an event', (response) => response.end('{"type":"done","usage":')],
  [
    'says that it failed',
    (response) => response.end(writeEvent({ type: 'error', status: 500, error: oops })),
  ],
];
test.each(broken)('a service that %s is no clean end', async (_, end) => {
  await startOther((_, response) => {
    begin(response);
    end(response);
  }, model);
  const events = await (await post({ ...wish, stream: true })).text();
  const pieces = [...events.matchAll(/"text":"([^"]*)"/g)].map(([, piece]) => piece);
  expect(pieces.join('')).toBe(' there');
  expect(events).not.toContain('[DONE]');
  expect(JSON.parse(events.trim().split('data: ').at(-1)!)).toMatchObject({
    error: { type: 'server_error' },
  });
  expect((await post(wish)).status).toBeGreaterThanOrEqual(500);
  const text = await fetch(new URL('/text?placement=service', worker.url), { method: 'POST', body: 'a' });
  expect(await text.text()).toMatch(/^ there\n\n\[.+\.\]\n$/);
});

const refusing: [status: number, body: string][] = [
  [
    401,
    '{"error":{"message":"The signature does not fit.","type":"x","param":null,"code":"invalid_signature"}}',
  ],
  [500, 'Error: boom\n    at /srv/secret/path.ts:1:1'],
];
test.each(refusing)(
  'a service that answers %i is down for the caller, who sees nothing of it',
  async (status, body) => {
    await startOther((_, response) => response.writeHead(status).end(body), model);
    const response = await post(wish);
    expect(response.status).toBe(503);
    expect(await response.text()).not.toMatch(/signature|boom|srv/);
    expect((await post({ ...wish, fallback: true })).headers.get('x-wick-fallback')).toBe('true');
  },
);

test('a caller who leaves is a reader who leaves the service', async () => {
  let [began, closed] = [0, 0];
  await startOther((_, response) => {
    began++;
    begin(response);
    const timer = setInterval(
      () => response.write('{"type":"delta","index":0,"text":" and","tokens":[6]}\n'),
      10,
    );
    response.on('close', () => {
      clearInterval(timer);
      closed++;
    });
  }, model);
  const leave = async (stream: boolean) => {
    const leaving = new AbortController();
    const asked = post({ ...wish, stream }, { signal: leaving.signal });
    if (stream) await (await asked).body!.getReader().read();
    else await new Promise((resolve) => setTimeout(resolve, 50));
    leaving.abort();
    await asked.catch(() => {});
  };
  await Promise.all(Array.from({ length: 20 }, (_, i) => leave(i % 2 === 0)));
  // Of those that leave before a byte has come, some were never asked for there.
  expect(began).toBeGreaterThanOrEqual(10);
  await until('the end of every generation', () => closed === began);
});
