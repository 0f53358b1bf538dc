/**
 * How models of different families write their calls of tools. A chat template tells the family, since it holds the
 * marks that its model was trained on.
 */

import type { ArgumentForm } from './argument-form.ts';
import { pythonArguments } from './python-arguments.ts';
import { xmlArguments } from './xml-arguments.ts';

/** One family's way of writing calls, as data: for reading them, for holding a model to it, and for a history. */
export interface ToolCallFormat {
  name: string;
  /** What the chat templates of the family have in them. */
  template: RegExp;
  /** A call, between these two; its arguments are in the middle. */
  call: (name: string) => [begin: string, end: string];
  /** How arguments are written; as a JSON object where nothing is said. */
  arguments?: ArgumentForm;
  /** What stands round all the calls of an answer, where something does. */
  block?: [begin: string, end: string];
  /** What stands between two calls. */
  separator: string;
  /** With this a model has begun a call, and can be held to the rest of it. */
  trigger: string;
  /** Where a call may begin, in all the spellings that models have been seen to use; the trigger is one of them. */
  openings: readonly string[];
  /** With this sign an answer may begin that is a call, or a list of such, without a mark. */
  bare?: '{' | '[';
  /** What follows an opening: JSON with name and arguments in it, or a list of such; or the name by itself. */
  reads: 'json' | NamedCall;
  /** What may follow a call and says nothing more. */
  closings: readonly string[];
}

/** A name outside of the arguments' JSON. */
export interface NamedCall {
  /** Before the name of each call of a block. */
  before?: string;
  /** Between the name and an id that a model may give its call. */
  id?: string;
  /** Between that and the arguments. */
  after: string;
  /** Whether calls stand in brackets, with commas between them. */
  listed?: boolean;
}

const jsonCall =
  (key: 'arguments' | 'parameters', before = '', after = '') =>
  (name: string): [string, string] => [`${before}{"name": "${name}", "${key}": `, `}${after}`];

/** Hermes 2 Pro, Qwen 2.5 and 3, SmolLM, and every model that wick tells of tools itself. */
export const hermes: ToolCallFormat = {
  name: 'hermes',
  template: /<tool_call>/,
  call: jsonCall('arguments', '<tool_call>\n', '\n</tool_call>'),
  separator: '\n',
  trigger: '<tool_call>',
  openings: ['<tool_call>'],
  reads: 'json',
  closings: ['</tool_call>'],
};

const mistral = (name: string, template: RegExp, begin: string): ToolCallFormat => ({
  name,
  template,
  block: [begin, ']'],
  call: jsonCall('arguments'),
  separator: ', ',
  trigger: '[TOOL_CALLS]',
  openings: ['[TOOL_CALLS]'],
  reads: 'json',
  closings: [],
});

const deepseek = (
  name: string,
  template: RegExp,
  ...[kind, after, fence]: [kind: string, after: string, fence: string]
): ToolCallFormat => ({
  name,
  template,
  block: ['<｜tool▁calls▁begin｜>', '<｜tool▁calls▁end｜>'],
  call: (called) => [`<｜tool▁call▁begin｜>${kind}${called}${after}`, `${fence}<｜tool▁call▁end｜>`],
  separator: kind && '\n',
  trigger: '<｜tool▁calls▁begin｜>',
  openings: ['<｜tool▁calls▁begin｜>'],
  reads: { before: `<｜tool▁call▁begin｜>${kind}`, after },
  closings: ['```', '<｜tool▁call▁end｜>', '<｜tool▁calls▁end｜>'],
});

/** The first whose mark is in the template is taken, so that the more particular stand first. */
const formats: readonly ToolCallFormat[] = [
  {
    name: 'mistral-args',
    template: /\[TOOL_CALLS\].*\[ARGS\]/s,
    call: (name) => [`[TOOL_CALLS]${name}[ARGS]`, ''],
    separator: '',
    trigger: '[TOOL_CALLS]',
    openings: ['[TOOL_CALLS]'],
    reads: { id: '[CALL_ID]', after: '[ARGS]' },
    closings: [],
  },
  mistral('mistral-spaced', /\[TOOL_CALLS\] \[/, '[TOOL_CALLS] ['),
  mistral('mistral', /\[TOOL_CALLS\]/, '[TOOL_CALLS]['),
  deepseek(
    'deepseek-fenced',
    /<｜tool▁calls▁begin｜>.*```json/s,
    'function<｜tool▁sep｜>',
    '\n```json\n',
    '\n```',
  ),
  deepseek('deepseek', /<｜tool▁calls▁begin｜>/, '', '<｜tool▁sep｜>', ''),
  {
    name: 'phi',
    template: /<\|tool_call\|>.*<\|\/tool_call\|>/s,
    block: ['<|tool_call|>[', ']<|/tool_call|>'],
    call: jsonCall('arguments'),
    separator: ', ',
    trigger: '<|tool_call|>',
    openings: ['<|tool_call|>'],
    reads: 'json',
    closings: ['<|/tool_call|>'],
  },
  {
    name: 'granite',
    template: /<\|tool_call\|>/,
    block: ['<|tool_call|>[', ']'],
    call: jsonCall('arguments'),
    separator: ', ',
    trigger: '<|tool_call|>',
    openings: ['<|tool_call|>'],
    reads: 'json',
    closings: [],
  },
  {
    name: 'qwen-xml',
    template: /<function=.*<parameter=/s,
    call: (name) => [`<tool_call>\n<function=${name}>\n`, '</function>\n</tool_call>'],
    arguments: xmlArguments,
    separator: '\n',
    trigger: '<tool_call>',
    // The first mark is left out at times.
    openings: ['<tool_call>', '<function='],
    reads: { before: '<function=', after: '>' },
    closings: ['</tool_call>'],
  },
  hermes,
  {
    name: 'functionary',
    template: /<function=/,
    call: (name) => [`<function=${name}>`, '</function>'],
    separator: '\n',
    trigger: '<function=',
    openings: ['<function='],
    reads: { after: '>' },
    closings: ['</function>'],
  },
  {
    name: 'pythonic',
    // Where a template shows such a call. Those of Llama 4 that show JSON between the same marks are read below.
    template: /<\|python_start\|>.*\[\w+\(\w+=|\[\w+\(\w+=.*<\|python_start\|>/s,
    block: ['<|python_start|>[', ']<|python_end|>'],
    call: (name) => [`${name}(`, ')'],
    arguments: pythonArguments,
    separator: ', ',
    trigger: '<|python_start|>',
    openings: ['<|python_start|>'],
    bare: '[',
    reads: { after: '(', listed: true },
    closings: ['<|python_end|>'],
  },
  {
    name: 'llama',
    template: /<\|python_tag\|>|"parameters": |<\|start_header_id\|>ipython/,
    call: jsonCall('parameters'),
    separator: '; ',
    trigger: '{"name": "',
    openings: ['{"name": "', '<|python_tag|>', '<|python_start|>'],
    bare: '{',
    reads: 'json',
    closings: [';', '<|python_end|>'],
  },
];

/** The way in which a model with this chat template writes calls: Hermes' where the template tells of none. */
export const toolCallFormatOf = (template: string): ToolCallFormat =>
  formats.find((format) => format.template.test(template)) ?? hermes;

/** Calls as the model would write them. Arguments that are no JSON object stay the text that they are. */
export function writeToolCalls(
  { call, block: [begin, end] = ['', ''], separator, arguments: form }: ToolCallFormat,
  calls: readonly { name: string; arguments: string }[],
): string {
  const written = calls.map((each) => {
    const [before, after] = call(each.name);
    const given = form && objectOf(each.arguments);
    return before + (given ? form.write(given) : each.arguments) + after;
  });
  return begin + written.join(separator) + end;
}

/** A JSON object; undefined where a text is none. */
export function objectOf(json: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** All that a format writes round names and arguments: tokens in it have to be shown, though others are hidden. */
export const marksOf = (format: ToolCallFormat): string => {
  const { block = [], openings, closings, reads } = format;
  const more = reads === 'json' ? [] : [reads.before ?? '', reads.id ?? '', reads.after];
  return [...format.call(''), ...block, ...openings, ...closings, ...more].join(' ');
};
