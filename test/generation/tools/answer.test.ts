import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { checkConstraint } from '../../../src/generation/constraint/constrained-answer.ts';
import { type GenerationEvent, generate } from '../../../src/generation/generate.ts';
import type { GenerationParameters } from '../../../src/generation/parameters.ts';
import { toolCalling } from '../../../src/generation/tools/answer.ts';
import { planTools, type ToolUse } from '../../../src/generation/tools/use.ts';
import { loadModelFolder } from '../../../src/service/model-folder.ts';
import { type RoteOptions, roteModel } from '../../fixtures/rote-model.ts';

const template = (marks: string) =>
  `{# ${marks} #}{% for message in messages %}{{ message.role + ': ' + message.content + '\\n' }}{% endfor %}<answer>`;
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const tools = ['get_weather', 'add'].map((name) => ({
  type: 'function' as const,
  function: { name, parameters },
}));

/** What a model answers that has learnt an answer by heart. */
async function answer(
  options: RoteOptions,
  use: ToolUse = { tools },
  given: Partial<GenerationParameters> = {},
) {
  const model = await loadModelFolder(roteModel(options), { threads: 1 });
  const events: GenerationEvent[] = [];
  const input = { messages: [{ role: 'user', content: 'How is it?' }], ...use };
  for await (const event of generate(model, input, { temperature: 0, ...given })) events.push(event);
  const text = events.map((event) => (event.type === 'delta' ? event.text : '')).join('');
  const pieces = events.filter((event) => event.type === 'tool_call');
  const calls = pieces.filter(({ name }) => name !== undefined);
  const end = events.find((event) => event.type === 'end');
  return {
    events,
    text,
    pieces,
    finish: end?.finish_reason,
    calls: calls.map(({ call, name }) => ({
      name,
      arguments: pieces.map((piece) => (piece.call === call ? piece.arguments : '')).join(''),
    })),
  };
}

const hermes = {
  template: template('<tool_call>'),
  pieces: [
    'Let me see.',
    '\n<tool',
    '_call>\n{"name": "get_',
    'weather", "argum',
    'ents": {"ci',
    'ty": "Os',
    'lo"}',
    '}\n</tool_call>',
  ],
};

describe('an answer with a call', () => {
  it('is text, the call, and its reason', async () => {
    const { text, calls, finish, pieces, events } = await answer(hermes);
    expect(text).toBe('Let me see.');
    expect(calls).toEqual([{ name: 'get_weather', arguments: '{"city": "Oslo"}' }]);
    expect(finish).toBe('tool_calls');
    expect(pieces[0].id).toMatch(/^call_\w{24}$/);
    expect(pieces.slice(1).every(({ id }) => id === undefined)).toBe(true);
    const tokens = events.flatMap((event) =>
      'tokens' in event && event.type !== 'trace' ? event.tokens : [],
    );
    expect(tokens.length).toBeLessThanOrEqual(hermes.pieces.length);
    expect(events.at(-1)).toMatchObject({ usage: { completion_tokens: hermes.pieces.length + 1 } });
  });

  it('tells how likely its tokens were', async () => {
    const { events } = await answer(hermes, { tools }, { top_logprobs: 0 });
    const told = events.flatMap((event) => ('logprobs' in event ? (event.logprobs ?? []) : []));
    expect(told.map((each) => each.text).slice(0, 7)).toEqual(hermes.pieces.slice(0, 7));
  });

  it('is text and nothing else where no tools may be called', async () => {
    const whole = hermes.pieces.join('');
    for (const use of [{}, { tools, tool_choice: 'none' as const }]) {
      const { text, finish, calls } = await answer(hermes, use);
      expect({ text, finish, calls }).toEqual({ text: whole, finish: 'stop', calls: [] });
    }
  });

  it('has its marks read though they are special tokens, which stay hidden otherwise', async () => {
    const mistral = {
      template: template('[TOOL_CALLS]['),
      pieces: [
        '[TOOL_CALLS]',
        '[{"name": "add", "arguments": {"city": "a"}}',
        ', {"name": "get_weather", "arguments": {"city"',
        ': "b"}}]',
      ],
      special: ['[TOOL_CALLS]'],
    };
    const { text, calls, finish } = await answer(mistral);
    expect({ text, finish }).toEqual({ text: '', finish: 'tool_calls' });
    expect(calls).toEqual([
      { name: 'add', arguments: '{"city": "a"}' },
      { name: 'get_weather', arguments: '{"city": "b"}' },
    ]);
    expect((await answer(mistral, {})).text).toBe(mistral.pieces.slice(1).join(''));
    const one = await answer(mistral, { tools, parallel_tool_calls: false });
    expect(one.calls).toEqual(calls.slice(0, 1));
    expect(one.finish).toBe('tool_calls');
  });

  it('is read in each of its choices', async () => {
    const { events } = await answer(hermes, { tools }, { n: 2 });
    const begun = events.flatMap((event) => (event.type === 'tool_call' && event.name ? [event] : []));
    expect(begun.map(({ index, call }) => [index, call])).toEqual([
      [0, 0],
      [1, 0],
    ]);
    expect(begun[0].id).not.toBe(begun[1].id);
  });
});

describe('a model that knows nothing of calls makes valid ones where they are required', () => {
  const schema = {
    type: 'object',
    properties: { city: { type: 'string', maxLength: 8 }, days: { type: 'integer', minimum: 1, maximum: 7 } },
    required: ['city'],
  };
  const validate = new Ajv().compile(schema);
  const both = tools.map((tool) => ({ ...tool, function: { ...tool.function, parameters: schema } }));

  it.each([
    ['hermes', '<tool_call>', []],
    ['llama', "'<|python_tag|>'", ['<|python_tag|>']],
    ['mistral', '[TOOL_CALLS][', ['[TOOL_CALLS]']],
    ['mistral, spaced', '[TOOL_CALLS] [', ['[TOOL_CALLS]']],
    ['mistral, named', '[TOOL_CALLS] [ARGS]', ['[TOOL_CALLS]', '[ARGS]']],
    ['deepseek', '<｜tool▁calls▁begin｜>', ['<｜tool▁calls▁begin｜>', '<｜tool▁sep｜>']],
    ['deepseek, fenced', '<｜tool▁calls▁begin｜> ```json', ['<｜tool▁calls▁end｜>']],
    ['phi', '<|tool_call|> <|/tool_call|>', ['<|/tool_call|>']],
    ['granite', '<|tool_call|>', ['<|tool_call|>']],
    ['functionary', '<function=', []],
    ['qwen, as elements', '<tool_call> <function= <parameter=', ['</parameter>']],
    ['pythonic', '[f(a=1)] <|python_start|>', ['<|python_start|>', '<|python_end|>']],
  ])('in the way of %s', async (_, marks, special) => {
    const rote = { template: template(marks), pieces: special, special };
    for (const seed of [1, 2, 3]) {
      const given = { temperature: 1.5, max_tokens: 300, seed };
      const use = { tools: both, tool_choice: 'required' as const, parallel_tool_calls: seed > 1 };
      const { text, calls, finish } = await answer(rote, use, given);
      expect(text).toBe('');
      expect(['tool_calls', 'length']).toContain(finish);
      expect(calls.length).toBeGreaterThan(0);
      if (seed === 1) expect(calls).toHaveLength(1);
      for (const call of calls) expect(validate(JSON.parse(call.arguments)), call.arguments).toBe(true);
    }
  });
});

describe('what holds a call', () => {
  const plain = { template: template(''), pieces: ['<tool_call>'] };

  it('is the schema where it can be, an object where it cannot, and a refusal where it has to be', async () => {
    const unheld = { type: 'object', properties: { city: { not: { type: 'string' } } } };
    const tool = { type: 'function' as const, function: { name: 'add', parameters: unheld } };
    const { calls } = await answer(plain, { tools: [tool] }, { temperature: 1, seed: 3, max_tokens: 200 });
    for (const call of calls) expect(JSON.parse(call.arguments)).toBeTypeOf('object');
    expect(calls.length).toBeGreaterThan(0);
    const param = 'tools[0].function.parameters.properties.city.not';
    const strict = { ...tool, function: { ...tool.function, strict: true } };
    await expect(answer(plain, { tools: [strict] })).rejects.toMatchObject({ status: 400, param });
    const required = { tools: [tool], tool_choice: 'required' as const };
    await expect(answer(plain, required)).rejects.toMatchObject({ status: 400, param });
  });

  it('is an object, too, where so many schemas are too large together', async () => {
    const properties = (of: number) =>
      Object.fromEntries(
        Array.from({ length: 12 }, (_, i) => [`p${of}_${i}`, { type: 'string', maxLength: 50 + of }]),
      );
    const many = Array.from({ length: 128 }, (_, i) => ({
      type: 'function' as const,
      function: { name: `f${i}`, parameters: { type: 'object', properties: properties(i) } },
    }));
    const model = await loadModelFolder(roteModel(plain), { threads: 1 });
    const held = (tool_choice: 'auto' | 'required') => {
      const calling = toolCalling(model, planTools({ tools: many, tool_choice })!, null);
      checkConstraint(model, calling.constraint, calling.marks);
      return JSON.stringify(calling.constraint);
    };
    expect(held('auto')).toContain('f127');
    expect(held('auto')).not.toContain('maxLength');
    expect(() => held('required')).toThrow(/too large/);
  });

  it('lets an answer without a call be what the caller’s own constraint says', async () => {
    const constraint = { type: 'regex' as const, pattern: 'yes|no' };
    const seen = new Set<string>();
    for (let seed = 1; seed <= 8; seed++) {
      const { text, calls } = await answer(
        { ...plain, pieces: [] },
        { tools },
        { constraint, temperature: 2, seed, max_tokens: 300 },
      );
      if (calls.length === 0) expect(text).toMatch(/^(yes|no)$/);
      else expect(text).toBe('');
      seen.add(calls.length === 0 ? 'text' : 'calls');
    }
    expect(seen).toEqual(new Set(['text', 'calls']));
  });

  it('is of a function without parameters that there are none', async () => {
    const tool = { type: 'function' as const, function: { name: 'add' } };
    const use = { tools: [tool], tool_choice: { type: 'function' as const, function: { name: 'add' } } };
    expect((await answer(plain, use, { temperature: 2, seed: 1 })).calls).toEqual([
      { name: 'add', arguments: '{}' },
    ]);
  });

  it('is brought to its close where the answer has to end', async () => {
    const use = { tools, tool_choice: 'required' as const };
    for (const max_tokens of [80, 100, 130]) {
      const { calls, finish } = await answer(plain, use, { temperature: 2, seed: 1, max_tokens });
      expect(calls.length).toBeGreaterThan(0);
      for (const call of calls) expect(JSON.parse(call.arguments)).toHaveProperty('city');
      expect(finish).toMatch(/^(length|tool_calls)$/);
    }
  });
});
