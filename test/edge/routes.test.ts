import fc from 'fast-check';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Started, startWorker, until } from './worker.ts';

const model = 'Llama-wick-3M';
let worker: Started;
beforeAll(async () => {
  worker = await startWorker();
});
afterAll(() => worker?.stop());

const call = (path: string, init: RequestInit = {}) => fetch(new URL(path, worker.url), init);
const post = (path: string, body: unknown, init: RequestInit = {}) =>
  call(path, { method: 'POST', body: JSON.stringify(body), ...init });
const health = async () =>
  (await (await call('/health')).json()) as { edge: { running: number; waiting: number } };
const idle = () =>
  until('an idle isolate', async () => {
    const { running, waiting } = (await health()).edge;
    return running + waiting === 0;
  });

const prompt = 'Once upon a time';
const greedy = { model, prompt, temperature: 0, max_tokens: 12 };

interface Completion {
  object: string;
  model: string;
  choices: { text: string; index: number; logprobs: object | null; finish_reason: string }[];
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
  error?: { message: string; type: string; param: string | null; code: string | null };
}

test('the models are listed, and each has a page', async () => {
  const list = (await (await call('/v1/models')).json()) as { object: string; data: object[] };
  const entry = {
    id: model,
    object: 'model',
    created: expect.any(Number),
    owned_by: 'wick',
    wick: { placements: ['edge'], revisions: { edge: expect.stringMatching(/^[0-9a-f]{16}$/) } },
  };
  expect(list).toEqual({ object: 'list', data: [entry] });
  expect(await (await call(`/v1/models/${model}`)).json()).toEqual(entry);
  const unknown = await call('/v1/models/some/other-model');
  expect(unknown.status).toBe(404);
  expect(((await unknown.json()) as Completion).error?.message).toContain(model);
});

test('a completion has the shape of OpenAI, and streams the same text', async () => {
  const response = await post('/v1/completions', greedy);
  expect(response.headers.get('content-type')).toBe('application/json');
  expect(response.headers.get('x-wick-placement')).toBe('edge');
  const whole = (await response.json()) as Completion;
  expect(whole).toEqual({
    id: expect.stringMatching(/^cmpl-/),
    object: 'text_completion',
    created: expect.any(Number),
    model,
    choices: [
      {
        index: 0,
        text: expect.any(String),
        logprobs: null,
        finish_reason: expect.stringMatching(/stop|length/),
      },
    ],
    usage: expect.objectContaining({ completion_tokens: expect.any(Number) }),
    wick: { timings: expect.objectContaining({ total: expect.any(Number) }) },
  });
  const { prompt_tokens, completion_tokens, total_tokens } = whole.usage;
  expect(total_tokens).toBe(prompt_tokens + completion_tokens);

  const streamed = await post('/v1/completions', {
    ...greedy,
    stream: true,
    stream_options: { include_usage: true },
  });
  expect(streamed.headers.get('content-type')).toContain('text/event-stream');
  const events = (await streamed.text()).trim().split('\n\n');
  expect(events.pop()).toBe('data: [DONE]');
  const chunks = events.map((event) => JSON.parse(event.slice('data: '.length)) as Completion);
  expect(chunks.pop()?.usage).toEqual(whole.usage);
  expect(chunks.map(({ choices }) => choices[0].text).join('')).toBe(whole.choices[0].text);
  expect(chunks.at(-1)?.choices[0].finish_reason).toBe(whole.choices[0].finish_reason);

  const plain = await call('/text?temperature=0&max_tokens=12', {
    method: 'POST',
    body: prompt,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  expect(plain.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect(await plain.text()).toBe(`${whole.choices[0].text}\n`);
});

test('prompts and choices are all answered, streamed and not, each as it would be alone', async () => {
  const several = {
    ...{ model, prompt: ['Once', 'The dragon'], n: 2, seed: 3, max_tokens: 6, temperature: 1 },
    ...{ logprobs: 1, echo: true },
  };
  const whole = (await (await post('/v1/completions', several)).json()) as Completion;
  expect(whole.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
  let completion = 0;
  for (const [index, { text, logprobs }] of whole.choices.entries()) {
    const alone = { ...several, prompt: several.prompt[index >> 1], n: 1, seed: 3 + (index % 2) };
    const { choices, usage } = (await (await post('/v1/completions', alone)).json()) as Completion;
    expect({ text, logprobs }).toEqual({ text: choices[0].text, logprobs: choices[0].logprobs });
    expect(text.startsWith(several.prompt[index >> 1])).toBe(true);
    completion += usage.completion_tokens;
  }
  expect(whole.usage.completion_tokens).toBe(completion);
  const streamed = await post('/v1/completions', { ...several, stream: true });
  const events = (await streamed.text()).trim().split('\n\n');
  expect(events.pop()).toBe('data: [DONE]');
  const texts = ['', '', '', ''];
  for (const event of events) {
    const { choices } = JSON.parse(event.slice('data: '.length)) as Completion;
    texts[choices[0].index] += choices[0].text;
  }
  expect(texts).toEqual(whole.choices.map(({ text }) => text));
});

test('a seed gives the same text again', async () => {
  const seeded = { ...greedy, temperature: 1, seed: 7 };
  const texts = await Promise.all([1, 2, 3].map(async () => (await post('/v1/completions', seeded)).json()));
  const [first, ...others] = (texts as Completion[]).map(({ choices }) => choices[0].text);
  for (const other of others) expect(other).toBe(first);
});

test('text comes while it is written', async () => {
  const response = await call('/text?max_tokens=100&stop=%00', { method: 'POST', body: prompt });
  const reader = response.body!.getReader();
  let pieces = 0;
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) pieces++;
  expect(pieces).toBeGreaterThan(5);
});

test("OpenAI's own client completes and chats, streaming and not", async () => {
  const client = new OpenAI({ baseURL: new URL('/v1', worker.url).href, apiKey: 'none', maxRetries: 0 });
  expect((await client.models.list()).data.map(({ id }) => id)).toContain(model);
  const completion = await client.completions.create(greedy);
  let text = '';
  for await (const chunk of await client.completions.create({ ...greedy, stream: true }))
    text += chunk.choices[0].text;
  expect(text).toBe(completion.choices[0].text);

  const messages = [{ role: 'user' as const, content: 'Write a story about a cat.' }];
  const wish = { model, messages, temperature: 0, max_completion_tokens: 12 };
  const chat = await client.chat.completions.create(wish);
  expect(chat.object).toBe('chat.completion');
  expect(chat.choices[0].message).toMatchObject({ role: 'assistant', content: expect.any(String) });
  text = '';
  for await (const chunk of await client.chat.completions.create({ ...wish, stream: true })) {
    text += chunk.choices[0].delta.content ?? '';
  }
  expect(text).toBe(chat.choices[0].message.content);
  await expect(client.completions.create({ ...greedy, model: 'gpt-none' })).rejects.toThrow(
    OpenAI.NotFoundError,
  );
});

test('a terminal is shown curl lines, a browser a page of its own', async () => {
  const lines = await (await call('/', { headers: { accept: '*/*' } })).text();
  expect(lines.trim().split('\n')).toHaveLength(5);
  for (const line of lines.trim().split('\n')) expect(line).toMatch(/^curl .*127\.0\.0\.1/);
  const response = await call('/', { headers: { accept: 'text/html,*/*;q=0.8' } });
  const page = await response.text();
  expect(page).toMatch(/^<!doctype html>/i);
  expect(page).not.toMatch(/\{\{|(src|href)="[^/]/);
  const nonce = /'nonce-([^']+)'/.exec(response.headers.get('content-security-policy')!)![1];
  expect(page).toContain(`<script nonce="${nonce}">`);
});

test('pages of other origins may call, and see what is exposed', async () => {
  const preflight = await call('/v1/chat/completions', {
    method: 'OPTIONS',
    headers: {
      origin: 'https://example.com',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    },
  });
  expect(preflight.status).toBe(204);
  expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
  expect(preflight.headers.get('access-control-allow-headers')).toContain('authorization');
  const response = await call('/v1/models', { headers: { origin: 'https://example.com' } });
  expect(response.headers.get('access-control-allow-origin')).toBe('*');
  expect(response.headers.get('x-request-id')).toMatch(/\S/);
});

const refusals: [what: string, path: string, init: RequestInit, status: number, sentence: RegExp][] = [
  ['no body', '/v1/completions', { method: 'POST' }, 400, /no body/],
  ['no body for text', '/text', { method: 'POST' }, 400, /no body/],
  ['a text for JSON', '/v1/completions', { method: 'POST', body: 'prompt=hello' }, 415, /content-type/],
  [
    'a form',
    '/v1/chat/completions',
    { method: 'POST', body: new FormData() },
    415,
    /multipart.*content-type/,
  ],
  [
    'packed JSON',
    '/v1/completions',
    { method: 'POST', body: '{}', headers: { 'content-encoding': 'gzip' } },
    415,
    /unpacked/,
  ],
  [
    'half a JSON',
    '/v1/chat/completions',
    { method: 'POST', body: '{"model":"x"', headers: { 'content-type': 'application/json; charset=utf-8' } },
    400,
    /not JSON/,
  ],
  ['a list', '/v1/completions', { method: 'POST', body: '[]' }, 400, /object/],
  ['no UTF-8', '/text', { method: 'POST', body: new Uint8Array([0x61, 0xff, 0xfe]) }, 400, /UTF-8/],
  [
    'UTF-16 JSON',
    '/v1/completions',
    { method: 'POST', body: Buffer.from('\ufeff{}', 'utf16le') },
    400,
    /UTF-8/,
  ],
  ['another method', '/v1/completions', { method: 'GET' }, 405, /POST/],
  ['a deletion', '/v1/models', { method: 'DELETE' }, 405, /GET/],
  ['another path', '/v1/audio/speech', { method: 'POST', body: '{}' }, 404, /nothing at/],
  ['a path that is nearly one', '/v1/chat/completion', { method: 'POST', body: '{}' }, 404, /Did you mean/],
  ['a negative number in the query', '/text?max_tokens=-1', { method: 'POST', body: 'a' }, 400, /max_tokens/],
  ['a word for a number', '/text?temperature=hot', { method: 'POST', body: 'a' }, 400, /temperature/],
  ['an unknown option', '/text?magic=1', { method: 'POST', body: 'a' }, 400, /magic/],
  [
    'an unknown model for text',
    '/text?model=nobody',
    { method: 'POST', body: 'a' },
    404,
    /nobody.*Llama-wick-3M/,
  ],
];
const badRequests: [what: string, fields: object, status: number, sentence: RegExp][] = [
  ['no model', { model: undefined }, 400, /model/],
  ['no prompt', { prompt: undefined }, 400, /prompt/],
  ['a number for a prompt', { prompt: 5 }, 400, /prompt/],
  ['words for numbers', { max_tokens: 'many' }, 400, /max_tokens/],
  ['negative max_tokens', { max_tokens: -5 }, 400, /max_tokens/],
  ['half a token', { max_tokens: 1.5 }, 400, /max_tokens/],
  ['a huge temperature', { temperature: 1e300 }, 400, /temperature/],
  ['tokens that do not exist', { prompt: [1, 4_000_000] }, 400, /4000000|token/],
  ['an unknown parameter', { tempreature: 1 }, 400, /tempreature/],
  ['a suffix for a model that fills in nothing', { suffix: 'x' }, 400, /does not fill in a middle/],
  ['an echo before a suffix', { suffix: 'x', echo: true }, 400, /echo/],
  ['half of a surrogate pair behind', { suffix: '\ud800' }, 400, /`suffix`.*surrogate/],
  ['a suffix longer than the context', { suffix: 'word '.repeat(5000) }, 400, /suffix|middle/],
  ['too many answers', { n: 1000 }, 400, /`n`.*1 to 128/],
  ['an unknown model', { model: 'gpt-none' }, 404, /gpt-none.*Llama-wick-3M/],
  ['a service that is not there', { placement: 'service' }, 503, /service/],
  ['a prompt longer than the context', { prompt: 'word '.repeat(5000) }, 400, /\d.*512/],
];
for (const [what, fields, status, sentence] of badRequests) {
  refusals.push([
    what,
    '/v1/completions',
    { method: 'POST', body: JSON.stringify({ ...greedy, ...fields }) },
    status,
    sentence,
  ]);
}
refusals.push(
  [
    'half of a surrogate pair',
    '/v1/completions',
    { method: 'POST', body: `{"model":"${model}","prompt":"\\ud800"}` },
    400,
    /surrogate/,
  ],
  [
    'half of one in a chat',
    '/v1/chat/completions',
    { method: 'POST', body: `{"model":"${model}","messages":[{"role":"user","content":"\\udfff a"}]}` },
    400,
    /surrogate/,
  ],
  [
    'an unknown role',
    '/v1/chat/completions',
    { method: 'POST', body: `{"model":"${model}","messages":[{"role":"king","content":"a"}]}` },
    400,
    /role/,
  ],
  [
    'no messages',
    '/v1/chat/completions',
    { method: 'POST', body: `{"model":"${model}","messages":[]}` },
    400,
    /messages/,
  ],
);

test.each(refusals)('%s is refused with a sentence', async (_, path, init, status, sentence) => {
  const response = await call(path, init);
  const body = await response.text();
  expect(response.status, body).toBe(status);
  if (path.startsWith('/text')) {
    expect(response.headers.get('content-type')).toMatch(/^text\/plain/);
    expect(body).toMatch(sentence);
    expect(body).toMatch(/^[^{].*[.?]\n$/);
    return;
  }
  const { error } = JSON.parse(body) as Required<Completion>;
  expect(error).toEqual({
    message: expect.stringMatching(sentence),
    type: expect.any(String),
    param: error.param,
    code: error.code,
  });
  expect(body).not.toMatch(/\n\s+at |node_modules|\/src\/|\.ts\b/);
  expect(response.headers.get('x-request-id')).toMatch(/\S/);
  if (status === 405) expect(response.headers.get('allow')).toMatch(/GET|POST/);
});

test('HEAD has the headers and no body', async () => {
  for (const path of ['/', '/health', '/v1/models']) {
    const response = await call(path, { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('');
  }
});

test('10 MB are refused, said beforehand or not', async () => {
  const large = 'x'.repeat(10_000_000);
  const announced = await call('/text', { method: 'POST', body: large });
  expect(announced.status).toBe(413);
  const chunked = await call('/v1/completions', {
    method: 'POST',
    body: new Blob([large]).stream(),
    duplex: 'half',
  } as RequestInit);
  expect(chunked.status).toBe(413);
  expect((await post('/v1/completions', greedy)).status).toBe(200);
});

test('no JSON whatever is answered with a failure of ours', async () => {
  const field = fc.constantFrom(
    'model',
    'prompt',
    'messages',
    'max_tokens',
    'stream',
    'stop',
    'logit_bias',
    'seed',
    'top_p',
  );
  const body = fc.oneof(fc.jsonValue(), fc.dictionary(field, fc.jsonValue()));
  const path = fc.constantFrom('/v1/completions', '/v1/chat/completions');
  await fc.assert(
    fc.asyncProperty(path, body, async (path, body) => {
      const response = await post(path, body);
      expect([400, 404]).toContain(response.status);
      expect(((await response.json()) as Completion).error?.message).toMatch(/\w/);
    }),
    { numRuns: 60 },
  );
});

test('300 clients at once are served or told to come again', async () => {
  const answers = await Promise.all(
    Array.from({ length: 300 }, async (_, i) => {
      const response = await post('/v1/completions', { ...greedy, max_tokens: 4, stream: i % 2 === 0 });
      return {
        status: response.status,
        retry: response.headers.get('retry-after'),
        body: await response.text(),
      };
    }),
  );
  for (const { status, retry, body } of answers) {
    expect([200, 503]).toContain(status);
    if (status === 503) {
      expect(Number(retry)).toBeGreaterThan(0);
      expect((JSON.parse(body) as Completion).error?.code).toBe('overloaded');
    } else expect(body).toMatch(/\[DONE\]|"usage"/);
  }
  expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(30);
  await idle();
});

test('hundreds of clients that leave hold nothing', async () => {
  const long = { ...greedy, max_tokens: 400, logit_bias: { 2: -100 } };
  for (let round = 0; round < 25; round++) {
    await Promise.all(
      Array.from({ length: 12 }, async (_, i) => {
        const leaving = new AbortController();
        const response = await post('/v1/completions', { ...long, stream: true }, { signal: leaving.signal });
        if (i % 3) await response.body?.getReader().read();
        leaving.abort();
      }),
    );
  }
  await idle();
  expect((await post('/v1/completions', greedy)).status).toBe(200);
});

test('clients that leave before an answer in one piece hold nothing', async () => {
  const long = { ...greedy, max_tokens: 400, logit_bias: { 2: -100 } };
  const leavers = Array.from({ length: 30 }, async (_, i) => {
    const signal = AbortSignal.timeout(20 + 10 * i);
    await post('/v1/completions', long, { signal }).then((response) => response.text());
  });
  await Promise.allSettled(leavers);
  await idle();
});
