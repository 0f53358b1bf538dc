import { describe, expect, it } from 'vitest';
import { type GenerationEvent, generate } from '../../../src/generation/generate.ts';
import type { GenerationParameters } from '../../../src/generation/parameters.ts';
import type { ToolUse } from '../../../src/generation/tools/use.ts';
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
    const tokens = events.flatMap((event) => ('tokens' in event ? event.tokens : []));
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
