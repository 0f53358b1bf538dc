/** The Vercel AI SDK against the built Worker and the service, by its provider for any server like OpenAI's. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import {
  APICallError,
  cosineSimilarity,
  embed,
  embedMany,
  generateImage,
  generateObject,
  generateText,
  streamObject,
  streamText,
  tool,
} from 'ai';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type Started, secret, startWorker, until } from '../edge/worker.ts';
import { type ServiceProcess, startService } from '../fixtures/service.ts';
import { tinyImageModel } from '../fixtures/tiny-images.ts';

const name = 'Llama-wick-3M';
let service: ServiceProcess;
let worker: Started;
let wick: ReturnType<typeof createOpenAICompatible>;
beforeAll(async () => {
  service = await startService('--models', await tinyImageModel());
  worker = await startWorker({ WICK_SERVICE_URL: service.url, WICK_SECRET: secret });
  wick = createOpenAICompatible({
    ...{ name: 'wick', baseURL: new URL('/v1', worker.url).href, apiKey: 'none' },
    ...{ includeUsage: true, supportsStructuredOutputs: true },
  });
});
afterAll(async () => {
  await worker?.stop();
  await service?.stop();
});

const asked = { prompt: 'Write a story about a cat.', temperature: 0, maxOutputTokens: 12, maxRetries: 0 };

test.each(['chat', 'completion'] as const)('a %s is the same whole and streamed', async (form) => {
  const model = form === 'chat' ? wick.chatModel(name) : wick.completionModel(name);
  const whole = await generateText({ ...asked, model });
  expect(whole.text).toMatch(/\w/);
  expect(whole.finishReason).toMatch(/stop|length/);
  expect(whole.usage.outputTokens).toBeGreaterThan(0);
  const stream = streamText({ ...asked, model });
  let text = '';
  for await (const delta of stream.textStream) text += delta;
  expect(text).toBe(whole.text);
  expect(await stream.finishReason).toBe(whole.finishReason);
  expect((await stream.usage).totalTokens).toBe(whole.usage.totalTokens);
  if (form === 'chat') expect(whole.warnings).toEqual([]);
});

test('a conversation and its settings are taken', async () => {
  const { text } = await generateText({
    model: wick.chatModel(name),
    ...{ maxOutputTokens: 8, seed: 3, topP: 0.9, presencePenalty: 0.1, frequencyPenalty: 0.1 },
    ...{ stopSequences: ['\n'], maxRetries: 0, system: 'Be kind.' },
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'Write a story' }] },
      { role: 'assistant', content: [{ type: 'text', text: 'About what?' }] },
      { role: 'user', content: 'A cat.' },
    ],
  });
  expect(text).not.toContain('\n');
});

test('an image is drawn', async () => {
  const { image, images } = await generateImage({
    ...{ model: wick.imageModel('tiny-draw'), prompt: 'a red square', size: '64x64', n: 2, maxRetries: 0 },
    providerOptions: { wick: { steps: 2 } },
  });
  expect(images).toHaveLength(2);
  expect(await sharp(image.uint8Array).metadata()).toMatchObject({ format: 'png', width: 64, height: 64 });
});

test('refusals are errors with their sentence, also where a stream was asked for', async () => {
  const model = wick.chatModel('gpt-none');
  const thrown = await generateText({ ...asked, model }).catch((thrown: unknown) => thrown);
  expect(APICallError.isInstance(thrown)).toBe(true);
  expect(thrown).toMatchObject({
    ...{ statusCode: 404, isRetryable: false },
    message: expect.stringMatching(/no model "gpt-none"/),
  });
  const errors: unknown[] = [];
  const stream = streamText({ ...asked, model, onError: ({ error }) => void errors.push(error) });
  for await (const part of stream.fullStream) if (part.type === 'error') errors.push(part.error);
  expect(errors[0]).toMatchObject({ statusCode: 404 });
});

test('a stream that is aborted gives its slot back', async () => {
  const leaving = new AbortController();
  const stream = streamText({
    ...{ ...asked, model: wick.chatModel(name), maxOutputTokens: 400, abortSignal: leaving.signal },
    onError: () => {},
  });
  for await (const part of stream.fullStream) if (part.type === 'text-delta') leaving.abort();
  await until('an idle isolate', async () => {
    const health = (await (await fetch(new URL('/health', worker.url))).json()) as {
      edge: { running: number };
    };
    return health.edge.running === 0;
  });
});

test('a tool is called and its result taken, whole and streamed', async () => {
  const given: unknown[] = [];
  const wish = {
    ...{ ...asked, model: wick.chatModel(name), maxOutputTokens: 80, toolChoice: 'required' as const },
    providerOptions: { wick: { parallel_tool_calls: false } },
    tools: {
      weather: tool({
        description: 'What the weather is like.',
        inputSchema: z.strictObject({ city: z.enum(['Oslo', 'Rome']), days: z.int().min(1).max(9) }),
        execute: async (input) => {
          given.push(input);
          return 'It rains.';
        },
      }),
    },
  };
  const { toolCalls, toolResults, finishReason } = await generateText(wish);
  expect(finishReason).toBe('tool-calls');
  expect(toolCalls[0]).toMatchObject({ toolName: 'weather', input: given[0] });
  expect(toolResults[0]).toMatchObject({ output: 'It rains.' });
  const stream = streamText(wish);
  await stream.consumeStream();
  expect((await stream.toolCalls)[0]).toMatchObject({ input: toolCalls[0].input });
});

test('an object is generated to its schema, whole and streamed', async () => {
  const schema = z.strictObject({ hero: z.enum(['cat', 'dog']), age: z.int().min(1).max(9) });
  const wish = { ...asked, model: wick.chatModel(name), maxOutputTokens: 60, schema };
  const { object } = await generateObject(wish);
  expect(schema.safeParse(object).success).toBe(true);
  let last: unknown;
  for await (const partial of streamObject(wish).partialObjectStream) last = partial;
  expect(last).toEqual(object);
});

test('texts are embedded, one and many', async () => {
  const model = wick.embeddingModel(name);
  const one = await embed({ model, value: 'A cat sleeps.', maxRetries: 0 });
  const many = await embedMany({ model, values: ['A cat sleeps.', 'A dog runs.'], maxRetries: 0 });
  expect(many.embeddings).toHaveLength(2);
  expect(cosineSimilarity(many.embeddings[0], one.embedding)).toBeCloseTo(1, 4);
  expect(one.usage.tokens).toBeGreaterThan(0);
});
