import fc from 'fast-check';
import OpenAI from 'openai';
import type {
  ResponseCreateParamsNonStreaming,
  ResponseStreamEvent,
} from 'openai/resources/responses/responses';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { responseAnswer, responseEvent } from '../../src/api/responses/schema.ts';
import { type ServiceProcess, startService } from '../fixtures/service.ts';
import { type Started, secret, startWorker, until } from './worker.ts';

const model = 'Llama-wick-3M';
let service: ServiceProcess;
let worker: Started;
let client: OpenAI;
const clientOf = (url: URL, apiKey = 'one') =>
  new OpenAI({ baseURL: new URL('/v1', url).href, apiKey, maxRetries: 0 });
beforeAll(async () => {
  service = await startService();
  worker = await startWorker({ WICK_SERVICE_URL: service.url, WICK_SECRET: secret });
  client = clientOf(worker.url);
});
afterAll(async () => {
  await worker?.stop();
  await service?.stop();
});

const wish = { model, input: 'Tell a story about a fox.', temperature: 0, max_output_tokens: 12 };
type Wish = Partial<ResponseCreateParamsNonStreaming> & {
  placement?: string;
  seed?: number;
  trace?: boolean;
};
const create = (changes: Wish = {}) =>
  client.responses.create({ ...wish, ...changes } as ResponseCreateParamsNonStreaming);
const weather = {
  type: 'function' as const,
  name: 'weather',
  description: 'The weather of a place.',
  strict: true,
  parameters: {
    type: 'object',
    properties: { place: { type: 'string', maxLength: 12 } },
    required: ['place'],
    additionalProperties: false,
  },
};

describe.each(['edge', 'service'])('a response from the %s', (placement) => {
  test('has the text of a chat completion, whole and streamed, in numbered events', async () => {
    const chat = await client.chat.completions.create({
      ...{ model, placement, temperature: 0, max_tokens: 12 },
      messages: [{ role: 'user', content: wish.input }],
    } as OpenAI.ChatCompletionCreateParamsNonStreaming);
    const whole = await create({ placement });
    expect(responseAnswer.parse(whole)).toBeTruthy();
    expect(whole.output_text).toBe(chat.choices[0].message.content);
    expect(whole.usage).toMatchObject({
      input_tokens: chat.usage?.prompt_tokens,
      output_tokens: chat.usage?.completion_tokens,
      total_tokens: chat.usage?.total_tokens,
    });
    const length = chat.choices[0].finish_reason === 'length';
    expect(whole.status).toBe(length ? 'incomplete' : 'completed');
    expect(whole.incomplete_details).toEqual(length ? { reason: 'max_output_tokens' } : null);

    const events: ResponseStreamEvent[] = [];
    const stream = await client.responses.create({ ...wish, placement, stream: true } as never);
    for await (const event of stream as unknown as AsyncIterable<ResponseStreamEvent>) events.push(event);
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, i) => i));
    for (const event of events) expect(responseEvent.parse(event)).toBeTruthy();
    const types = events.map(({ type }) => type.replace('response.', ''));
    expect(types.filter((type) => type !== 'output_text.delta')).toEqual([
      ...['created', 'in_progress', 'output_item.added', 'content_part.added'],
      ...['output_text.done', 'content_part.done', 'output_item.done', length ? 'incomplete' : 'completed'],
    ]);
    const deltas = events.flatMap((event) =>
      event.type === 'response.output_text.delta' ? [event.delta] : [],
    );
    expect(deltas.join('')).toBe(whole.output_text);
  });

  test('is kept: read, listed, gone on from, and deleted', async () => {
    const first = await create({ placement, instructions: 'Write simply.', metadata: { a: 'b' } });
    const kept = await client.responses.retrieve(first.id);
    expect({ ...kept, output_text: first.output_text }).toEqual({ ...first, output_text: first.output_text });
    expect(kept.metadata).toEqual({ a: 'b' });
    const items = await client.responses.inputItems.list(first.id);
    expect(items.data).toMatchObject([
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: wish.input }] },
    ]);
    const second = await create({ placement, previous_response_id: first.id, input: 'Go on.' });
    // The instructions of the first are not those of the second.
    const same = await create({
      placement,
      store: false,
      input: [
        { role: 'user', content: wish.input },
        { role: 'assistant', content: first.output_text },
        { role: 'user', content: [{ type: 'input_text', text: 'Go on.' }] },
      ],
    });
    expect(second.output_text).toBe(same.output_text);
    expect(second.usage?.input_tokens).toBe(same.usage?.input_tokens);
    expect(second.previous_response_id).toBe(first.id);
    await expect(client.responses.retrieve(same.id)).rejects.toThrow(OpenAI.NotFoundError);
    await client.responses.delete(first.id);
    await expect(client.responses.retrieve(first.id)).rejects.toThrow(/no response/);
    await expect(create({ previous_response_id: first.id })).rejects.toThrow(/no response/);
    // What was gone on with holds all that was said.
    expect((await create({ placement, previous_response_id: second.id, input: 'And?' })).status).toBeTruthy();
  });

  test('tells probabilities where they are asked for', async () => {
    const include = ['message.output_text.logprobs' as const];
    const { output } = await create({ placement, include, top_logprobs: 2 });
    const [part] = (output[0] as OpenAI.Responses.ResponseOutputMessage).content;
    const { logprobs = [], text } = part as OpenAI.Responses.ResponseOutputText;
    expect(logprobs.map(({ token }) => token).join('')).toContain(text);
    for (const { logprob, top_logprobs } of logprobs) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top_logprobs).toHaveLength(2);
    }
  });
});

test('a trace is told with the answer and in its events, and not kept', async () => {
  const traced = responseAnswer.parse(await create({ trace: true }));
  expect(traced.wick?.trace).toMatchObject({ model, parameters: { max_tokens: 12 } });
  expect(traced.wick?.tokens).toHaveLength(traced.usage!.output_tokens);
  const kept = responseAnswer.parse(await client.responses.retrieve(traced.id));
  expect(kept.wick).toEqual({ timings: traced.wick?.timings });
  const stream = client.responses.stream({ ...wish, trace: true, trace_candidates: 0 } as typeof wish);
  const ids: number[] = [];
  stream.on('event', (event) => {
    const { wick } = event as { wick?: { tokens?: { id: number }[] } };
    ids.push(...(wick?.tokens ?? []).map(({ id }) => id));
  });
  await stream.done();
  expect(ids).toEqual(traced.wick?.tokens?.map(({ id }) => id));
});

test("the client's own stream helper puts the response together", async () => {
  const stream = client.responses.stream({ ...wish, max_output_tokens: 40 });
  const final = await stream.finalResponse();
  const again = await create({ max_output_tokens: 40 });
  expect(final.output_text).toBe(again.output_text);
});

test.each(['edge', 'service'])('an answer is held to a JSON Schema at the %s', async (placement) => {
  const schema = {
    type: 'object',
    properties: { animal: { enum: ['fox', 'hare'] }, legs: { type: 'integer', minimum: 0, maximum: 9 } },
    required: ['animal', 'legs'],
    additionalProperties: false,
  };
  const format = { type: 'json_schema' as const, name: 'animal', strict: true, schema };
  for (const seed of [1, 2, 3]) {
    const { output_text, text } = await create({
      ...{ placement, text: { format }, temperature: 1.5, seed, max_output_tokens: 60 },
    });
    const { animal, legs } = JSON.parse(output_text) as { animal: string; legs: number };
    expect(['fox', 'hare']).toContain(animal);
    expect(Number.isInteger(legs)).toBe(true);
    expect(text?.format).toEqual(format);
  }
  const { output_text } = await create({ placement, text: { format: { type: 'json_object' } } });
  expect(JSON.parse(output_text)).toBeTypeOf('object');
});

test.each(['edge', 'service'])(
  'a call that is required comes from the %s, and its result goes on',
  async (placement) => {
    const required = { ...wish, placement, tools: [weather], tool_choice: 'required' as const };
    const options = { ...required, max_output_tokens: 100, parallel_tool_calls: false } as never;
    const stream = client.responses.stream(options);
    let [deltas, done] = ['', ''];
    stream.on('response.function_call_arguments.delta', ({ delta }) => {
      deltas += delta;
    });
    stream.on('response.function_call_arguments.done', (event) => {
      done = event.arguments;
    });
    const { id, output, status } = await stream.finalResponse();
    const call = output.find((item) => item.type === 'function_call')!;
    expect(status).toBe('completed');
    expect(call).toMatchObject({ name: 'weather', arguments: deltas, status: 'completed' });
    expect(done).toBe(deltas);
    expect(JSON.parse(deltas)).toEqual({ place: expect.any(String) });
    const result = { type: 'function_call_output' as const, call_id: call.call_id, output: 'Sunny.' };
    const next = await create({ placement, previous_response_id: id, input: [result], tools: [weather] });
    expect(next.output.length).toBeGreaterThan(0);
    // A call that was made has to be answered before the conversation goes on.
    await expect(create({ placement, previous_response_id: id, input: 'Hello?' })).rejects.toThrow(
      /answered/,
    );
  },
);

test('tools are told of, their calls and results go round', async () => {
  const called = await create({
    input: [
      { role: 'user', content: 'How is the weather in Rome?' },
      { type: 'function_call', call_id: 'call_1', name: 'weather', arguments: '{"place":"Rome"}' },
      { type: 'function_call_output', call_id: 'call_1', output: 'Sunny.' },
    ],
    tools: [weather],
  });
  expect(called.tools).toEqual([weather]);
  const plain = await create({ input: 'How is the weather in Rome?' });
  expect(called.usage!.input_tokens).toBeGreaterThan(plain.usage!.input_tokens + 10);
  expect(called.output.length).toBeGreaterThan(0);
  await expect(
    create({ input: [{ type: 'function_call_output', call_id: 'call_9', output: 'x' }] }),
  ).rejects.toThrow(/result has to answer a call/);
});

test('the oldest turns are left out where that is asked for, and only then', async () => {
  const turns = Array.from({ length: 60 }, (_, i) => ({
    role: i % 2 ? ('assistant' as const) : ('user' as const),
    content: `${i}: ${'the fox ran on and on '.repeat(5)}`,
  }));
  const input = [...turns, { role: 'user' as const, content: 'Go on.' }];
  await expect(create({ input })).rejects.toThrow(/room for 512/);
  const cut = await create({ input, truncation: 'auto', instructions: 'Write simply.' });
  expect(cut.usage!.input_tokens).toBeLessThanOrEqual(500);
  expect(cut.usage!.input_tokens).toBeGreaterThan(400);
  // What one message alone cannot hold is still refused.
  await expect(create({ input: 'the fox '.repeat(600), truncation: 'auto' })).rejects.toThrow(/room for 512/);
});

test('a response is for the key that asked for it, and for a while', async () => {
  const { id } = await create();
  const other = clientOf(worker.url, 'two');
  await expect(other.responses.retrieve(id)).rejects.toThrow(OpenAI.NotFoundError);
  await expect(other.responses.delete(id)).rejects.toThrow(OpenAI.NotFoundError);
  expect((await client.responses.retrieve(id)).id).toBe(id);
  const brief = await startWorker({ WICK_RESPONSE_LIFE: '1' });
  try {
    const own = clientOf(brief.url);
    const gone = await own.responses.create(wish);
    await until('the end of its time', () =>
      own.responses.retrieve(gone.id).then(
        () => false,
        (error) => error instanceof OpenAI.NotFoundError,
      ),
    );
  } finally {
    await brief.stop();
  }
});

test('lists of items go on where they were left', async () => {
  const input = Array.from({ length: 5 }, (_, i) => ({ role: 'user' as const, content: `${i}` }));
  const { id } = await create({ input });
  const read: string[] = [];
  for await (const item of client.responses.inputItems.list(id, { order: 'asc', limit: 2 }))
    read.push((item as { content: { text: string }[] }).content[0].text);
  expect(read).toEqual(['0', '1', '2', '3', '4']);
  await expect(client.responses.inputItems.list(id, { after: 'msg_none' })).rejects.toThrow(/after/);
  await expect(client.responses.cancel(id)).rejects.toThrow(/background/);
});

const deep = '['.repeat(5000) + ']'.repeat(5000);
const refusals: [what: string, body: object | string, status: number, param: string | null][] = [
  ['nothing', '', 400, null],
  ['no input', { input: undefined }, 400, 'input'],
  ['an empty input', { input: '' }, 400, 'input'],
  ['no items', { input: [] }, 400, 'input'],
  ['too many items', { input: new Array(1025).fill({ role: 'user', content: 'a' }) }, 400, 'input'],
  [
    'an image',
    { input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] },
    400,
    'input[0].content[0]',
  ],
  ['a reference', { input: [{ type: 'item_reference', id: 'msg_1' }] }, 400, 'input[0]'],
  ['half of a surrogate pair', `{"model":"${model}","input":"\\ud800"}`, 400, 'input'],
  ['a background', { background: true }, 400, 'background'],
  ['what cannot be included', { include: ['reasoning.encrypted_content'] }, 400, 'include[0]'],
  ['a conversation', { conversation: 'conv_1' }, 400, 'conversation'],
  ['thinking', { reasoning: { effort: 'high' } }, 400, 'reasoning'],
  ['a tool of another kind', { tools: [{ type: 'web_search' }] }, 400, 'tools[0].type'],
  ['a choice without tools', { tool_choice: 'required' }, 400, 'tool_choice'],
  [
    'a function that is not there',
    { tools: [weather], tool_choice: { type: 'function', name: 'x' } },
    400,
    'tool_choice.name',
  ],
  [
    'a schema that is none',
    { text: { format: { type: 'json_schema', name: 'a', schema: { type: 'cat' } } } },
    400,
    'text.format.schema.type',
  ],
  ['a format that is none', { text: { format: { type: 'xml' } } }, 400, 'text.format.type'],
  ['a hot temperature', { temperature: 3 }, 400, 'temperature'],
  ['no tokens', { max_output_tokens: 0 }, 400, 'max_output_tokens'],
  [
    'much metadata',
    { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [i, 'x'])) },
    400,
    'metadata',
  ],
  ['an unknown predecessor', { previous_response_id: `resp_${'0'.repeat(32)}` }, 404, 'previous_response_id'],
  ['a predecessor that is no id', { previous_response_id: '../../x' }, 404, 'previous_response_id'],
  ['an unknown model', { model: 'nobody' }, 404, 'model'],
  ['an unknown field', { max_tokens: 5 }, 400, 'max_tokens'],
  ['what is nested deeply', `{"model":"${model}","input":${deep}}`, 400, 'input[0]'],
];
test.each(refusals)('%s is refused by name', async (_, body, status, param) => {
  const text = typeof body === 'string' ? body : JSON.stringify({ ...wish, ...body });
  const response = await fetch(new URL('/v1/responses', worker.url), { method: 'POST', body: text });
  const answer = await response.text();
  expect(response.status, answer).toBe(status);
  expect(JSON.parse(answer)).toMatchObject({ error: { param, message: expect.stringMatching(/\.$/) } });
  expect(answer).not.toMatch(/\n\s+at |node_modules|\.ts\b/);
});

test('whatever JSON comes, there is an answer or a refusal of ours', async () => {
  const field = fc.constantFrom('model', 'input', 'tools', 'tool_choice', 'text', 'metadata', 'stream');
  const body = fc.oneof(fc.jsonValue(), fc.dictionary(field, fc.jsonValue()));
  await fc.assert(
    fc.asyncProperty(body, async (body) => {
      const init = { method: 'POST', body: JSON.stringify(body) };
      const response = await fetch(new URL('/v1/responses', worker.url), init);
      expect([400, 404]).toContain(response.status);
      await response.json();
    }),
    { numRuns: 40 },
  );
});

test('a service that breaks off ends the stream with the failure, and nothing is kept', async () => {
  const own = await startService();
  const second = await startWorker({ WICK_SERVICE_URL: own.url, WICK_SECRET: secret });
  try {
    const init = {
      method: 'POST',
      body: JSON.stringify({
        ...{ ...wish, placement: 'service', stream: true, max_output_tokens: 400 },
        logit_bias: { 2: -100 },
      }),
    };
    const response = await fetch(new URL('/v1/responses', second.url), init);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = (await reader.read()).value ?? '';
    own.child.kill('SIGKILL');
    for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
    const events = text.trim().split('\n\n');
    const parsed = events.map((event) => JSON.parse(event.split('\ndata: ')[1]) as ResponseStreamEvent);
    expect(parsed.at(-2)).toMatchObject({ type: 'error', message: expect.any(String) });
    expect(parsed.at(-1)).toMatchObject({ type: 'response.failed', response: { status: 'failed' } });
    expect(events.at(-2)!.startsWith('event: error\n')).toBe(true);
    const { id } = (parsed[0] as unknown as { response: { id: string } }).response;
    expect((await fetch(new URL(`/v1/responses/${id}`, second.url))).status).toBe(404);
  } finally {
    await second.stop();
    await own.stop();
  }
});
