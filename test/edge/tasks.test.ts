import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AutoTokenizer, env, pipeline } from '@huggingface/transformers';
import fc from 'fast-check';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type OnnxModel, readOnnx, writeOnnx } from '../../src/graph/onnx.ts';
import { fillingModel } from '../fixtures/filling-model.ts';
import { type ServiceProcess, startService } from '../fixtures/service.ts';
import { temporaryFolder } from '../fixtures/tiny.ts';
import { type Started, secret, startWorker } from './worker.ts';

const id = 'Llama-wick-3M';
const models = new URL('../../models/', import.meta.url).pathname;
env.allowRemoteModels = false;
env.localModelPath = models;

let service: ServiceProcess;
let worker: Started;
let client: OpenAI;
beforeAll(async () => {
  // Beside the shipped model: it as others publish theirs, without hidden states, and one whose graph hides them.
  const folder = temporaryFolder();
  derive(folder, 'published', () => {});
  derive(folder, 'hidden', ({ graph }) => {
    graph.node.at(-1)!.output = ['raw'];
    graph.node.push({ name: 'end', opType: 'Relu', input: ['raw'], output: ['logits'], attribute: [] });
  });
  service = await startService('--models', join(models, id), folder, fillingModel());
  worker = await startWorker({ WICK_SERVICE_URL: service.url, WICK_SECRET: secret });
  client = new OpenAI({ baseURL: new URL('/v1', worker.url).href, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  await worker?.stop();
  await service?.stop();
});

/** A copy of the shipped model without its hidden states, further changed. */
function derive(folder: string, name: string, change: (model: OnnxModel) => void): void {
  cpSync(join(models, id), join(folder, name), { recursive: true });
  mkdirSync(join(folder, name, 'onnx'), { recursive: true });
  const model = readOnnx(readFileSync(join(models, id, 'onnx/model.onnx')));
  for (const node of model.graph.node) {
    for (const names of [node.input ?? [], node.output])
      for (const [i, each] of names.entries()) if (each === 'last_hidden_state') names[i] = 'norm:out';
  }
  model.graph.output = model.graph.output.filter((output) => output.name !== 'last_hidden_state');
  change(model);
  writeFileSync(join(folder, name, 'onnx/model.onnx'), writeOnnx(model));
}

interface Answer {
  tokens: number[];
  count: number;
  max_model_len: number;
  token_strs?: string[];
  prompt: string;
  content: string;
  error: { message: string; param: string | null; code: string | null };
}
const post = (path: string, body: unknown) =>
  fetch(new URL(path, worker.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
const answerTo = async (path: string, body: unknown) => (await (await post(path, body)).json()) as Answer;

const messages = [
  { role: 'system', content: 'Write simply.' },
  { role: 'user', content: 'Tell a story about a fox.' },
];

describe.each(['edge', 'service'] as const)('tokens at the %s', (placement) => {
  test('are those of Transformers.js, and become the text again', async () => {
    const tokenizer = await AutoTokenizer.from_pretrained(id);
    for (const prompt of ['Once upon a time', 'Ünïcode “quotes” 😀\n\n<start>x<end>', 'a', ' ', '']) {
      const { tokens, count, max_model_len, token_strs } = await answerTo('/tokenize', {
        ...{ model: id, placement, prompt, return_token_strs: true },
      });
      expect(tokens).toEqual(tokenizer.encode(prompt));
      expect({ count, max_model_len }).toEqual({ count: tokens.length, max_model_len: 512 });
      expect(token_strs).toHaveLength(count);
      const { prompt: text, content } = await answerTo('/detokenize', { model: id, placement, tokens });
      expect(text).toBe(tokenizer.decode(tokens));
      expect(content).toBe(text);
      expect(text.endsWith(prompt)).toBe(true);
    }
  });

  test('of a conversation are those of the text that the template makes of it', async () => {
    const tokenizer = await AutoTokenizer.from_pretrained(id);
    for (const add_generation_prompt of [true, false]) {
      const theirs = tokenizer.apply_chat_template(messages, { tokenize: false, add_generation_prompt });
      const { prompt } = await answerTo('/apply-template', { messages, placement, add_generation_prompt });
      expect(prompt).toBe(theirs);
      const { tokens, token_strs } = await answerTo('/tokenize', {
        messages,
        placement,
        add_generation_prompt,
      });
      const plain = await answerTo('/tokenize', { text: prompt, placement, add_special_tokens: false });
      expect(tokens).toEqual(plain.tokens);
      expect(token_strs).toBeUndefined();
    }
  });
});

test("llama.cpp's clients need no special tokens, and can ask for them", async () => {
  const bare = await answerTo('/tokenize', { content: 'Hello' });
  const full = await answerTo('/tokenize', { content: 'Hello', add_special: true });
  expect(full.tokens).toEqual((await answerTo('/tokenize', { prompt: 'Hello' })).tokens);
  expect(full.tokens.slice(-bare.count)).toEqual(bare.tokens);
});

const plain = [
  'She baked a chocolate cake with sugar and butter.',
  'He cooked a pie with apples and cinnamon.',
  'The dragon breathed fire at the castle.',
  'The knight fought the monster with his sword.',
];
const cosine = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i], 0);

test('embeddings are those of Transformers.js, from either place, and of a graph without hidden states', async () => {
  const extract = await pipeline('feature-extraction', id, { dtype: 'fp32', device: 'cpu' });
  const wishes = [
    ...(['edge', 'service'] as const).map((placement) => ({ model: id, placement })),
    { model: 'published' },
  ];
  for (const text of plain) {
    const theirs = (await extract(text, { pooling: 'mean', normalize: true })).tolist()[0] as number[];
    for (const wish of wishes) {
      const { data } = await client.embeddings.create({
        ...wish,
        input: text,
      } as OpenAI.EmbeddingCreateParams);
      expect(data[0].embedding).toHaveLength(256);
      expect(Math.max(...data[0].embedding.map((x, i) => Math.abs(x - theirs[i])))).toBeLessThan(2e-6);
    }
  }
});

test('related sentences lie nearer than others', async () => {
  const { data } = await client.embeddings.create({ model: id, input: plain });
  const [cake, pie, dragon, knight] = data.map(({ embedding }) => embedding);
  const others = [cake, pie].flatMap((food) => [dragon, knight].map((fight) => cosine(food, fight)));
  expect(cosine(cake, pie)).toBeGreaterThan(Math.max(...others));
  expect(cosine(dragon, knight)).toBeGreaterThan(Math.max(...others));
});

describe.each(['edge', 'service'] as const)('embeddings at the %s', (placement) => {
  const create = (body: object) =>
    client.embeddings.create({ model: id, placement, ...body } as unknown as OpenAI.EmbeddingCreateParams);

  test('are the same alone and in any batch, as text and as tokens, as floats and in base64', async () => {
    const texts = Array.from({ length: 18 }, (_, i) =>
      plain[i % 4].slice(0, 3 + ((i * 7) % 40)).repeat(1 + (i % 9)),
    );
    const { data, usage, model } = await create({ input: texts });
    expect(model).toBe(id);
    expect(data.map(({ index }) => index)).toEqual(texts.map((_, i) => i));
    let total = 0;
    for (const at of [0, 8, 17]) {
      const alone = await create({ input: texts[at], encoding_format: 'float' });
      const { tokens, count } = await answerTo('/tokenize', { prompt: texts[at] });
      const ids = await create({ input: [tokens, tokens], dimensions: 256 });
      for (const other of [alone.data[0], ids.data[0], ids.data[1]]) {
        const differences = other.embedding.map((x, i) => Math.abs(x - data[at].embedding[i]));
        expect(Math.max(...differences)).toBeLessThan(1e-6);
      }
      expect(Math.abs(cosine(alone.data[0].embedding, alone.data[0].embedding) - 1)).toBeLessThan(1e-5);
      expect(alone.usage).toEqual({ prompt_tokens: count, total_tokens: count });
      total += count;
    }
    expect(usage.prompt_tokens).toBeGreaterThan(total);
  });

  test('of 2048 inputs come at once', async () => {
    const { data } = await create({ input: Array.from({ length: 2048 }, (_, i) => [300 + i, 301 + i]) });
    expect(data).toHaveLength(2048);
    expect(data[2047].embedding).toEqual(
      (await create({ input: [2347, 2348] })).data[0].embedding.map(Number),
    );
  });
});

test('a middle is filled in by a model that was made for it', async () => {
  const wish = { model: 'filling', temperature: 0, max_tokens: 8 };
  const filled = await client.completions.create({ ...wish, prompt: 'The fox', suffix: ' slept.' });
  const { tokens: before } = await answerTo('/tokenize', { content: 'The fox', model: 'filling' });
  const { tokens: after } = await answerTo('/tokenize', { content: ' slept.', model: 'filling' });
  const prompt = [0, 4093, ...before, 4094, ...after, 4095];
  const by = await client.completions.create({ ...wish, prompt });
  expect(filled.choices).toEqual(by.choices);
  expect(filled.usage).toEqual(by.usage);
});

const refusals: [what: string, path: string, body: unknown, status: number, param: string | null][] = [
  ['nothing', '/tokenize', '', 400, null],
  ['no input', '/tokenize', {}, 400, 'prompt'],
  ['two inputs', '/tokenize', { prompt: 'a', messages }, 400, 'messages'],
  ['a number', '/tokenize', { prompt: 5 }, 400, 'prompt'],
  ['half of a surrogate pair', '/tokenize', '{"prompt":"\\ud800"}', 400, 'prompt'],
  ['a parameter that is not served', '/tokenize', { prompt: 'a', with_pieces: true }, 400, 'with_pieces'],
  ['an unknown model', '/tokenize', { prompt: 'a', model: 'nobody' }, 404, 'model'],
  ['a token that is none', '/detokenize', { tokens: [1, 4096] }, 400, 'tokens'],
  ['half a token', '/detokenize', { tokens: [1.5] }, 400, 'tokens[0]'],
  ['no tokens', '/detokenize', {}, 400, 'tokens'],
  ['text for tokens', '/detokenize', { tokens: 'abc' }, 400, 'tokens'],
  ['no messages', '/apply-template', { messages: [] }, 400, 'messages'],
  [
    'an unknown role',
    '/apply-template',
    { messages: [{ role: 'king', content: 'a' }] },
    400,
    'messages[0].role',
  ],
  ['no model', '/v1/embeddings', { input: 'a' }, 400, 'model'],
  ['an empty text', '/v1/embeddings', { model: id, input: '' }, 400, 'input'],
  ['an empty list', '/v1/embeddings', { model: id, input: [] }, 400, 'input'],
  ['an empty text among others', '/v1/embeddings', { model: id, input: ['a', ''] }, 400, 'input[1]'],
  ['too many inputs', '/v1/embeddings', { model: id, input: new Array(2049).fill('a') }, 400, 'input'],
  ['a foreign token', '/v1/embeddings', { model: id, input: [[1], [4096]] }, 400, 'input[1]'],
  ['too long an input', '/v1/embeddings', { model: id, input: new Array(513).fill(5) }, 400, 'input'],
  [
    'more tokens than there is time for',
    '/v1/embeddings',
    { model: id, input: new Array(140).fill(new Array(500).fill(5)) },
    400,
    'input',
  ],
  ['fewer dimensions', '/v1/embeddings', { model: id, input: 'a', dimensions: 64 }, 400, 'dimensions'],
  [
    'another encoding',
    '/v1/embeddings',
    { model: id, input: 'a', encoding_format: 'int8' },
    400,
    'encoding_format',
  ],
  ['an unknown field', '/v1/embeddings', { model: id, input: 'a', pooling: 'cls' }, 400, 'pooling'],
  ['a model without hidden states', '/v1/embeddings', { model: 'hidden', input: 'a' }, 400, 'model'],
];
test.each(refusals)('%s is refused by name at %s', async (_, path, body, status, param) => {
  const response = await post(path, body);
  const text = await response.text();
  expect(response.status, text).toBe(status);
  const { error } = JSON.parse(text) as Answer;
  expect(error).toMatchObject({ param, message: expect.stringMatching(/\.$/) });
  expect(text).not.toMatch(/\n\s+at |node_modules|\.ts\b/);
});

test('whatever JSON comes, there is an answer or a refusal of ours', async () => {
  const field = fc.constantFrom('model', 'prompt', 'messages', 'tokens', 'input', 'dimensions', 'content');
  const path = fc.constantFrom('/tokenize', '/detokenize', '/apply-template', '/v1/embeddings');
  const body = fc.oneof(fc.jsonValue(), fc.dictionary(field, fc.jsonValue()));
  await fc.assert(
    fc.asyncProperty(path, body, async (path, body) => {
      const response = await post(path, body);
      expect([200, 400, 404]).toContain(response.status);
      await response.json();
    }),
    { numRuns: 60 },
  );
});

test('who leaves while texts are embedded frees the place', async () => {
  const input = new Array(60).fill(new Array(500).fill(5));
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      const body = JSON.stringify({ model: id, input });
      const signal = AbortSignal.timeout(100);
      await fetch(new URL('/v1/embeddings', worker.url), { method: 'POST', body, signal }).catch(() => {});
    }),
  );
  const { data } = await client.embeddings.create({ model: id, input: 'a' });
  expect(data).toHaveLength(1);
});
