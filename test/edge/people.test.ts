/** The doors for people: `/text` in all the ways in which it is asked and answers. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Started, startWorker } from './worker.ts';

let worker: Started;
let greedy: string;
beforeAll(async () => {
  worker = await startWorker();
  greedy = await (await post('/text?temperature=0&max_tokens=8', 'Once upon a time')).text();
  expect(greedy).toMatch(/\w.*\n$/s);
});
afterAll(() => worker?.stop());

const call = (path: string, init: RequestInit = {}) => fetch(new URL(path, worker.url), init);
const post = (path: string, body: BodyInit, type?: string, accept?: string) =>
  call(path, {
    method: 'POST',
    body,
    headers: { ...(type && { 'content-type': type }), ...(accept && { accept }) },
  });

const form = 'application/x-www-form-urlencoded';
const fields = { prompt: 'Once upon a time', temperature: '0', max_tokens: '8' };
const multipart = (more: Record<string, string | Blob> = {}) => {
  const data = new FormData();
  for (const [name, value] of Object.entries({ ...fields, ...more })) data.append(name, value);
  return data;
};

test('a plain body, a form, JSON and an address ask for the same', async () => {
  const ways = [
    post('/text?temperature=0&max_tokens=8', 'Once upon a time', form),
    post('/text', new URLSearchParams(fields)),
    post('/text?temperature=1&max_tokens=3', new URLSearchParams(fields)),
    post('/text', multipart()),
    post('/text', multipart({ prompt: new Blob(['Once upon a time']) })),
    post('/text', JSON.stringify({ ...fields, temperature: 0, max_tokens: 8 }), 'application/json'),
    post(
      '/text?temperature=0',
      JSON.stringify({ prompt: fields.prompt, max_tokens: 8, seed: null }),
      'application/json',
    ),
    call(`/text?${new URLSearchParams(fields)}`),
  ];
  for (const way of ways) {
    const response = await way;
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(await response.text()).toBe(greedy);
  }
});

test('a text that curl calls a form stays a text', async () => {
  const texts = ['a=b & c', 'Salt & pepper & prompt=x', '2+2=4', 'a%20b', 'prompt: x'];
  for (const text of texts) {
    const plain = await post('/text?temperature=0&max_tokens=4', text, 'text/plain');
    const asForm = await post('/text?temperature=0&max_tokens=4', text, form);
    expect(await asForm.text()).toBe(await plain.text());
  }
});

test('the accept header chooses text, JSON or events', async () => {
  const asked = `/text?${new URLSearchParams(fields)}`;
  const accepting = (accept: string) => call(asked, { headers: { accept } });
  for (const accept of [
    '*/*',
    'text/html,*/*;q=0.8',
    'text/plain',
    'text/plain, application/json;q=0.5',
    'image/png',
  ])
    expect(await (await accepting(accept)).text()).toBe(greedy);
  const json = await accepting('application/json');
  expect(json.headers.get('vary')).toMatch(/accept/i);
  expect(await json.json()).toEqual({
    model: 'Llama-wick-3M',
    text: greedy.slice(0, -1),
    finish_reason: 'length',
    usage: {
      ...{ prompt_tokens: expect.any(Number), completion_tokens: 8, total_tokens: expect.any(Number) },
      prompt_tokens_details: { cached_tokens: expect.any(Number) },
    },
  });
  const events = await accepting('application/json;q=0.1, text/event-stream');
  expect(events.headers.get('content-type')).toMatch(/^text\/event-stream/);
  const parts = (await events.text()).trim().split('\n\n');
  expect(parts.pop()).toMatch(/^event: done\ndata: \{"finish_reason":"length","usage":\{/);
  expect(
    parts.map((part) => (JSON.parse(part.slice('data: '.length)) as { text: string }).text).join(''),
  ).toBe(greedy.slice(0, -1));
  const head = await call(asked, { method: 'HEAD' });
  expect([head.status, await head.text()]).toEqual([200, '']);
});

const json = 'application/json';
const wrong: [what: string, ask: () => Promise<Response>, status: number, sentence: RegExp][] = [
  ['no prompt in the address', () => call('/text'), 400, /`prompt` is missing/],
  ['an empty prompt', () => call('/text?prompt='), 400, /`prompt` is missing/],
  ['two prompts', () => call('/text?prompt=a&prompt=b'), 400, /more than once/],
  ['a prompt in body and address', () => post('/text?prompt=a', 'b'), 400, /more than once/],
  [
    'a prompt in form and address',
    () => post('/text?prompt=a', new URLSearchParams(fields)),
    400,
    /more than once/,
  ],
  [
    'an option that is nearly one',
    () => call('/text?prompt=a&temprature=1'),
    400,
    /Did you mean `temperature`\?/,
  ],
  ['half a JSON', () => post('/text', '{"prompt":', json), 400, /not JSON/],
  ['a list', () => post('/text', '["a"]', json), 400, /JSON object/],
  ['JSON without a prompt', () => post('/text', '{"max_tokens":3}', json), 400, /`prompt` is missing/],
  ['a number for a prompt', () => post('/text', '{"prompt":3}', json), 400, /`prompt`.*text/],
  ['a text for a number', () => post('/text', '{"prompt":"a","max_tokens":"3"}', json), 400, /`max_tokens`/],
  ['too few of stop', () => call('/text?prompt=a&stop='), 400, /`stop\[0\]`.*one character/],
  ['a form that is cut', () => post('/text', 'x', 'multipart/form-data; boundary=b'), 400, /no form/],
  ['a form without a boundary', () => post('/text', 'x', 'multipart/form-data'), 400, /no form/],
  [
    'a file that is no text',
    () => post('/text', multipart({ prompt: new Blob([new Uint8Array([255])]) })),
    400,
    /UTF-8/,
  ],
  ['2 MB', () => post('/text', multipart({ prompt: 'x'.repeat(2_000_000) })), 413, /larger than/],
  ['another method', () => call('/text', { method: 'DELETE' }), 405, /takes POST, GET, HEAD, OPTIONS/],
];
test.each(wrong)(
  '%s is refused in a sentence, and in JSON where that is accepted',
  async (_, ask, status, sentence) => {
    const response = await ask();
    const text = await response.text();
    expect(response.status, text).toBe(status);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain/);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(text).toMatch(sentence);
  },
);

test('plain text has no room for a trace', async () => {
  const response = await call('/text?trace=true&prompt=a', {});
  expect(response.status).toBe(400);
  expect(await response.text()).toMatch(/trace.*accept: application\/json/);
});

test('a failure is JSON to who accepts it', async () => {
  const response = await call('/text?magic=1&prompt=a', { headers: { accept: 'application/json' } });
  expect(response.status).toBe(400);
  expect(await response.json()).toEqual({
    error: {
      message: expect.stringContaining('`magic`'),
      type: 'invalid_request_error',
      param: 'magic',
      code: 'unknown_parameter',
    },
    request_id: response.headers.get('x-request-id'),
  });
});
