/** OpenAI's own package against the built Worker: nothing is special but the base URL. */
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type Started, startWorker, until } from '../edge/worker.ts';

const model = 'Llama-wick-3M';
let worker: Started;
let client: OpenAI;
beforeAll(async () => {
  worker = await startWorker();
  client = new OpenAI({ baseURL: new URL('/v1', worker.url).href, apiKey: 'none', maxRetries: 0 });
});
afterAll(() => worker?.stop());

const messages = [{ role: 'user' as const, content: 'Write a story about a cat.' }];
const greedy = { model, temperature: 0, max_tokens: 12 };
const running = async () => {
  const { edge } = (await (await fetch(new URL('/health', worker.url))).json()) as {
    edge: { running: number; waiting: number };
  };
  return edge.running + edge.waiting;
};

test('a chat is the same whole, in chunks, and through the helper of streams', async () => {
  const { data: whole, request_id } = await client.chat.completions
    .create({ ...greedy, messages })
    .withResponse();
  expect(request_id).toMatch(/\w/);
  const [choice] = whole.choices;
  expect(choice.message).toEqual({ role: 'assistant', content: expect.stringMatching(/\w/), refusal: null });

  const stream = await client.chat.completions.create({
    ...{ ...greedy, messages, stream: true },
    stream_options: { include_usage: true },
  });
  const [left, right] = stream.tee();
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of left) chunks.push(chunk);
  let copied = 0;
  for await (const _ of right) copied++;
  expect(copied).toBe(chunks.length);
  expect(new Set(chunks.map(({ id, created }) => `${id} ${created}`)).size).toBe(1);
  expect(chunks[0].choices[0].delta.role).toBe('assistant');
  expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(choice.message.content);
  expect(chunks.at(-2)?.choices[0].finish_reason).toBe(choice.finish_reason);
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage });

  const helper = client.chat.completions.stream({
    ...{ ...greedy, messages },
    stream_options: { include_usage: true },
  });
  let text = '';
  helper.on('content', (delta) => {
    text += delta;
  });
  expect(await helper.finalContent()).toBe(choice.message.content);
  expect(text).toBe(choice.message.content);
  expect(await helper.totalUsage()).toMatchObject(whole.usage!);
  const { choices } = await helper.finalChatCompletion();
  expect(choices[0]).toMatchObject({ index: 0, finish_reason: choice.finish_reason });
});

test('what the helper of streams puts together of several choices with logprobs is the whole answer', async () => {
  const wish = { model, messages, n: 3, seed: 5, max_tokens: 8, logprobs: true, top_logprobs: 2 };
  const whole = await client.chat.completions.create(wish);
  const helped = await client.chat.completions.stream(wish).finalChatCompletion();
  expect(whole.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
  for (const [index, { message, logprobs, finish_reason }] of whole.choices.entries()) {
    expect(helped.choices[index]).toMatchObject({ index, finish_reason });
    expect(helped.choices[index].message.content).toBe(message.content);
    expect(helped.choices[index].logprobs).toEqual(logprobs);
    expect(logprobs!.content!.map(({ token }) => token).join('')).toBe(message.content);
    for (const { token, logprob, bytes, top_logprobs } of logprobs!.content!) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(Buffer.from(bytes!).toString()).toBe(token);
      expect(top_logprobs.length).toBeGreaterThanOrEqual(1);
      expect(top_logprobs.length).toBeLessThanOrEqual(3);
    }
  }
});

test('completions take prompts, choices, logprobs, echo and the best of several', async () => {
  const wish = { ...greedy, prompt: ['Once upon', 'The dragon'], logprobs: 2, echo: true };
  const { choices } = await client.completions.create(wish);
  expect(choices.map(({ index }) => index)).toEqual([0, 1]);
  expect(choices[0].text).toMatch(/^Once upon/);
  const { tokens, token_logprobs, text_offset, top_logprobs } = choices[0].logprobs!;
  expect(token_logprobs).toHaveLength(tokens!.length);
  expect(top_logprobs).toHaveLength(tokens!.length);
  // The token of the beginning is not written; each other stands where its offset says.
  expect(tokens![0]).toBe('<s>');
  expect(tokens!.slice(1).join('')).toBe(choices[0].text);
  for (const [i, offset] of text_offset!.entries())
    if (i > 0) expect(choices[0].text.slice(offset, offset + tokens![i].length)).toBe(tokens![i]);

  const best = await client.completions.create({ model, prompt: 'Once', best_of: 3, seed: 2, max_tokens: 6 });
  expect(best.choices).toHaveLength(1);
  expect(best.usage!.completion_tokens).toBeGreaterThan(6);
});

test('models are listed and found, page by page', async () => {
  const names: string[] = [];
  for await (const { id, object, owned_by } of client.models.list()) {
    names.push(id);
    expect({ object, owned_by }).toEqual({ object: 'model', owned_by: 'wick' });
  }
  expect(names).toContain(model);
  expect(await client.models.retrieve(model)).toMatchObject({ id: model });
});

test.each<[what: string, fails: () => PromiseLike<unknown>, error: unknown, fields: object]>([
  [
    'an unknown model',
    () => client.chat.completions.create({ ...greedy, model: 'gpt-none', messages }),
    OpenAI.NotFoundError,
    { status: 404, code: 'model_not_found', param: 'model', type: 'invalid_request_error' },
  ],
  [
    'a model that is not listed',
    () => client.models.retrieve('gpt-none'),
    OpenAI.NotFoundError,
    { status: 404, code: 'model_not_found' },
  ],
  [
    'a number out of range',
    () => client.chat.completions.create({ ...greedy, messages, temperature: 3 }),
    OpenAI.BadRequestError,
    { status: 400, param: 'temperature', type: 'invalid_request_error' },
  ],
  [
    'a prompt that does not fit',
    () => client.completions.create({ ...greedy, prompt: 'word '.repeat(5000) }),
    OpenAI.BadRequestError,
    { status: 400, code: 'context_length_exceeded' },
  ],
  [
    'a service that is not there, streamed',
    () =>
      client.chat.completions.create(
        { ...greedy, messages, stream: true },
        { body: { ...greedy, messages, stream: true, placement: 'service' } },
      ),
    OpenAI.InternalServerError,
    { status: 503, code: 'service_unavailable', type: 'server_error' },
  ],
])("%s is the client's own class of error, with its fields", async (_, fails, error, fields) => {
  const thrown = await Promise.resolve(fails()).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(thrown).toBeInstanceOf(error);
  expect(thrown).toMatchObject({ ...fields, requestID: expect.stringMatching(/\w/) });
  expect((thrown as Error).message).toMatch(/^\d{3} .*\.$/);
});

test('a stream that is aborted gives its slot back, in each of the ways to abort one', async () => {
  const long = { model, messages, max_tokens: 400, stream: true as const, logit_bias: { 2: -100 } };
  const broken = await client.chat.completions.create(long);
  for await (const _ of broken) break;
  const aborted = await client.chat.completions.create(long);
  aborted.controller.abort();
  const helper = client.chat.completions.stream({ ...long, stream: undefined });
  helper.once('content', () => helper.abort());
  await expect(helper.finalContent()).rejects.toThrow(OpenAI.APIUserAbortError);
  const signal = AbortSignal.timeout(100);
  const { stream: _, ...whole } = long;
  await expect(client.chat.completions.create(whole, { signal })).rejects.toThrow(OpenAI.APIUserAbortError);
  await until('an idle isolate', async () => (await running()) === 0);
});

test('what the client lets one say, and null, which says nothing, is taken', async () => {
  const said = await client.chat.completions.create({
    ...{ ...greedy, max_tokens: null, max_completion_tokens: 4, user: 'me', stop: null, n: 1 },
    ...{ presence_penalty: 0, frequency_penalty: 0, logit_bias: {}, seed: null, top_p: 1, logprobs: false },
    messages: [
      { role: 'developer', content: 'Be kind.' },
      { role: 'user', content: [{ type: 'text', text: 'Write a story' }], name: 'me' },
      { role: 'assistant', content: 'About what?' },
      { role: 'user', content: 'A cat.' },
    ],
  });
  expect(said.usage!.completion_tokens).toBeLessThanOrEqual(4);
});

/** A tool whose arguments are few tokens. */
const weather: OpenAI.ChatCompletionFunctionTool = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'What the weather is like.',
    parameters: {
      type: 'object',
      properties: { city: { enum: ['Oslo', 'Rome'] }, days: { type: 'integer', minimum: 1, maximum: 9 } },
      required: ['city', 'days'],
      additionalProperties: false,
    },
  },
};
const fits = (text: string) => {
  const given = JSON.parse(text);
  expect(given).toEqual({ city: expect.stringMatching(/^(Oslo|Rome)$/), days: expect.any(Number) });
  return given;
};

test('tools are called, whole and in chunks, and answered in a whole round', async () => {
  const wish = {
    ...{ model, messages, max_tokens: 80, temperature: 0, tools: [weather] },
    parallel_tool_calls: false,
  };
  const whole = await client.chat.completions.create({ ...wish, tool_choice: 'required' });
  const [{ message, finish_reason }] = whole.choices;
  expect(finish_reason).toBe('tool_calls');
  const [call] = message.tool_calls as OpenAI.ChatCompletionMessageFunctionToolCall[];
  fits(call.function.arguments);
  const helped = await client.chat.completions
    .stream({ ...wish, tool_choice: 'required' })
    .finalChatCompletion();
  expect(helped.choices[0].finish_reason).toBe('tool_calls');
  expect(helped.choices[0].message.tool_calls).toMatchObject(
    message.tool_calls!.map((each) => ({ ...each, id: expect.any(String) })),
  );
  const answered = await client.chat.completions.create({
    ...wish,
    tool_choice: 'none',
    messages: [...messages, message, { role: 'tool', tool_call_id: call.id, content: 'It rains.' }],
  });
  expect(answered.choices[0].message.tool_calls ?? []).toEqual([]);
  expect(answered.choices[0].finish_reason).toMatch(/stop|length/);

  const asked: object[] = [];
  const runner = client.chat.completions.runTools({
    ...wish,
    tool_choice: { type: 'function', function: { name: 'weather' } },
    tools: [
      {
        type: 'function',
        function: { ...weather.function, parse: fits, function: (given: object) => void asked.push(given) },
      } as never,
    ],
  });
  await runner.done();
  expect(asked).toHaveLength(1);
});

test('an answer is parsed as the schema that it is held to', async () => {
  const story = z.strictObject({
    hero: z.enum(['cat', 'dog']),
    age: z.int().min(1).max(9),
    brave: z.boolean(),
  });
  const wish = {
    ...{ model, messages, max_tokens: 60, temperature: 1, seed: 3 },
    response_format: zodResponseFormat(story, 'story'),
  };
  const { choices } = await client.chat.completions.parse(wish);
  expect(story.parse(choices[0].message.parsed)).toEqual(JSON.parse(choices[0].message.content!));
  const helped = await client.chat.completions.stream(wish).finalChatCompletion();
  expect(helped.choices[0].message.parsed).toEqual(choices[0].message.parsed);
});

test('texts are embedded, as floats and as the base64 that the client asks for by itself', async () => {
  const input = ['A cat sleeps.', 'A dog runs.'];
  const { data, usage } = await client.embeddings.create({ model, input });
  const floats = await client.embeddings.create({ model, input, encoding_format: 'float' });
  expect(data.map(({ index }) => index)).toEqual([0, 1]);
  for (const [i, { embedding }] of data.entries()) {
    expect(embedding.length).toBeGreaterThan(10);
    for (const [j, value] of embedding.entries()) expect(value).toBeCloseTo(floats.data[i].embedding[j], 5);
  }
  expect(usage.total_tokens).toBe(usage.prompt_tokens);
});

test('texts are judged, by whatever model a client asks for by itself', async () => {
  const { model: judge, results } = await client.moderations.create({
    input: ['We baked bread and went home.', 'I will find you and kill you tonight.'],
  });
  expect(judge).toBe('Llama-wick-guard');
  expect(results.map(({ flagged }) => flagged)).toEqual([false, true]);
  expect(results[1].categories.violence || results[1].categories['harassment/threatening']).toBe(true);
  const named = await client.moderations.create({ model: 'omni-moderation-latest', input: 'A quiet day.' });
  expect(named).toMatchObject({ model: 'Llama-wick-guard', results: [{ flagged: false }] });
});

test('a response is the same whole and through the helper of streams', async () => {
  const wish = { model, input: 'Write a story about a cat.', max_output_tokens: 16, temperature: 0 };
  const whole = await client.responses.create(wish);
  expect(whole.output_text).toMatch(/\w/);
  const helper = client.responses.stream(wish);
  let text = '';
  helper.on('response.output_text.delta', ({ delta }) => {
    text += delta;
  });
  const streamed = await helper.finalResponse();
  expect([text, streamed.output_text]).toEqual([whole.output_text, whole.output_text]);
  expect(streamed.usage).toEqual(whole.usage);
});
