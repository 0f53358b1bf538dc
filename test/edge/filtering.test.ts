/** The site's policy on every door: what comes in, what is answered, and that nothing masked comes out anywhere. */
import { createHash } from 'node:crypto';
import { renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { readServerSentEvents } from '../../src/api/server-sent-events.ts';
import { roteModel } from '../fixtures/rote-model.ts';
import { type ServiceProcess, startService } from '../fixtures/service.ts';
import { type Started, secret, startWorker } from './worker.ts';

const model = 'Llama-wick-3M';
const card = '4111 1111 1111 1111';
const mail = 'jo.doe@mail.org';
const key = 'AKIAIOSFODNN7EXAMPLE';
const iban = 'DE89 3704 0044 0532 0130 00';
const policy = {
  version: 1,
  name: 'site',
  callers: { staff: createHash('sha256').update('the key of the staff').digest('hex') },
  rules: [
    { entities: ['*'], action: 'allow', keys: ['staff'] },
    { entities: ['card'], action: 'mask' },
    { entities: ['email'], action: 'replace' },
    { entities: ['iban'], action: 'hash' },
    { entities: ['secret'], action: 'refuse' },
  ],
  examples: [
    { text: `To ${mail}`, direction: 'input', gives: 'To [EMAIL_1]' },
    { text: `To ${mail}`, direction: 'input', key: 'staff', gives: `To ${mail}` },
  ],
};

const template = `{# <tool_call> #}{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}<answer>`;
/** A model on the service that answers the same whatever it is asked. */
function rote(name: string, ...pieces: string[]): string {
  const folder = roteModel({ template, pieces });
  const named = join(dirname(folder), name);
  renameSync(folder, named);
  return named;
}

let service: ServiceProcess;
let worker: Started;
let client: OpenAI;
beforeAll(async () => {
  service = await startService(
    '--models',
    new URL(`../../models/${model}`, import.meta.url).pathname,
    rote(
      'telling',
      'The card ',
      '4111 ',
      '1111 11',
      '11 1111',
      ' of [EMAIL',
      '_1] and a@',
      'b.org',
      ', all.',
    ),
    rote(
      'calling',
      'I send',
      '.\n<tool_call>',
      '\n{"name": "send", ',
      '"arguments": {"card": "4111\\u00',
      '201111 1111 11',
      '11", "to": "[EMAIL_',
      '1]"}',
      '}\n</tool_call>',
    ),
    rote('spilling', 'The key', ' is AKIAIOSF', 'ODNN7EXAMPLE', ' and', ' more', ' of', ' it.'),
  );
  worker = await startWorker({
    WICK_SERVICE_URL: service.url,
    WICK_SECRET: secret,
    WICK_POLICY: JSON.stringify(policy),
  });
  client = new OpenAI({ baseURL: new URL('/v1', worker.url).href, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  await worker?.stop();
  await service?.stop();
});

/** No value of these tests may come out, nor the parts of which a model makes one. */
const expectNothing = (where: string, text: string): void => {
  for (const value of [card, mail, key, iban, '4111 ', 'AKIAIOSF', 'b.org', 'DE89'])
    if (text.includes(value)) expect.fail(`${value} stands in ${where}: ${text}`);
};
// biome-ignore lint/suspicious/noExplicitAny: answers of all doors, looked into field by field.
type Answer = any;
const call = async (path: string, body?: unknown, headers: Record<string, string> = {}) => {
  const response = await fetch(new URL(path, worker.url), {
    ...(body !== undefined && {
      method: 'POST',
      body: typeof body === 'string' ? body : JSON.stringify(body),
    }),
    headers: { ...(typeof body === 'object' && { 'content-type': 'application/json' }), ...headers },
  });
  const text = await response.text();
  expectNothing(path, `${text} ${JSON.stringify([...response.headers])}`);
  return { status: response.status, headers: response.headers, text };
};
const ask = async (path: string, body: unknown, headers = {}) =>
  JSON.parse((await call(path, body, headers)).text);
async function events(path: string, body: object): Promise<Answer[]> {
  const { text } = await call(path, { ...body, stream: true });
  const told: Answer[] = [];
  for await (const { data } of readServerSentEvents(new Response(text).body!, 1e7))
    if (data !== '[DONE]') told.push(JSON.parse(data));
  return told;
}
afterAll(() => expectNothing('the logs', [...worker.log, ...service.log].join('\n')));

describe('what comes in', () => {
  const messages = [
    { role: 'system', content: `Be brief with ${mail}.` },
    { role: 'user', name: 'jo', content: [{ type: 'text', text: `Pay with ${card}` }] },
    {
      role: 'assistant',
      content: null,
      tool_calls: [
        {
          id: 'call_1',
          type: 'function',
          function: {
            name: 'pay',
            arguments: `{"card":"4111\\u00201111 1111 1111","to":"${mail}","n":4111111111111111}`,
          },
        },
      ],
    },
    { role: 'tool', tool_call_id: 'call_1', content: `{"iban": "${iban}"}` },
    { role: 'user', content: `Tell Jo.Doe@mail.org and ann@mail.org of ${iban}.` },
  ];

  it.each(['edge', 'service'])('is read by the model at the %s without what was found', async (placement) => {
    const tool = {
      name: 'pay',
      description: `Pays by ${card}.`,
      parameters: { type: 'object', properties: { to: { enum: [mail] }, n: { const: 4111111111111111 } } },
    };
    const answer = await ask('/v1/chat/completions', {
      ...{ model, messages, placement, max_tokens: 2, trace: true, tool_choice: 'none' },
      ...{ tools: [{ type: 'function', function: tool }], stop: [card], user: mail, metadata: { mail } },
    });
    const read = answer.wick.trace.prompt.map(({ text }: { text: string }) => text).join('');
    expect(read).toContain('Be brief with [EMAIL_1].');
    expect(read).toContain('Pay with *******************');
    expect(read).toContain('Tell [EMAIL_1] and [EMAIL_2] of [IBAN:');
    expect(read).toMatch(/\{"iban": "\[IBAN:[\da-f]{16}\]"\}/);
    expect(answer.wick.trace.parameters.stop).toEqual(['*******************']);
    expect(answer.wick.filtered).toContainEqual({
      type: 'email',
      direction: 'input',
      action: 'replace',
      count: expect.any(Number),
    });
    expect(answer.wick.trace.filters).toMatchObject([
      { name: 'site', on: 'prompt', action: 'mask' },
      { on: 'answer', action: 'allow' },
    ]);
  });

  it('stays JSON where it is', async () => {
    const { prompt } = await ask('/apply-template', { model: 'calling', messages });
    expect(prompt).toContain('tool: {"iban": "[IBAN:');
  });

  it('as token ids is filtered where the model is; what is unchanged stays', async () => {
    for (const placement of ['edge', 'service']) {
      const tokensOf = async (prompt: string) =>
        (
          await ask(
            '/tokenize',
            { model, placement, prompt },
            { authorization: 'Bearer the key of the staff' },
          )
        ).tokens as number[];
      const plain = await tokensOf('Once upon a time');
      const told = async (prompt: number[]) =>
        ask('/v1/completions', { model, placement, prompt, echo: true, max_tokens: 1, trace: true });
      expect((await told(plain)).wick.trace.prompt.map(({ id }: { id: number }) => id)).toEqual(plain);
      expect((await told(await tokensOf(`Once ${mail} paid`))).choices[0].text).toMatch(
        /^Once \[EMAIL_1\] paid/,
      );
      const { data, wick } = await ask('/v1/embeddings', {
        model,
        placement,
        input: [await tokensOf(`Once ${mail} paid`)],
      });
      const masked = await ask('/v1/embeddings', { model, placement, input: 'Once [EMAIL_1] paid' });
      expect(data[0].embedding).toEqual(masked.data[0].embedding);
      expect(wick).toEqual({
        filtered: [{ type: 'email', direction: 'input', action: 'replace', count: 1 }],
      });
      const text = await ask('/v1/embeddings', { model, placement, input: ['Once', `Once ${mail} paid`] });
      expect([text.wick, masked.wick]).toEqual([wick, undefined]);
      const { content } = await ask('/detokenize', {
        model,
        placement,
        tokens: await tokensOf(`Once ${mail}`),
      });
      expect(content).toMatch(/Once \[EMAIL_1\]$/);
    }
  });

  it('is refused with the place and never with what it is', async () => {
    const refused: [path: string, body: object | string, param: string][] = [
      [
        '/v1/chat/completions',
        { model, messages: [messages[0], { role: 'user', content: [{ type: 'text', text: key }] }] },
        'messages[1].content[0].text',
      ],
      [
        '/v1/chat/completions',
        { model, messages: [{ role: 'user', content: 'Hi' }], metadata: { note: key } },
        'metadata.note',
      ],
      [
        '/v1/completions',
        { model, prompt: ['Hi', Buffer.from(`the key ${key}`).toString('base64')] },
        'prompt[1]',
      ],
      ['/v1/completions', { model, prompt: 'Hi', suffix: key }, 'suffix'],
      ['/v1/completions', { model, prompt: 'Hi', stop: [key] }, 'stop[0]'],
      ['/v1/responses', { model, input: 'Hi', instructions: key }, 'instructions'],
      ['/v1/responses', { model, input: [{ role: 'user', content: key }] }, 'input[0].content'],
      ['/v1/embeddings', { model, input: ['Hi', key] }, 'input[1]'],
      ['/tokenize', { model, prompt: key }, 'prompt'],
      ['/apply-template', { model, messages: [{ role: 'user', content: key }] }, 'messages[0].content'],
      ['/v1/images/generations', { prompt: `a ${key}` }, 'prompt'],
      ['/v1/images/generations?async=1', { prompt: 'a', negative_prompt: key }, 'negative_prompt'],
      [`/text?stop=${key}`, 'Once', 'stop'],
    ];
    for (const [path, body, param] of refused) {
      const { status, text } = await call(path, body, { accept: 'application/json' });
      expect({ path, status, ...JSON.parse(text).error }).toMatchObject({
        path,
        status: 400,
        param,
        code: 'content_filter',
        type: 'invalid_request_error',
      });
    }
    expect((await call('/text', key)).text).toMatch(
      /^`prompt` holds what the policy of this site refuses: aws_access_key\.\n$/,
    );
  });

  it('leaves no value in errors and logs, whatever is wrong', async () => {
    for (const [path, body] of [
      ['/v1/chat/completions', { model, messages: [], [mail]: 1 }],
      ['/v1/chat/completions', { model: mail, messages: [{ role: 'user', content: 'Hi' }] }],
      ['/v1/chat/completions', `{"model": "${mail}" ${card}`],
      ['/v1/completions', { model, prompt: 'a', logit_bias: { [card]: 1 } }],
      ['/v1/responses', { model, input: 'a', previous_response_id: mail }],
      ['/text', { prompt: 'a', [mail]: card }],
      [`/text?${encodeURIComponent(card)}=1`, 'a'],
      [`/image/a.png?size=${encodeURIComponent(mail)}`, undefined],
      [`/v1/models/${mail}`, undefined],
      [`/nothing/${mail}`, undefined],
      [`/image/${encodeURIComponent(card)}`, {}],
    ] as const)
      expect((await call(path, body)).status, path).toBeGreaterThanOrEqual(400);
  });

  it('is as it came for whoever has a key for that', async () => {
    const response = await fetch(new URL('/apply-template', worker.url), {
      method: 'POST',
      headers: { authorization: 'Bearer the key of the staff' },
      body: JSON.stringify({ model: 'calling', messages: [{ role: 'user', content: mail }] }),
    });
    expect(await response.text()).toContain(mail);
    expect(response.headers.get('x-wick-filtered')).toBeNull();
    expect((await call('/tokenize', { model, prompt: mail })).headers.get('x-wick-filtered')).toBe(
      'email;action=replace;count=1',
    );
  });

  it('is taken in any form and size', async () => {
    const deep = `${'['.repeat(300_000)}${']'.repeat(300_000)}`;
    expect((await call('/v1/completions', `{"model": "${model}", "prompt": ${deep}}`)).status).toBe(400);
    expect((await call('/text', `${'x'.repeat(900_000)} ${mail}`)).status).toBe(400);
    expect((await call('/text', '')).status).toBe(400);
    const form = new FormData();
    form.set('prompt', `Once ${mail}`);
    form.set('max_tokens', '2');
    const response = await fetch(new URL('/text', worker.url), {
      method: 'POST',
      body: form,
      headers: { accept: 'application/json' },
    });
    expect(await response.json()).toMatchObject({ wick: { filtered: [{ type: 'email', count: 1 }] } });
  });
});

const told = 'The card ******************* of [EMAIL_1] and [EMAIL_1], all.';
const messages = [{ role: 'user' as const, content: 'Go on.' }];

describe('what is answered', () => {
  it('is masked the same whole and streamed, on every door', async () => {
    const chat = await ask('/v1/chat/completions', { model: 'telling', messages });
    expect(chat.choices[0]).toMatchObject({ message: { content: told }, finish_reason: 'stop' });
    expect(chat.wick.filtered).toEqual([
      { type: 'card', direction: 'output', action: 'mask', count: 1 },
      { type: 'email', direction: 'output', action: 'replace', count: 1 },
    ]);
    const chunks = await events('/v1/chat/completions', { model: 'telling', messages, n: 2 });
    for (const index of [0, 1]) {
      const own = chunks.flatMap(({ choices }) =>
        choices.filter((each: { index: number }) => each.index === index),
      );
      expect(own.map(({ delta }) => delta.content ?? '').join('')).toBe(told);
    }
    expect(chunks.at(-1)?.wick.filtered).toContainEqual({
      type: 'card',
      direction: 'output',
      action: 'mask',
      count: 2,
    });

    const response = await ask('/v1/responses', { model: 'telling', input: 'Go on.' });
    expect(response.output[0].content[0].text).toBe(told);
    const last = (await events('/v1/responses', { model: 'telling', input: 'Go on.' })).at(-1)!;
    expect(last.response.output[0].content[0].text).toBe(told);

    expect((await call('/text?model=telling', '<answer>')).text).toBe(`${told}\n`);
    const json = await call('/text?model=telling', '<answer>', { accept: 'application/json' });
    expect(JSON.parse(json.text)).toMatchObject({ text: told, wick: { filtered: [{}, {}] } });
    const sent = await call('/text?model=telling', '<answer>', { accept: 'text/event-stream' });
    expect(sent.text).toContain('"filtered":[{"type":"card"');
  });

  it('tells the tokens of what is masked as masked: their likelihoods, alternatives and traces', async () => {
    const wish = { model: 'telling', prompt: '<answer>', logprobs: 3, trace: true };
    const whole = (await ask('/v1/completions', wish)).choices[0];
    const { tokens, token_logprobs, text_offset, top_logprobs } = whole.logprobs;
    expect(tokens[0]).toBe('The card ');
    expect(tokens[1]).toMatch(/^\*+$/);
    expect(token_logprobs[1]).toBe(-9999);
    expect(top_logprobs[1]).toEqual({ [tokens[1]]: -9999 });
    for (const [i, token] of tokens.entries())
      if (!token.includes('*')) expect(whole.text.slice(text_offset[i]).startsWith(token), token).toBe(true);
    expect(whole.wick.trace.filter(({ id }: { id: number | null }) => id === null).length).toBeGreaterThan(3);
    const chunks = await events('/v1/completions', wish);
    expect(
      chunks.flatMap(({ choices }) =>
        choices.flatMap(({ logprobs }: { logprobs: { tokens: string[] } | null }) => logprobs?.tokens ?? []),
      ),
    ).toEqual(tokens);
    await ask('/v1/chat/completions', {
      model: 'telling',
      messages,
      logprobs: true,
      top_logprobs: 5,
      trace: true,
    });
    await ask('/v1/responses', {
      model: 'telling',
      input: 'a',
      include: ['message.output_text.logprobs'],
      top_logprobs: 5,
      trace: true,
    });
  });

  const tools = [
    {
      type: 'function' as const,
      function: {
        name: 'send',
        parameters: { type: 'object', properties: { card: { type: 'string' }, to: { type: 'string' } } },
      },
    },
  ];

  it('is masked in the arguments of calls, which stay JSON', async () => {
    const wish = { model: 'calling', messages, tools };
    const { choices } = await ask('/v1/chat/completions', {
      ...wish,
      logprobs: true,
      top_logprobs: 3,
      trace: true,
    });
    expect(choices[0]).toMatchObject({ message: { content: 'I send.' }, finish_reason: 'tool_calls' });
    const [{ function: called }] = choices[0].message.tool_calls;
    expect(JSON.parse(called.arguments)).toEqual({ card: '*******************', to: '[EMAIL_1]' });
    const streamed = await client.chat.completions.stream(wish).finalChatCompletion();
    expect(streamed.choices[0].message.tool_calls).toMatchObject([
      { function: { name: 'send', arguments: called.arguments } },
    ]);
    const { output } = await ask('/v1/responses', {
      model: 'calling',
      input: 'a',
      tools: [{ type: 'function', ...tools[0].function }],
    });
    expect(output).toMatchObject([
      { type: 'message' },
      { type: 'function_call', arguments: called.arguments },
    ]);
  });

  it('that is refused ends, and is told as refused, with its usage', async () => {
    const chat = await client.chat.completions.create({ model: 'spilling', messages, n: 2 });
    for (const choice of chat.choices)
      expect(choice).toMatchObject({ message: { content: 'The key is ' }, finish_reason: 'content_filter' });
    expect(chat.usage!.completion_tokens).toBeGreaterThan(2);
    const stream = await client.chat.completions.create({
      model: 'spilling',
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    expectNothing('chunks', JSON.stringify(chunks));
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe('The key is ');
    expect(chunks.at(-2)?.choices[0].finish_reason).toBe('content_filter');
    expect(chunks.at(-1)?.usage?.completion_tokens).toBeGreaterThan(1);

    const response = await client.responses.create({ model: 'spilling', input: 'a' });
    expect(response).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'content_filter' },
      output_text: 'The key is ',
    });
    expect((await events('/v1/responses', { model: 'spilling', input: 'a' })).at(-1)).toMatchObject({
      type: 'response.incomplete',
      response: { incomplete_details: { reason: 'content_filter' } },
    });
    const completion = await ask('/v1/completions', {
      model: 'spilling',
      prompt: ['<answer>', '<answer>'],
      logprobs: 1,
    });
    expect(completion.choices).toMatchObject([
      { text: 'The key is ', finish_reason: 'content_filter' },
      { text: 'The key is ' },
    ]);
    expect((await call('/text?model=spilling', '<answer>')).text).toMatch(
      /^The key is \n\n\[The answer ends here/,
    );
    const json = await call('/text?model=spilling&trace=true', '<answer>', { accept: 'application/json' });
    expect(JSON.parse(json.text)).toMatchObject({
      text: 'The key is ',
      finish_reason: 'content_filter',
      wick: { trace: { filters: [{}, { action: 'refuse' }] } },
    });
    expect((await call('/text?model=spilling', '<answer>', { accept: 'text/event-stream' })).text).toMatch(
      /event: done\ndata: \{"finish_reason":"content_filter"/,
    );
  });
});

describe('what is put back', () => {
  const asked = [{ role: 'user' as const, content: `I am ${mail}.` }];
  const restored = `The card ******************* of ${mail} and [EMAIL_2], all.`;
  // The caller gets the own value back, and nobody else may see it: these answers are not among those that are looked at.
  const privately = async (path: string, body: object) => {
    const response = await fetch(new URL(path, worker.url), { method: 'POST', body: JSON.stringify(body) });
    return (await response.json()) as Answer;
  };

  it('stands in the answer, streamed and whole, and JSON stays JSON', async () => {
    const wish = { model: 'telling', messages: asked, restore: true };
    expect((await privately('/v1/chat/completions', wish)).choices[0].message.content).toBe(
      restored.replace('[EMAIL_2]', 'a@b.org'),
    );
    expect((await ask('/v1/chat/completions', { ...wish, restore: false })).choices[0].message.content).toBe(
      restored.replace(mail, '[EMAIL_1]'),
    );
    const streamed = await client.chat.completions.stream(wish as never).finalChatCompletion();
    expect(streamed.choices[0].message.content).toBe(restored.replace('[EMAIL_2]', 'a@b.org'));
    const tools = [
      {
        type: 'function',
        function: {
          name: 'send',
          parameters: { type: 'object', properties: { card: { type: 'string' }, to: { type: 'string' } } },
        },
      },
    ];
    const { choices } = await privately('/v1/chat/completions', {
      model: 'calling',
      messages: asked,
      tools,
      restore: true,
    });
    expect(JSON.parse(choices[0].message.tool_calls[0].function.arguments).to).toBe(mail);
  });

  it('is not kept: a response is kept without it, and what stands for it goes on to stand for it', async () => {
    const first = await privately('/v1/responses', {
      model: 'telling',
      input: asked[0].content,
      restore: true,
    });
    expect(first.output[0].content[0].text).toContain(mail);
    const kept = await ask(`/v1/responses/${first.id}`, undefined);
    expect(kept.output[0].content[0].text).toBe(restored.replace(mail, '[EMAIL_1]'));
    expect((await ask(`/v1/responses/${first.id}/input_items`, undefined)).data[0].content[0].text).toBe(
      'I am [EMAIL_1].',
    );
    const next = await ask('/v1/responses', {
      model: 'telling',
      previous_response_id: first.id,
      input: 'And ann@mail.org?',
      trace: true,
    });
    const read = next.wick.trace.prompt.map(({ text }: { text: string }) => text).join('');
    expect(read).toContain('And [EMAIL_3]?');
    const objects = await worker.objects('RESPONSES');
    expect(objects).toBeDefined();
  });
});

test('a broken policy lets nothing through, and the log says why', async () => {
  const WICK_POLICY = JSON.stringify({ ...policy, callers: {} });
  const broken = await startWorker({ WICK_POLICY });
  try {
    for (const [path, body] of [
      ['/v1/chat/completions', { model, messages }],
      ['/v1/completions', { model, prompt: 'a' }],
      ['/v1/responses', { model, input: 'a' }],
      ['/v1/embeddings', { model, input: 'a' }],
      ['/tokenize', { prompt: 'a' }],
      ['/v1/images/generations', { prompt: 'a' }],
      ['/text', 'a'],
    ] as const) {
      const init = { method: 'POST', body: JSON.stringify(body), headers: { accept: 'application/json' } };
      const response = await fetch(new URL(path, broken.url), init);
      expect([path, response.status, ((await response.json()) as { error: object }).error]).toMatchObject([
        path,
        500,
        { code: 'policy_broken' },
      ]);
    }
    expect((await fetch(new URL('/v1/models', broken.url))).status).toBe(200);
    expect(broken.log.join('\n')).toMatch(/no caller "staff"/);
  } finally {
    await broken.stop();
  }
});
