import { Ajv } from 'ajv';
import OpenAI from 'openai';
import type { ChatCompletionMessageParam } from 'openai/resources/chat/completions';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { roteModel } from '../fixtures/rote-model.ts';
import { type ServiceProcess, secret, startService } from '../fixtures/service.ts';
import { type Started, startWorker } from './worker.ts';

const model = 'Llama-wick-3M';
let service: ServiceProcess;
let worker: Started;
let client: OpenAI;

/** A model on the service that answers with text and a call, whatever it is asked. */
const rote = roteModel({
  template: `{# <tool_call> #}{% for message in messages %}{{ message.content }}{% endfor %}<answer>`,
  pieces: [
    'One moment.',
    '\n',
    '<tool_call>',
    '\n{"name": "get_weather", ',
    '"arguments": {"city": "Os',
    'lo", "unit": "celsius"}',
    '}\n</tool_call>',
  ],
});

beforeAll(async () => {
  const models = new URL('../../models/Llama-wick-3M', import.meta.url).pathname;
  service = await startService('--models', models, rote);
  worker = await startWorker({ WICK_SERVICE_URL: service.url, WICK_SECRET: secret });
  client = new OpenAI({ baseURL: new URL('/v1', worker.url).href, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  await worker?.stop();
  await service?.stop();
});

const weather = {
  type: 'object',
  properties: {
    city: { type: 'string', maxLength: 20 },
    days: { type: 'integer', minimum: 1, maximum: 7 },
    unit: { enum: ['celsius', 'fahrenheit'] },
  },
  required: ['city', 'unit'],
};
const moods = {
  type: 'object',
  properties: { moods: { type: 'array', items: { enum: ['sad', 'glad'] }, minItems: 1, maxItems: 3 } },
  required: ['moods'],
};
const schemas: Record<string, object> = { get_weather: weather, set_mood: moods };
const tools = Object.entries(schemas).map(([name, parameters]) => ({
  type: 'function' as const,
  function: { name, parameters: parameters as Record<string, unknown> },
}));
const validators = Object.fromEntries(
  Object.entries(schemas).map(([name, schema]) => [name, new Ajv().compile(schema)]),
);
const messages: ChatCompletionMessageParam[] = [{ role: 'user', content: 'How is the weather?' }];
const asked = { model, messages, tools, max_tokens: 120 };

function expectValid(calls: readonly OpenAI.ChatCompletionMessageToolCall[] | undefined): void {
  expect(calls?.length).toBeGreaterThan(0);
  for (const call of calls ?? []) {
    if (call.type !== 'function') throw new Error('It is no function.');
    expect(call.id).toMatch(/^call_/);
    const validate = validators[call.function.name];
    expect(validate?.(JSON.parse(call.function.arguments)), call.function.arguments).toBe(true);
  }
}

describe.each(['edge', 'service'] as const)('at the %s', (placement) => {
  const create = (body: object) =>
    client.chat.completions.create({
      ...asked,
      placement,
      ...body,
    } as OpenAI.ChatCompletionCreateParamsNonStreaming);

  it.each([0, 0.7, 1.3, 2])('a required call is a valid one at a temperature of %d', async (temperature) => {
    for (const seed of [1, 2, 3]) {
      const { choices } = await create({ tool_choice: 'required', temperature, seed });
      const [{ message, finish_reason }] = choices;
      expectValid(message.tool_calls);
      expect(message.content).toBeNull();
      expect(['tool_calls', 'length']).toContain(finish_reason);
    }
  });

  it('a function that is named is called, and once', async () => {
    for (const name of Object.keys(schemas)) {
      const choice = { type: 'function', function: { name } };
      const { choices } = await create({ tool_choice: choice, temperature: 1, seed: 4, n: 2 });
      for (const { message, finish_reason } of choices) {
        expectValid(message.tool_calls);
        expect(message.tool_calls).toMatchObject([{ function: { name } }]);
        expect(finish_reason).toBe('tool_calls');
      }
    }
  });

  it('only allowed tools are called, and one where they are not to be called in parallel', async () => {
    const allowed_tools = { mode: 'required', tools: [{ type: 'function', function: { name: 'set_mood' } }] };
    const { choices } = await create({
      tool_choice: { type: 'allowed_tools', allowed_tools },
      parallel_tool_calls: false,
      temperature: 2,
      n: 3,
    });
    for (const { message } of choices) {
      expectValid(message.tool_calls);
      expect(message.tool_calls).toMatchObject([{ function: { name: 'set_mood' } }]);
    }
  });

  it('the same calls are streamed', async () => {
    const body = { ...asked, placement, tool_choice: 'required' as const, temperature: 1, seed: 5 };
    const whole = await create(body);
    const stream = client.chat.completions.stream(body);
    let deltas = 0;
    stream.on('tool_calls.function.arguments.delta', () => deltas++);
    const { choices } = await stream.finalChatCompletion();
    const plain = (calls: OpenAI.ChatCompletionMessageToolCall[] | undefined) =>
      calls?.map((call) => call.type === 'function' && [call.function.name, call.function.arguments]);
    expect(plain(choices[0].message.tool_calls)).toEqual(plain(whole.choices[0].message.tool_calls));
    expect(choices[0].finish_reason).toBe(whole.choices[0].finish_reason);
    expect(deltas).toBeGreaterThan(2);
  });

  it('the older form is answered in the older form', async () => {
    const functions = tools.map((tool) => tool.function);
    const older = {
      tools: undefined,
      functions,
      function_call: { name: 'set_mood' },
      temperature: 1,
      seed: 6,
    };
    const { choices } = await create(older);
    const { function_call, tool_calls } = choices[0].message;
    expect(tool_calls).toBeUndefined();
    expect(function_call?.name).toBe('set_mood');
    expect(validators.set_mood(JSON.parse(function_call!.arguments))).toBe(true);
    expect(choices[0].finish_reason).toBe('function_call');
  });

  it('a result goes back, and the model goes on from it', async () => {
    const { choices } = await create({ tool_choice: 'required', temperature: 0, parallel_tool_calls: false });
    const { message } = choices[0];
    const answered = [
      ...messages,
      message,
      { role: 'tool', tool_call_id: message.tool_calls![0].id, content: 'It rains.' },
    ];
    const next = await create({ messages: answered, tool_choice: 'none', temperature: 0, max_tokens: 12 });
    expect(next.choices[0].message.content).toMatch(/\w/);
    expect(next.choices[0].message.tool_calls).toBeUndefined();
    expect(next.usage!.prompt_tokens).toBeGreaterThan(10);
  });

  it('a schema that cannot be held to is refused by the name of its keyword, where a call has to meet it', async () => {
    const parameters = { type: 'object', properties: { a: { not: { type: 'string' } } } };
    const unheld = { tools: [{ type: 'function', function: { name: 'f', parameters } }], max_tokens: 4 };
    await expect(create({ ...unheld, tool_choice: 'required' })).rejects.toMatchObject({
      status: 400,
      param: 'tools[0].function.parameters.properties.a.not',
    });
    const strict = { type: 'function', function: { name: 'f', parameters, strict: true } };
    await expect(create({ tools: [strict] })).rejects.toMatchObject({ status: 400 });
    expect((await create(unheld)).choices).toHaveLength(1);
  });
});

test('a model that begins a call is held to it; its text and its call are told apart', async () => {
  const body = { ...asked, model: 'rote', temperature: 0 };
  const { choices } = await client.chat.completions.create(body);
  expect(choices[0].message.content).toBe('One moment.');
  expectValid(choices[0].message.tool_calls);
  expect(choices[0].finish_reason).toBe('tool_calls');
});

test('official helpers run the tools and go on', async () => {
  const called: unknown[] = [];
  const run = client.chat.completions.runTools({
    model,
    messages: [...messages],
    max_tokens: 120,
    temperature: 1,
    seed: 7,
    tool_choice: { type: 'function', function: { name: 'set_mood' } },
    tools: [
      {
        type: 'function',
        function: {
          name: 'set_mood',
          parameters: moods as Record<string, unknown>,
          description: 'Sets the mood.',
          parse: (text: string): unknown => JSON.parse(text),
          function: (given: unknown) => {
            called.push(given);
            return 'Done.';
          },
        },
      },
    ],
  });
  await run.done();
  expect(called).toHaveLength(1);
  expect(validators.set_mood(called[0])).toBe(true);
});

test('requests that are not right are refused with the field, and the Worker goes on', async () => {
  const tool = tools[0];
  const hostile: [object, string][] = [
    [{ tools: [{ ...tool, function: { ...tool.function, name: 'a b' } }] }, 'tools[0].function.name'],
    [{ tools: [tool, tool] }, 'tools[1].function.name'],
    [{ tool_choice: { type: 'function', function: { name: 'none' } } }, 'tool_choice.function.name'],
    [{ messages: [{ role: 'tool', tool_call_id: 'x', content: '' }] }, 'messages[0].tool_call_id'],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: '' } }] }] },
      'messages[0].content[0]',
    ],
    [{ tools: Array.from({ length: 129 }, () => tool) }, 'tools'],
  ];
  for (const [body, param] of hostile)
    await expect(client.chat.completions.create({ ...asked, ...body } as never)).rejects.toMatchObject({
      status: 400,
      param,
    });
  // A description of tools that fills the context is a prompt that is too long.
  const long = { ...tool, function: { ...tool.function, description: 'long '.repeat(3000) } };
  await expect(client.chat.completions.create({ ...asked, tools: [long] })).rejects.toMatchObject({
    status: 400,
    code: 'context_length_exceeded',
  });
  const leaving = new AbortController();
  const stream = await client.chat.completions.create(
    { ...asked, tool_choice: 'required', stream: true },
    { signal: leaving.signal },
  );
  leaving.abort();
  void stream;
  const many = Array.from({ length: 8 }, (_, seed) =>
    client.chat.completions.create({
      ...asked,
      tool_choice: 'required',
      temperature: 2,
      seed,
      max_tokens: 120,
    }),
  );
  for (const { choices } of await Promise.all(many)) expectValid(choices[0].message.tool_calls);
});
