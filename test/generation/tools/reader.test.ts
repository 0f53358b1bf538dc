import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toolCallFormatOf, writeToolCalls } from '../../../src/generation/tools/format.ts';
import { type AnswerPart, createToolCallReader } from '../../../src/generation/tools/reader.ts';

/** A sign that each family's chat templates have in them. */
const families = {
  hermes: '<tool_call>',
  llama: "'<|python_tag|>'",
  mistral: '"[TOOL_CALLS]["',
  'mistral-spaced': '"[TOOL_CALLS] ["',
  'mistral-args': '"[TOOL_CALLS]" + name + "[ARGS]"',
  deepseek: '<｜tool▁calls▁begin｜>',
  'deepseek-fenced': '<｜tool▁calls▁begin｜> + ```json',
  phi: '<|tool_call|> + <|/tool_call|>',
  granite: '<|tool_call|>',
  functionary: '<function=',
  'qwen-xml': '<tool_call> <function= <parameter=',
  pythonic: '[f(a=1)] <|python_start|>',
};
type Family = keyof typeof families;
const formatOf = (family: Family) => toolCallFormatOf(families[family]);

const schemas = new Map([
  ['get_weather', { properties: { city: { type: 'string' } } }],
  ['add', {}],
]);

/** The whole of an answer: its text, and its calls with their arguments. */
function read(
  family: Family,
  pieces: readonly string[],
  { enforced = false, parallel = true }: { enforced?: boolean; parallel?: boolean } = {},
) {
  const reader = createToolCallReader(formatOf(family), { schemas, enforced, parallel });
  const parts: AnswerPart[] = [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
  const calls: { name: string; arguments: string }[] = [];
  let content = '';
  for (const part of parts) {
    if ('text' in part) content += part.text;
    else if (part.name !== undefined)
      expect(calls.push({ name: part.name, arguments: part.arguments })).toBe(part.call + 1);
    else calls[part.call].arguments += part.arguments;
  }
  return { content, calls };
}

const weather = { name: 'get_weather', arguments: '{"city": "Oslo \\"}] \\\\", "days": [1,{"a":"}"}]}' };
const add = { name: 'add', arguments: '{}' };

describe('calls are read in the way of', () => {
  it.each(Object.keys(families) as Family[])('%s', (family) => {
    const format = formatOf(family);
    expect(format.name).toBe(family);
    for (const enforced of [false, true]) {
      for (const calls of [[weather], [weather, add]]) {
        const text = writeToolCalls(format, calls);
        expect(read(family, [text], { enforced })).toEqual({ content: '', calls });
        expect(read(family, [`Let me see.\n${text}`], { enforced })).toEqual({
          content: 'Let me see.',
          calls,
        });
        expect(read(family, [text], { enforced, parallel: false }).calls).toEqual(calls.slice(0, 1));
      }
    }
  });

  it.each<[Family, string, string[]]>([
    ['hermes', '<tool_call>{"arguments":{"a":1},"name":"add"}</tool_call>', ['{"a":1}']],
    [
      'hermes',
      '<tool_call>[{"name":"add","arguments":{"a":1}}, {"name":"add"}]</tool_call>',
      ['{"a":1}', '{}'],
    ],
    ['hermes', '<tool_call>\n{"name": "add", "arguments": "{\\"a\\": 1}"}\n', ['{"a": 1}']],
    ['llama', '\n{"name":"add","parameters":{"a":1}}', ['{"a":1}']],
    ['llama', '<|python_tag|>{"type": "function", "name": "add", "parameters": {}}', ['{}']],
    ['llama', '{"name":"add","parameters":{}};{"name": "add", "arguments": {"b": 2}}', ['{}', '{"b": 2}']],
    ['mistral', '[TOOL_CALLS] [{"name": "add", "arguments": {}, "id": "abcdefghi"}]', ['{}']],
    ['mistral-args', '[TOOL_CALLS]add[CALL_ID]abcdefghi[ARGS]{"a": 1}', ['{"a": 1}']],
    ['llama', '<|python_start|>{"name": "add", "parameters": {"a": 1}}<|python_end|>', ['{"a": 1}']],
    ['qwen-xml', '<function=add>\n<parameter=a>\n1\n</parameter>\n</function>', ['{"a": 1}']],
    [
      'qwen-xml',
      '<tool_call><function=add><parameter=a>x < y\n\n</parameter></function>',
      ['{"a": "x < y\\n"}'],
    ],
    ['qwen-xml', '<tool_call>\n<function=add>\n</function>\n</tool_call>', ['{}']],
    [
      'qwen-xml',
      '<function=get_weather><parameter=city>\n12\n</parameter><parameter=b>\ntrue\n</parameter></function>',
      ['{"city": "12", "b": true}'],
    ],
    ['pythonic', '[add(a = 1.5e3 , b=None,), add()]', ['{"a": 1500, "b": null}', '{}']],
    [
      'pythonic',
      `[add(a='it\\'s \\x41\\d', b=(True, false, [], {'k': "\\u00e4"}), c=-1)]`,
      ['{"a": "it\'s A\\\\d", "b": [true,false,[],{"k":"ä"}], "c": -1}'],
    ],
  ])('%s, spelt otherwise', (family, text, expected) => {
    const { content, calls } = read(family, [text]);
    expect({ content, calls: calls.map((call) => call.arguments) }).toEqual({ content: '', calls: expected });
  });
});

describe('what is no call', () => {
  it.each<[Family, string]>([
    ['hermes', 'Nothing to call. '],
    ['hermes', '<tool_call>'],
    ['hermes', '  <tool_call>\nhello</tool_call>\n'],
    ['hermes', '<tool_call>{"name": "rm", "arguments": {}}</tool_call>'],
    ['hermes', '<tool_call>{"name": "add", "arguments": {"a": }}</tool_call>'],
    ['hermes', '<tool_call>{"name": "add", "arguments": [1]}</tool_call>'],
    ['hermes', '<tool_call>{"name": "add", "arguments": {"a": "'],
    ['hermes', '<tool_call>{"arguments": {}}</tool_call>'],
    ['hermes', '<tool_call>{"name": "add", "arguments": {}'],
    ['hermes', '<tool_call>{"name": "add", "hello": {}}'],
    ['hermes', '<tool_call>{"name": 7}'],
    ['hermes', '<tool_cal'],
    ['llama', '{"answer": 42}'],
    ['llama', 'The set {"name":"add","parameters":{}} is no call.'],
    ['mistral', '[TOOL_CALLS]{[]'],
    ['mistral-args', '[TOOL_CALLS]add {}'],
    ['deepseek', '<｜tool▁calls▁begin｜>add'],
    ['qwen-xml', '<tool_call>\n<function=rm>\n</function>\n</tool_call>'],
    ['qwen-xml', '<tool_call>\n<function=add>\n<parameter=a>\n1\n</function>'],
    ['qwen-xml', '<tool_call>\n<function=add> a </function>'],
    ['pythonic', '[1] says so.'],
    ['pythonic', '[add(1)]'],
    ['pythonic', '[add(a=b)]'],
    ['pythonic', '<|python_start|>[add(a="'],
    ['pythonic', `[add(a=${'['.repeat(200)}`],
    ['hermes', ''],
    ['hermes', ' \n '],
  ])('in the way of %s is text: %s', (family, text) => {
    expect(read(family, [text])).toEqual({ content: text, calls: [] });
    expect(read(family, [...text])).toEqual({ content: text, calls: [] });
  });

  it('does not hide the call behind it', () => {
    const call = writeToolCalls(formatOf('hermes'), [add]);
    expect(read('hermes', [`<tool_call> no, ${call} done`])).toEqual({
      content: '<tool_call> no, done',
      calls: [add],
    });
  });
});

it('arguments come as they are written where a constraint holds them, and a cut call keeps what it has', () => {
  const reader = createToolCallReader(formatOf('hermes'), {
    schemas,
    enforced: true,
    parallel: true,
  });
  expect(reader.push('<tool_call>\n{"name": "add", "argum')).toEqual([]);
  expect(reader.push('ents": {"a"')).toEqual([{ call: 0, name: 'add', arguments: '{"a"' }]);
  expect(reader.push(': 1')).toEqual([{ call: 0, arguments: ': 1' }]);
  expect(reader.end()).toEqual([]);
  for (const rest of ['}', '}}', '}}\n</tool_', '}}\n</tool_call>\n<tool_call>\n{"name']) {
    const { content, calls } = read('hermes', [`<tool_call>\n{"name": "add", "arguments": {"a": 1${rest}`], {
      enforced: true,
    });
    expect(calls).toEqual([{ name: 'add', arguments: '{"a": 1}' }]);
    expect(content).toBe(rest.endsWith('name') ? '\n<tool_call>\n{"name' : '');
  }
});

it('the same is read however the text is cut into pieces', () => {
  const family = fc.constantFrom(...(Object.keys(families) as Family[]));
  const text = family.chain((each) => {
    const format = formatOf(each);
    const argument = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 2 }), {
      maxKeys: 3,
    });
    const calls = fc.array(
      fc.record({
        name: fc.constantFrom('add', 'get_weather', 'unknown'),
        arguments: argument.map((value) => JSON.stringify(value)),
      }),
      { minLength: 1, maxLength: 3 },
    );
    const marks = fc.constantFrom(
      ...format.openings,
      ...format.closings,
      format.trigger,
      '{',
      '}',
      '"',
      '[',
      ' ',
    );
    const bits = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      calls.map((list) => writeToolCalls(format, list)),
      calls.map((list) => writeToolCalls(format, list).slice(0, -9)),
      marks,
    );
    return fc.record({
      family: fc.constant(each),
      text: fc.array(bits, { maxLength: 5 }).map((b) => b.join('')),
    });
  });
  const options = fc.record({ parallel: fc.boolean(), enforced: fc.boolean() });
  const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 60 });
  fc.assert(
    fc.property(text, options, cuts, (written, option, lengths) => {
      const pieces: string[] = [];
      let at = 0;
      for (const length of lengths) {
        pieces.push(written.text.slice(at, at + length));
        at += length;
      }
      pieces.push(written.text.slice(at));
      const whole = read(written.family, [written.text], option);
      expect(read(written.family, pieces, option)).toEqual(whole);
      expect(read(written.family, written.text.split(''), option)).toEqual(whole);
    }),
    { numRuns: 300 },
  );
});
