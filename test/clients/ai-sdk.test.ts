/** The Vercel AI SDK against the built Worker and the service, by its provider for any server like OpenAI's. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateImage, generateText, streamText } from 'ai';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
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
