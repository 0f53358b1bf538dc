import { once } from 'node:events';
import { Agent, request as ask, createServer, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeEvent } from '../../src/api/events.ts';
import { type Started, secret, startWorker, until } from './worker.ts';

const model = 'Llama-wick-3M';
let worker: Started;
/** In the service's place: it is silent for a while before its answer, and remembers what it was asked with. */
let service: Server;
const ids: (string | undefined)[] = [];
/** More than lies between two ends of a connection: it is poured as fast as it is taken. */
const flood = { pieces: 400, sent: 0, closed: false };
/** Who stands in line for a while before the answer begins. */
const line = {
  left: 0,
  leave(response: ServerResponse) {
    this.left++;
    const error = {
      message: 'There is no more room.',
      type: 'server_error',
      param: null,
      code: 'overloaded',
    };
    response.end(writeEvent({ type: 'error', status: 503, error }));
  },
};
async function pour(response: ServerResponse): Promise<void> {
  response.on('close', () => {
    flood.closed = true;
  });
  response.write(writeEvent({ type: 'start', prompt_tokens: 1 }));
  for (; flood.sent < flood.pieces && !flood.closed; flood.sent++) {
    const delta = { type: 'delta', index: 0, text: 'x'.repeat(200_000), tokens: [1] };
    if (!response.write(writeEvent(delta)))
      await Promise.race([once(response, 'drain'), once(response, 'close')]);
  }
}
beforeAll(async () => {
  service = createServer((request, response) => {
    if (request.url === '/v1/models') {
      const entry = { id: 'Heavy', object: 'model', created: 1, owned_by: 'wick' };
      return response.end(JSON.stringify({ object: 'list', data: [entry] }));
    }
    ids.push(request.headers['x-request-id'] as string);
    if (request.headers['x-request-id'] === 'flood') return void pour(response);
    if (request.headers['x-request-id'] === 'line') {
      response.write(writeEvent({ type: 'waiting', place: 1 }));
      return void setTimeout(() => line.leave(response), 5_500);
    }
    response.write(writeEvent({ type: 'start', prompt_tokens: 1, timings: { queue: 12.5, tokenize: 1 } }));
    response.write(writeEvent({ type: 'delta', index: 0, text: 'So, ', tokens: [1] }));
    setTimeout(() => {
      response.write(writeEvent({ type: 'waiting', place: 0 }));
      response.write(writeEvent({ type: 'end', index: 0, finish_reason: 'stop' }));
      const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
      response.end(writeEvent({ type: 'done', usage }));
    }, 3_500);
  });
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
  const { port } = service.address() as { port: number };
  worker = await startWorker({
    WICK_SERVICE_URL: `http://127.0.0.1:${port}`,
    WICK_SECRET: secret,
    WICK_READER_PATIENCE: '1',
  });
});
afterAll(async () => {
  await worker?.stop();
  service?.closeAllConnections();
});

const post = (path: string, body: object, headers = {}) =>
  fetch(new URL(path, worker.url), { method: 'POST', headers, body: JSON.stringify({ model, ...body }) });

interface Chunk {
  id: string;
  created: number;
  choices: {
    index: number;
    text?: string;
    delta?: { role?: string; content?: string };
    logprobs: object | null;
    finish_reason: string | null;
  }[];
  usage?: object | null;
}
const chunksOf = (text: string): Chunk[] =>
  text.split('\n\n').flatMap((event) => (event.startsWith('data: {') ? [JSON.parse(event.slice(6))] : []));

test('a stream has one id, each role once, usage at its end and null before, and [DONE] last', async () => {
  const messages = [{ role: 'user', content: 'Tell a story.' }];
  const wish = { messages, n: 2, max_tokens: 5, stream: true, stream_options: { include_usage: true } };
  const response = await post('/v1/chat/completions', wish);
  expect(response.headers.get('cache-control')).toMatch(/no-store/);
  expect(response.headers.get('x-accel-buffering')).toBe('no');
  expect(response.headers.get('server-timing')).toMatch(/^queue;dur=[\d.]+, first_token;dur=[\d.]+$/);
  const text = await response.text();
  expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
  const chunks = chunksOf(text);
  const last = chunks.pop()!;
  expect(last).toMatchObject({ choices: [], usage: { completion_tokens: 10 }, wick: { timings: {} } });
  expect(new Set([...chunks, last].map(({ id, created }) => `${id} ${created}`)).size).toBe(1);
  expect(chunks.every(({ usage }) => usage === null)).toBe(true);
  for (const index of [0, 1]) {
    const own = chunks.flatMap(({ choices }) => choices.filter((choice) => choice.index === index));
    expect(own.map(({ delta }) => delta?.role).filter(Boolean)).toEqual(['assistant']);
    expect(own[0].delta?.role).toBe('assistant');
    expect(own.map(({ finish_reason }) => finish_reason).filter(Boolean)).toEqual(['length']);
    expect(own.at(-1)?.finish_reason).toBe('length');
  }
});

test.each([
  ['greedily', { temperature: 0 }],
  ['with a seed, two choices and logprobs', { temperature: 1, seed: 11, n: 2, logprobs: 2 }],
  ['to a stop string', { temperature: 0, stop: [' village', ', in'] }],
])('what is written %s is the same streamed and whole', async (_, parameters) => {
  const wish = { prompt: 'Once upon', max_tokens: 16, ...parameters };
  const whole = (await (await post('/v1/completions', wish)).json()) as Chunk;
  const chunks = chunksOf(await (await post('/v1/completions', { ...wish, stream: true })).text());
  for (const { index, text, logprobs, finish_reason } of whole.choices) {
    const own = chunks.flatMap(({ choices }) => choices.filter((choice) => choice.index === index));
    expect(own.map((choice) => choice.text).join('')).toBe(text);
    expect(own.at(-1)?.finish_reason).toBe(finish_reason);
    const parts = own.flatMap((choice) => (choice.logprobs ? [choice.logprobs as { tokens: string[] }] : []));
    if (logprobs)
      expect(parts.flatMap(({ tokens }) => tokens)).toEqual((logprobs as { tokens: string[] }).tokens);
  }
});

test('a stream has its status before its turn has come, and a failure after it in its events', async () => {
  const streams: [path: string, body: object, headers: object, failure: RegExp][] = [
    ['/v1/completions', { prompt: 'a', stream: true }, {}, /^data: {"error":{"message":"There is no more/],
    [
      ...(['/v1/responses', { input: 'a', stream: true }, {}] as const),
      /^event: error\n.*"There is no more room.*event: response.failed\n.*"status":"failed"/s,
    ],
    [
      '/text',
      { prompt: 'a' },
      { accept: 'text/event-stream' },
      /^event: error\ndata: {"error":{"message":"There/,
    ],
  ];
  const read = streams.map(async ([path, body, headers, failure]) => {
    const json = { 'content-type': 'application/json', 'x-request-id': 'line' };
    const response = await post(path, { model: 'Heavy', ...body }, { ...json, ...headers });
    expect(response.status).toBe(200);
    expect(line.left).toBe(0);
    expect(await response.text()).toMatch(failure);
  });
  await Promise.all(read);
  expect(line.left).toBe(streams.length);
});

test('a silent stream is pinged, and the id of its request goes through to the service', async () => {
  const wish = { model: 'Heavy', prompt: 'a', stream: true };
  const response = await post('/v1/completions', wish, { 'x-request-id': 'mine-1' });
  expect(response.headers.get('x-request-id')).toBe('mine-1');
  expect(response.headers.get('server-timing')).toMatch(/^queue;dur=12\.5, first_token/);
  const text = await response.text();
  expect(text).toMatch(/"So, ".*\n\n: ping\n\n.*\[DONE\]/s);
  expect(ids).toContain('mine-1');
});

test('an id that is not sane is not kept; one that fails stands in the error', async () => {
  for (const id of ['two words', 'x'.repeat(300), 'a<b>']) {
    const response = await post('/v1/completions', { prompt: 5 }, { 'x-request-id': id });
    const own = response.headers.get('x-request-id')!;
    expect(own).toMatch(/^[\w-]{36}$/);
    expect(await response.json()).toMatchObject({ request_id: own });
  }
});

test.each([
  ['trace', { trace: 'yes' }],
  ['trace_candidates', { trace: true, trace_candidates: 21 }],
  ['trace_candidates', { trace_candidates: 3 }],
  ['trace', { trace: true, prompt: ['a', 'b'] }],
])('`%s` is bounded: %j', async (param, fields) => {
  const response = await post('/v1/completions', { prompt: 'a', ...fields });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ error: { param } });
});

test('a reader who takes nothing holds up the service, and is given up, while others are served', async () => {
  const body = JSON.stringify({ model: 'Heavy', prompt: 'a', stream: true });
  const socket = connect({ port: Number(worker.url.port), host: worker.url.hostname });
  socket.pause();
  socket.write(
    `POST /v1/completions HTTP/1.1\r\nhost: a\r\nx-request-id: flood\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await until('its generation', () => flood.sent > 0);
  const other = (await (await post('/v1/completions', { prompt: 'The', max_tokens: 3 })).json()) as Chunk;
  expect(other.choices).toHaveLength(1);
  await until('its end', () => flood.closed);
  expect(flood.sent).toBeLessThan(flood.pieces);
  let read = '';
  socket.on('data', (piece) => {
    read += piece;
  });
  socket.on('error', () => {});
  socket.resume();
  await new Promise((resolve) => socket.once('close', resolve));
  expect(read).toContain('data: {');
  expect(read).not.toContain('[DONE]');
});

test('a connection through a proxy is used again after a stream', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const sockets = new Set<unknown>();
  const proxy = createServer((incoming, outgoing) => {
    const options = { method: incoming.method, path: incoming.url, headers: incoming.headers, agent };
    const onward = ask(worker.url, options, (answer) => {
      sockets.add(answer.socket);
      outgoing.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as { port: number };
  for (let i = 0; i < 3; i++) {
    const body = JSON.stringify({ model, prompt: 'Once', max_tokens: 4, stream: true });
    const response = await fetch(`http://127.0.0.1:${port}/v1/completions`, { method: 'POST', body });
    expect(await response.text()).toContain('[DONE]');
  }
  expect(sockets.size).toBe(1);
  agent.destroy();
  proxy.closeAllConnections();
  proxy.close();
});
