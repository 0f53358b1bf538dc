/** What the tests of other servers with OpenAI's API hold them to, asked of this one. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readServerSentEvents } from '../../src/api/server-sent-events.ts';
import { type Started, startWorker } from './worker.ts';

const model = 'Llama-wick-3M';
const { vocab_size: vocabulary } = JSON.parse(readFileSync(`models/${model}/config.json`, 'utf8'));
let worker: Started;
beforeAll(async () => {
  worker = await startWorker();
});
afterAll(() => worker?.stop());

interface Choice {
  index: number;
  text?: string;
  message?: { role: string; content: string };
  delta?: { role?: string; content?: string };
  logprobs: {
    text_offset?: number[];
    content?: { token: string; logprob: number; bytes: number[] }[];
  } | null;
  finish_reason: string | null;
}
interface Answer {
  id: string;
  choices: Choice[];
  usage?: { prompt_tokens: number; completion_tokens: number } | null;
  tokens: number[];
  error: { message: string; param: string | null; code: string | null };
}
const post = (path: string, body: object) =>
  fetch(new URL(path, worker.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, ...body }),
  });
async function ask(path: string, body: object): Promise<Answer> {
  const response = await post(path, body);
  const text = await response.text();
  expect(response.status, text).toBe(200);
  return JSON.parse(text);
}
const complete = (body: object) => ask('/v1/completions', { max_tokens: 12, temperature: 0, ...body });
const chat = (body: object) => ask('/v1/chat/completions', { max_tokens: 12, temperature: 0, ...body });
async function stream(path: string, body: object): Promise<Answer[]> {
  const response = await post(path, { max_tokens: 12, temperature: 0, stream: true, ...body });
  expect(response.status).toBe(200);
  const events: string[] = [];
  for await (const { data } of readServerSentEvents(response.body!, 1e6)) events.push(data);
  expect(events.indexOf('[DONE]')).toBe(events.length - 1);
  return events.slice(0, -1).map((data) => JSON.parse(data));
}
const tokensOf = async (prompt: string, add_special_tokens: boolean) =>
  (await ask('/tokenize', { prompt, add_special_tokens })).tokens;
const prompt = 'Once upon a time there was a fox';
const messages = [{ role: 'user', content: 'What is the best book?' }];

test('a prompt of tokens is the text that they are, alone and in a list', async () => {
  const tokens = await tokensOf(prompt, true);
  const [text, ids, texts, lists] = await Promise.all(
    [prompt, tokens, [prompt, prompt], [tokens, tokens]].map((each) => complete({ prompt: each })),
  );
  expect(ids.choices).toEqual(text.choices);
  expect(ids.usage).toEqual(text.usage);
  for (const { choices } of [texts, lists])
    expect(choices).toEqual([text.choices[0], { ...text.choices[0], index: 1 }]);
});

test('parts of a message are one text, and one stop needs no list', async () => {
  const content = ['What is', ' the best book?'].map((text) => ({ type: 'text', text }));
  const [whole, parts] = await Promise.all([
    chat({ messages, stop: 'e' }),
    chat({ messages: [{ role: 'user', content }], stop: ['e'] }),
  ]);
  expect(parts.choices).toEqual(whole.choices);
  expect(parts.usage).toEqual(whole.usage);
  expect(whole.choices[0].message?.content).not.toContain('e');
});

test('a seed gives the same whoever else asks, and others give others', async () => {
  const texts = await Promise.all(
    [1, 2, 3, 4, 1, 2, 3, 4].map(
      async (seed) => (await complete({ prompt, seed, temperature: 1, max_tokens: 20 })).choices[0].text,
    ),
  );
  expect(texts.slice(4)).toEqual(texts.slice(0, 4));
  expect(new Set(texts).size).toBe(4);
});

test('tokens of a bias of -100 never come', async () => {
  const banned = await tokensOf(' the a and was he she it in of to', false);
  const logit_bias = Object.fromEntries(banned.map((id) => [id, -100]));
  const { choices } = await chat({ messages, logit_bias, max_tokens: 48 });
  const taken = await tokensOf(choices[0].message!.content, false);
  expect(choices[0].message!.content).toMatch(/\w/);
  expect(taken.filter((id) => banned.includes(id))).toEqual([]);
});

test("a stream's chunks are one answer: id, roles, ends and usage once, and never out of order", async () => {
  const wish = { messages, n: 3, seed: 1, temperature: 1 };
  const chunks = await stream('/v1/chat/completions', { ...wish, stream_options: { include_usage: true } });
  expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  const last = chunks.pop()!;
  expect(last.choices).toEqual([]);
  expect(chunks.every(({ choices, usage }) => choices.length === 1 && usage === null)).toBe(true);
  const whole = await chat(wish);
  expect(last.usage).toEqual(whole.usage);
  for (const { index, message, finish_reason } of whole.choices) {
    const own = chunks.map(({ choices }) => choices[0]).filter((choice) => choice.index === index);
    expect(own.map(({ delta }) => delta?.role)).toEqual(['assistant', ...own.slice(1).map(() => undefined)]);
    expect(own.map(({ delta }) => delta?.content ?? '').join('')).toBe(message?.content);
    const ends = own.map((choice) => choice.finish_reason);
    expect(ends).toEqual([...own.slice(1).map(() => null), finish_reason]);
    expect(own.at(-1)?.delta).toEqual({});
  }
  const unasked = await stream('/v1/chat/completions', { messages });
  expect(unasked.every((chunk) => !('usage' in chunk))).toBe(true);
});

test('logprobs spell the text, and offsets are the same streamed, also where a stop holds text back', async () => {
  const likely = { prompt, logprobs: 2, max_tokens: 40, stop: ['the zebra', 'e z', '. Q', '\n\n\n'] };
  const whole = await complete(likely);
  const chunks = await stream('/v1/completions', likely);
  const streamed = chunks.flatMap(({ choices }) => choices[0].logprobs?.text_offset ?? []);
  expect(streamed).toEqual(whole.choices[0].logprobs!.text_offset);
  const spelled = await stream('/v1/chat/completions', { messages, logprobs: true, top_logprobs: 3 });
  const content = spelled.flatMap(({ choices }) => choices[0].logprobs?.content ?? []);
  const text = spelled.map(({ choices }) => choices[0].delta?.content ?? '').join('');
  expect(content.map(({ token }) => token).join('')).toBe(text);
  for (const { logprob, bytes, token } of content) {
    expect(logprob).toBeLessThanOrEqual(0);
    expect(Buffer.from(bytes).toString()).toBe(token);
  }
});

test('constraints hold: a constant, a grammar, a choice', async () => {
  const schema = { type: 'json_schema', json_schema: { name: 'x', schema: { const: 'foooooo' } } };
  const [constant, grammar, choice] = await Promise.all([
    chat({ messages, response_format: schema }),
    chat({ messages, grammar: 'root ::= "a"{5,5}', max_tokens: 30 }),
    chat({ messages, structured_outputs: { choice: ['yes', 'no'] } }),
  ]);
  expect(JSON.parse(constant.choices[0].message!.content)).toBe('foooooo');
  expect(grammar.choices[0].message!.content).toBe('aaaaa');
  expect(choice.choices[0].message!.content).toMatch(/^(yes|no)$/);
});

const long = Array.from({ length: 100 }, () => messages[0]);
const ofMessages = (value: unknown) => ({ messages: value });
const refused: [what: string, body: object, param: RegExp, sentence: RegExp][] = [
  ['no messages', ofMessages(undefined), /^messages/, /messages/],
  ['a text for messages', ofMessages('hello'), /^messages/, /messages/],
  ['numbers for messages', ofMessages([123]), /^messages/, /messages/],
  ['an empty message', ofMessages([{}]), /^messages/, /messages/],
  ['a number for a role', ofMessages([{ role: 123, content: 'a' }]), /^messages/, /messages/],
  ['a number for a content', ofMessages([{ role: 'system', content: 123 }]), /^messages/, /messages/],
  ['a message with no role', ofMessages([{ content: 'a' }]), /^messages/, /messages/],
  ['a second message that is empty', ofMessages([...messages, {}]), /^messages/, /messages/],
  [
    'an image that the model cannot see',
    ofMessages([
      { role: 'user', content: [{ type: 'image_url', image_url: { url: 'file:///etc/passwd' } }] },
    ]),
    /^messages/,
    /messages/,
  ],
  ['a conversation that does not fit', ofMessages(long), /^messages/, /\d+ tokens/],
  ['one that does not fit, streamed', { messages: long, stream: true }, /^messages/, /\d+ tokens/],
  [
    'a bias of a token there is not',
    { messages, logit_bias: { [vocabulary + 1]: 1 } },
    /^logit_bias/,
    /\d{4}/,
  ],
  ['a bias of a word', { messages, logit_bias: { word: 1 } }, /^logit_bias/, /token ids/],
  ['a bias that is a word', { messages, logit_bias: { 1: 'much' } }, /^logit_bias/, /number/],
  [
    'options of a stream without one',
    { messages, stream_options: { include_usage: true } },
    /^stream_options/,
    /stream/,
  ],
  ['top_logprobs without logprobs', { messages, top_logprobs: 2 }, /^top_logprobs/, /logprobs/],
  [
    'a sound for a format',
    { messages, response_format: { type: 'sound' } },
    /^response_format/,
    /response_format/,
  ],
  [
    'a schema that is not there',
    { messages, response_format: { type: 'json_schema' } },
    /^response_format/,
    /json_schema/,
  ],
  [
    'a schema that is a number',
    { messages, response_format: { type: 'json_schema', json_schema: { name: 'x', schema: 123 } } },
    /^response_format/,
    /schema/,
  ],
  [
    'a type there is not',
    {
      messages,
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'hiccup' } } },
    },
    /^response_format/,
    /type/,
  ],
  ['an empty list of prompts', { prompt: [] }, /^prompt/, /prompt/],
  ['a negative token', { prompt: [-1] }, /^prompt/, /prompt/],
  ['a negative token in a list', { prompt: [[-1]] }, /^prompt/, /prompt/],
  ['a token beyond the vocabulary', { prompt: [vocabulary] }, /^prompt/, /token/i],
  ['tokens and texts in one prompt', { prompt: [1, 'a', 2] }, /^prompt/, /prompt/],
  ['a prompt of tokens beside one of text', { prompt: [[1, 2], 'a'] }, /^prompt/, /prompt/],
];
test.each(refused)('%s is a 400 that names its field', async (_, body, param, sentence) => {
  const path = 'prompt' in body ? '/v1/completions' : '/v1/chat/completions';
  const response = await post(path, body);
  const text = await response.text();
  expect(response.status, text).toBe(400);
  expect(response.headers.get('content-type')).toMatch(/^application\/json/);
  const { error } = JSON.parse(text) as Answer;
  expect(error.param).toMatch(param);
  expect(error.message).toMatch(sentence);
  expect(text).not.toMatch(/etc\/passwd/);
});
