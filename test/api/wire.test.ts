import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BadRequest } from '../../src/api/errors.ts';
import { type GenerationEvent, readEvents, type ServiceEvent, writeEvent } from '../../src/api/events.ts';
import { parseChatCompletionRequest, parseCompletionRequest } from '../../src/api/openai.ts';
import { answerChunks, answerHead, wholeAnswer } from '../../src/api/openai-answers.ts';
import { generationParameters } from '../../src/api/parameters.ts';
import { parsePlainOptions } from '../../src/api/plain.ts';
import { signatureFault, signRequest } from '../../src/api/signature.ts';
import { defaultParameters } from '../../src/generation/parameters.ts';

const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
const start: GenerationEvent = { type: 'start', prompt_tokens: 3 };
const end = (index = 0): GenerationEvent => ({ type: 'end', index, finish_reason: 'stop' });
const done: GenerationEvent = { type: 'done', usage };
const delta = (text: string, index = 0): GenerationEvent => ({
  type: 'delta',
  index,
  text,
  tokens: [1],
});

function body(chunks: Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}

async function collect(stream: ReadableStream<Uint8Array>): Promise<ServiceEvent[]> {
  const events: ServiceEvent[] = [];
  for await (const event of readEvents(stream)) events.push(event);
  return events;
}

describe('events', () => {
  it('are the same however the bytes are cut', async () => {
    const texts = fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(
        texts,
        fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 60 }),
        async (texts, cuts) => {
          const events = [start, ...texts.map((text) => delta(text)), end(), done];
          const bytes = new TextEncoder().encode(events.map(writeEvent).join(''));
          const chunks: Uint8Array[] = [];
          let at = 0;
          for (const cut of cuts) {
            chunks.push(bytes.slice(at, at + cut));
            at += cut;
          }
          chunks.push(bytes.slice(at));
          expect(await collect(body(chunks))).toEqual(events);
        },
      ),
      { numRuns: 60 },
    );
  });

  it.each([
    ['nothing', '', /ended before/],
    ['no last event', writeEvent(start), /ended before/],
    ['a cut line', `${writeEvent(start)}{"type":"del`, /ended before/],
    ['no JSON', 'hello\n', /no JSON/],
    ['no event', '{"type":"party"}\n', /no event/],
    ['a line without end', 'x'.repeat(2_100_000), /without an end/],
  ])('of a stream with %s are an error', async (_, text, message) => {
    await expect(collect(body([new TextEncoder().encode(text)]))).rejects.toThrow(message);
  });
});

describe('requests', () => {
  it('take OpenAI’s forms', () => {
    expect(
      parseCompletionRequest({
        model: 'm',
        prompt: 'a',
        stop: 'x',
        temperature: null,
      }),
    ).toEqual({
      model: 'm',
      inputs: [{ text: 'a' }],
      parameters: { stop: ['x'] },
      stream: false,
      includeUsage: false,
      placement: undefined,
      fallback: false,
      restore: false,
      form: {},
    });
    expect(parseCompletionRequest({ model: 'm', prompt: ['a', 'b'] }).inputs).toEqual([
      { text: 'a' },
      { text: 'b' },
    ]);
    expect(parseCompletionRequest({ model: 'm', prompt: [1, 2] }).inputs).toEqual([{ tokens: [1, 2] }]);
    expect(parseCompletionRequest({ model: 'm', prompt: [[1], [2, 3]] }).inputs).toEqual([
      { tokens: [1] },
      { tokens: [2, 3] },
    ]);
    expect(parseCompletionRequest({ model: 'm', prompt: 'a', logprobs: 3 }).parameters).toEqual({
      top_logprobs: 3,
    });
    const chat = parseChatCompletionRequest({
      model: 'm',
      messages: [
        { role: 'developer', content: 'Be kind.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Hi' },
            { type: 'text', text: '!' },
          ],
        },
      ],
      max_completion_tokens: 5,
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(chat).toMatchObject({
      parameters: { max_tokens: 5 },
      stream: true,
      includeUsage: true,
    });
    expect(chat.inputs).toEqual([
      {
        messages: [
          { role: 'system', content: 'Be kind.' },
          { role: 'user', content: 'Hi!' },
        ],
      },
    ]);
  });

  it.each([
    [null, /JSON object, not null/, null],
    [[], /JSON object, not a list/, null],
    ['x', /JSON object, not a string/, null],
    [{}, /model/, 'model'],
    [{ model: 'm' }, /prompt/, 'prompt'],
    [{ model: 'm', prompt: 7 }, /prompt/, 'prompt'],
    [{ model: 'm', prompt: [] }, /prompt/, null],
    [{ model: 'm', prompt: ['a', 1] }, /prompt/, null],
    [{ model: 'm', prompt: [[]] }, /prompt/, null],
    [{ model: 'm', prompt: Array(200).fill('a') }, /prompt/, null],
    [{ model: 'm', prompt: 'a\ud800' }, /surrogate/, 'prompt'],
    [{ model: 'm', prompt: 'a', max_tokens: -1 }, /max_tokens.*from 0/, 'max_tokens'],
    [{ model: 'm', prompt: 'a', max_tokens: '5' }, /max_tokens/, 'max_tokens'],
    [{ model: 'm', prompt: 'a', temperature: 9 }, /temperature.*0 to 2/, 'temperature'],
    [{ model: 'm', prompt: 'a', n: 0 }, /`n`.*1 to 128/, 'n'],
    [{ model: 'm', prompt: 'a', n: 10_000 }, /`n`.*1 to 128/, 'n'],
    [{ model: 'm', prompt: 'a', n: 3, best_of: 2 }, /`best_of` has to be at least `n`/, 'best_of'],
    [{ model: 'm', prompt: 'a', best_of: 2, stream: true }, /not for a stream/, 'best_of'],
    [{ model: 'm', prompt: 'a', logprobs: true }, /logprobs/, 'logprobs'],
    [{ model: 'm', prompt: 'a', logprobs: 21 }, /logprobs.*0 to 20/, 'logprobs'],
    [{ model: 'm', prompt: 'a', stop: ['a', 'b', 'c', 'd', 'e'] }, /stop/, 'stop'],
    [{ model: 'm', prompt: 'a', logit_bias: { x: 1 } }, /logit_bias/, 'logit_bias.x'],
    [{ model: 'm', prompt: 'a', tools: [] }, /`tools` is a parameter that wick does not serve/, 'tools'],
    [
      { model: 'm', prompt: 'a', tempreature: 1 },
      /`tempreature` is not a parameter that wick knows/,
      'tempreature',
    ],
    [{ model: 'm', prompt: 'a', store: true }, /`store`.*expected false/, 'store'],
    [{ model: 'm', prompt: 'a', service_tier: 'flex' }, /`service_tier`.*alike/, 'service_tier'],
    [{ model: 'm', prompt: 'a', modalities: ['text', 'audio'] }, /writes alone/, 'modalities'],
    [{ model: 'm', prompt: 'a', audio: {} }, /`audio`.*text alone/, 'audio'],
    [{ model: 'm', prompt: 'a', prediction: {} }, /`prediction`.*faster/, 'prediction'],
    [{ model: 'm', prompt: 'a', web_search_options: {} }, /`web_search_options`/, 'web_search_options'],
    [{ model: 'm', prompt: 'a', reasoning_effort: 'high' }, /"none"/, 'reasoning_effort'],
    [{ model: 'm', prompt: 'a', verbosity: 'low' }, /"medium"/, 'verbosity'],
    [{ model: 'm', prompt: 'a', safety_identifier: 'x'.repeat(600) }, /512/, 'safety_identifier'],
    [{ model: 'm', prompt: 'a', metadata: 'x' }, /metadata/, 'metadata'],
    [{ model: 'm', prompt: 'a', metadata: { a: 1 } }, /expected texts/, 'metadata.a'],
    [{ model: 'm', prompt: 'a', metadata: { a: 'x'.repeat(513) } }, /512/, 'metadata.a'],
    [{ model: 'm', prompt: 'a', metadata: { ['x'.repeat(65)]: '' } }, /64/, `metadata.${'x'.repeat(65)}`],
    [
      { model: 'm', prompt: 'a', metadata: Object.fromEntries([...Array(17).keys()].map((i) => [i, ''])) },
      /16 pairs/,
      'metadata',
    ],
    [
      { model: 'm', prompt: 'a', stream_options: { include_usge: true } },
      /Did you mean `stream_options\.include_usage`/,
      'stream_options.include_usge',
    ],
    [{ model: 'm', prompt: 'a', ['x'.repeat(300)]: 1 }, /not a parameter/, 'x'.repeat(200)],
    [{ model: 'm', prompt: 'a', __proto__x: 1, constructor: 1 }, /not a parameter/, '__proto__x'],
  ])('%j are refused with a sentence', (json, message, param) => {
    expect(() => parseCompletionRequest(json)).toThrow(message);
    try {
      parseCompletionRequest(json);
    } catch (error) {
      expect(error).toBeInstanceOf(BadRequest);
      if (param) expect((error as BadRequest).param).toBe(param);
      expect((error as BadRequest).message).toMatch(/^[`T].*[.?]$/);
    }
  });

  it('take what does nothing, and say nothing of it', () => {
    const inert = {
      ...{ user: 'u', safety_identifier: 's', prompt_cache_key: 'p', metadata: { a: 'b' }, store: false },
      ...{ service_tier: 'auto', modalities: ['text'], reasoning_effort: 'none', verbosity: 'medium' },
    };
    const request = { model: 'm', prompt: 'a' };
    expect(parseCompletionRequest({ ...request, ...inert })).toEqual(parseCompletionRequest(request));
    const nulls = Object.fromEntries(
      [...Object.keys(inert), 'audio', 'prediction'].map((name) => [name, null]),
    );
    expect(parseCompletionRequest({ ...request, ...nulls })).toEqual(parseCompletionRequest(request));
  });

  it('name what is wrong where it stands, as OpenAI does', () => {
    const message = { role: 'user', content: 'a' };
    const wrong: [messages: unknown, param: string][] = [
      [[message, { ...message, content: 5 }], 'messages[1].content'],
      [[message, { ...message, role: 'king' }], 'messages[1].role'],
      [[{ ...message, contnt: 'a' }], 'messages[0].contnt'],
      [[{ ...message, content: [{ type: 'text', text: 'a', txt: 1 }] }], 'messages[0].content[0].txt'],
    ];
    for (const [messages, param] of wrong) {
      expect(() => parseChatCompletionRequest({ model: 'm', messages })).toThrow(
        expect.objectContaining({ status: 400, param }),
      );
    }
  });

  it('know the parameters that generation knows, and no others', () => {
    expect(Object.keys(generationParameters.shape).sort()).toEqual(Object.keys(defaultParameters).sort());
    const { stop, ...others } = defaultParameters;
    const { parameters } = parseCompletionRequest({ model: 'm', prompt: 'p', ...others });
    // null is "not given" here.
    const given = Object.entries(others).filter(([, value]) => value !== null);
    expect(parameters).toEqual(Object.fromEntries(given));
  });

  it('never throw anything but a refusal', () => {
    fc.assert(
      fc.property(fc.anything(), (json) => {
        for (const parse of [parseCompletionRequest, parseChatCompletionRequest]) {
          try {
            parse(json);
          } catch (error) {
            expect(error).toBeInstanceOf(BadRequest);
          }
        }
      }),
    );
  });

  it('take options from a query', () => {
    const options = parsePlainOptions(
      new URLSearchParams('max_tokens=5&temperature=0.5&stop=a&stop=b&fallback=true'),
    );
    expect(options).toEqual({
      model: undefined,
      placement: undefined,
      fallback: true,
      restore: false,
      form: {},
      parameters: { max_tokens: 5, temperature: 0.5, stop: ['a', 'b'] },
    });
    expect(() => parsePlainOptions(new URLSearchParams('max_tokens=many'))).toThrow(/max_tokens/);
    expect(() => parsePlainOptions(new URLSearchParams('max_tokens='))).toThrow(/max_tokens/);
    expect(() => parsePlainOptions(new URLSearchParams('hello=1'))).toThrow(/`hello` is not/);
  });
});

describe('answers', () => {
  async function* events(): AsyncGenerator<GenerationEvent> {
    yield* [start, delta('Hel'), delta('lo'), end(), done];
  }

  it('hold text, reason and usage', async () => {
    expect(await wholeAnswer('completion', answerHead('completion', 'm'), events())).toMatchObject({
      id: expect.stringMatching(/^cmpl-/),
      object: 'text_completion',
      choices: [{ index: 0, text: 'Hello', finish_reason: 'stop', logprobs: null }],
      usage,
    });
    expect(await wholeAnswer('chat', answerHead('chat', 'm'), events())).toMatchObject({
      id: expect.stringMatching(/^chatcmpl-/),
      object: 'chat.completion',
      choices: [{ message: { role: 'assistant', content: 'Hello' } }],
    });
  });

  it('tell how likely tokens were, in the form of each route', async () => {
    const likely = { id: 1, text: 'lo', bytes: [108, 111], logprob: -0.5 };
    async function* told(): AsyncGenerator<GenerationEvent> {
      yield start;
      yield {
        ...delta('Hel'),
        logprobs: [{ ...likely, text: 'Hel', logprob: null, top: [] }],
      } as GenerationEvent;
      yield { ...delta('lo'), logprobs: [{ ...likely, top: [{ ...likely, text: 'p' }] }] } as GenerationEvent;
      yield* [end(), done];
    }
    const completion = await wholeAnswer('completion', answerHead('completion', 'm'), told());
    const logprobs = {
      tokens: ['Hel', 'lo'],
      token_logprobs: [null, -0.5],
      top_logprobs: [null, { p: -0.5, lo: -0.5 }],
      text_offset: [0, 3],
    };
    expect(completion).toMatchObject({ choices: [{ logprobs }] });
    const content = { token: 'lo', logprob: -0.5, bytes: [108, 111] };
    expect(await wholeAnswer('chat', answerHead('chat', 'm'), told())).toMatchObject({
      choices: [
        { logprobs: { content: [{ top_logprobs: [] }, { ...content, top_logprobs: [{ token: 'p' }] }] } },
      ],
    });
    const offsets: unknown[] = [];
    for await (const chunk of answerChunks('completion', answerHead('completion', 'm'), told(), false))
      offsets.push((chunk as { choices: { logprobs: unknown }[] }).choices[0].logprobs);
    expect(offsets).toMatchObject([{ text_offset: [0] }, { text_offset: [3] }, {}]);
  });

  it('have as many choices as were asked for, each role first and once', async () => {
    async function* two(): AsyncGenerator<GenerationEvent> {
      yield* [start, delta('a'), end(), delta('b', 1), end(1), done];
    }
    expect(await wholeAnswer('chat', answerHead('chat', 'm'), two())).toMatchObject({
      choices: [
        { index: 0, message: { content: 'a' } },
        { index: 1, message: { content: 'b' } },
      ],
    });
    const seen: string[] = [];
    for await (const chunk of answerChunks('chat', answerHead('chat', 'm'), two(), false)) {
      const [{ index, delta, finish_reason }] = (
        chunk as {
          choices: {
            index: number;
            delta: { role?: string; content?: string };
            finish_reason: string | null;
          }[];
        }
      ).choices;
      seen.push(`${index} ${delta.role ?? delta.content ?? finish_reason}`);
    }
    expect(seen).toEqual(['0 assistant', '0 a', '0 stop', '1 assistant', '1 b', '1 stop']);
    async function* cut(): AsyncGenerator<GenerationEvent> {
      yield* [start, delta('a'), done];
    }
    await expect(wholeAnswer('chat', answerHead('chat', 'm'), cut())).rejects.toThrow(/without its last/);
  });

  it('stream the same in chunks, usage last where asked for', async () => {
    interface Chunk {
      choices: {
        delta: { role?: string; content?: string };
        finish_reason: string | null;
      }[];
    }
    const parts: Chunk[] = [];
    for await (const chunk of answerChunks('chat', answerHead('chat', 'm'), events(), true))
      parts.push(chunk as Chunk);
    expect(parts.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe('Hello');
    expect(parts[0].choices[0].delta.role).toBe('assistant');
    expect(parts.at(-2)!.choices[0].finish_reason).toBe('stop');
    expect(parts.at(-1)).toMatchObject({ choices: [], usage });
  });
});

describe('signatures', () => {
  it('hold for what was signed, and nothing else', async () => {
    const request = { secret: 's', method: 'POST', path: '/a?b=1', body: 'x' };
    const headers = new Headers(await signRequest(request));
    expect(await signatureFault(request, headers)).toBeUndefined();
    for (const change of [{ secret: 't' }, { method: 'PUT' }, { path: '/a' }, { body: 'y' }]) {
      expect(await signatureFault({ ...request, ...change }, headers)).toMatch(/does not fit/);
    }
    expect(await signatureFault(request, new Headers())).toMatch(/not signed/);
    headers.set('x-wick-timestamp', '12');
    expect(await signatureFault(request, headers)).toMatch(/seconds from now/);
  });
});
