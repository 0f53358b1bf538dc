/** LangChain's ChatOpenAI and OpenAI against the built Worker. */
import { AIMessage, type AIMessageChunk, HumanMessage, SystemMessage } from '@langchain/core/messages';
import { StringOutputParser } from '@langchain/core/output_parsers';
import { ChatPromptTemplate } from '@langchain/core/prompts';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI, OpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type Started, startWorker } from '../edge/worker.ts';

const name = 'Llama-wick-3M';
let worker: Started;
beforeAll(async () => {
  worker = await startWorker();
});
afterAll(() => worker?.stop());

const settings = () => ({
  ...{ model: name, temperature: 0, maxTokens: 12, apiKey: 'none', maxRetries: 0 },
  configuration: { baseURL: new URL('/v1', worker.url).href },
});

test('a chat is the same asked for, streamed and in a batch', async () => {
  const chat = new ChatOpenAI(settings());
  const conversation = [new SystemMessage('Be kind.'), new HumanMessage('Write a story about a cat.')];
  const whole = await chat.invoke(conversation);
  expect(whole).toBeInstanceOf(AIMessage);
  expect(whole.content).toMatch(/\w/);
  expect(whole.response_metadata.finish_reason).toMatch(/stop|length/);
  expect(whole.usage_metadata!.output_tokens).toBeGreaterThan(0);
  let all: AIMessageChunk | undefined;
  for await (const chunk of await chat.stream(conversation)) all = all?.concat(chunk) ?? chunk;
  expect(all!.content).toBe(whole.content);
  expect(all!.usage_metadata).toMatchObject({ total_tokens: whole.usage_metadata!.total_tokens });
  const batch = await chat.batch([conversation, 'Tell of a dog.', conversation]);
  expect(batch[0].content).toBe(whole.content);
  expect(batch[2].content).toBe(whole.content);
});

test('a chain of prompt, model and parser streams text', async () => {
  const chain = ChatPromptTemplate.fromMessages([
    ['system', 'Be kind.'],
    ['human', 'Write a story about a {what}.'],
  ])
    .pipe(
      new ChatOpenAI({ ...settings(), stop: ['\n\n'], logprobs: true, topLogprobs: 2, seed: 1 } as object),
    )
    .pipe(new StringOutputParser());
  const pieces: string[] = [];
  for await (const piece of await chain.stream({ what: 'cat' })) pieces.push(piece);
  expect(pieces.length).toBeGreaterThan(2);
  expect(await chain.invoke({ what: 'cat' })).toBe(pieces.join(''));
});

test('a completion goes on from its text', async () => {
  const model = new OpenAI(settings());
  const text = await model.invoke('Once upon a time');
  expect(text).toMatch(/\w/);
  let streamed = '';
  for await (const piece of await model.stream('Once upon a time')) streamed += piece;
  expect(streamed).toBe(text);
});

test("a refusal is the client's error with its sentence", async () => {
  const thrown = await new ChatOpenAI({ ...settings(), model: 'gpt-none' })
    .invoke('Hi')
    .catch((error) => error);
  expect(thrown).toMatchObject({ status: 404, code: 'model_not_found' });
  expect(thrown.message).toMatch(/no model "gpt-none"/);
});

test('a bound tool is called, whole and streamed', async () => {
  const schema = z.strictObject({ city: z.enum(['Oslo', 'Rome']), days: z.int().min(1).max(9) });
  const weather = tool(({ city, days }) => `${days} days of rain in ${city}.`, {
    ...{ name: 'weather', description: 'What the weather is like.', schema },
  });
  const chat = new ChatOpenAI({ ...settings(), maxTokens: 80 }).bindTools([weather], { tool_choice: 'any' });
  const { tool_calls, invalid_tool_calls } = await chat.invoke('How is the weather?');
  expect(invalid_tool_calls).toEqual([]);
  expect(tool_calls![0].name).toBe('weather');
  expect((await weather.invoke(tool_calls![0])).content).toMatch(/^\d days of rain in (Oslo|Rome)\.$/);
  let all: AIMessageChunk | undefined;
  for await (const chunk of await chat.stream('How is the weather?')) all = all?.concat(chunk) ?? chunk;
  expect(all!.tool_calls![0].args).toEqual(tool_calls![0].args);
});

test.each(['jsonSchema', 'functionCalling'] as const)(
  'structured output by %s fits its schema',
  async (method) => {
    const schema = z.strictObject({ hero: z.enum(['cat', 'dog']), age: z.int().min(1).max(9) });
    const model = new ChatOpenAI({ ...settings(), maxTokens: 80 });
    const story = await model
      .withStructuredOutput(schema, { name: 'story', method })
      .invoke('Tell of a hero.');
    expect(schema.safeParse(story).success).toBe(true);
  },
);

test('texts are embedded', async () => {
  const embeddings = new OpenAIEmbeddings(settings());
  const [first, second] = await embeddings.embedDocuments(['A cat sleeps.', 'A dog runs.']);
  expect(second).toHaveLength(first.length);
  const again = await embeddings.embedQuery('A cat sleeps.');
  for (const [i, value] of again.entries()) expect(value).toBeCloseTo(first[i], 4);
});
