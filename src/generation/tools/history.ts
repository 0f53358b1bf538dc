/**
 * Conversations with tools in the form that a chat template expects. What it has no form for is written as text: tools
 * into the system message, calls into the assistant's, results into a user's.
 */
import type { ChatMessage, ToolCall } from '../chat-message.ts';
import { objectOf, type ToolCallFormat, writeToolCalls } from './format.ts';
import type { TemplateSupport } from './template-support.ts';
import type { ToolDefinition } from './use.ts';

/** A message as templates take it: arguments as an object, or as JSON in a text. */
type TemplateMessage = Omit<ChatMessage, 'tool_calls'> & { tool_calls?: object[] };

export interface FittedConversation {
  messages: TemplateMessage[];
  tools?: readonly object[];
}

/** Messages and tools to write a conversation with, by a template of this kind. */
export function fitToTemplate(
  messages: readonly ChatMessage[],
  tools: readonly ToolDefinition[],
  support: TemplateSupport,
  format: ToolCallFormat,
): FittedConversation {
  const told = tools.length > 0;
  let all = [...messages];
  if (support.calls && !support.several) all = oneCallEach(all);
  if (!support.calls) all = all.map((message) => callsAsText(message, format));
  if (!support.results) all = resultsAsText(all);
  if (told && !support.tools) all = toldAsText(all, toolDescription(tools, format), support.system);
  return {
    messages: all.map((message) => inTemplateForm(message, support)),
    ...(told && support.tools && { tools: tools.map(plainTool) }),
  };
}

/** What a model without a form of its own is told: what there is, and how it is called. In few words, for small ones. */
export function toolDescription(tools: readonly ToolDefinition[], format: ToolCallFormat): string {
  return [
    'You can call functions, which are described as JSON:',
    '<tools>',
    ...tools.map(({ function: { name, description, parameters } }) =>
      JSON.stringify({ name, description, parameters: parameters ?? noArguments }),
    ),
    '</tools>',
    'To call one, write:',
    writeToolCalls(format, [{ name: 'name', arguments: '{"argument": "value"}' }]),
  ].join('\n');
}

/** A tool as templates know it. */
function plainTool({ type, function: { name, description = '', parameters } }: ToolDefinition) {
  return { type, function: { name, description, parameters: parameters ?? noArguments } };
}
const noArguments = { type: 'object', properties: {} };

/** Each call in a message of its own, with its result behind it. */
function oneCallEach(messages: readonly ChatMessage[]): ChatMessage[] {
  const split: ChatMessage[] = [];
  for (const message of messages) {
    const before = split.findIndex(({ tool_calls }) =>
      tool_calls?.some(({ id }) => id === message.tool_call_id),
    );
    if (message.role === 'tool' && before >= 0) split.splice(before + 1, 0, message);
    else if (!message.tool_calls) split.push(message);
    else
      for (const [i, call] of message.tool_calls.entries())
        split.push({ ...message, content: i === 0 ? message.content : '', tool_calls: [call] });
  }
  return split;
}

function callsAsText({ tool_calls, ...message }: ChatMessage, format: ToolCallFormat): ChatMessage {
  if (!tool_calls) return message;
  const calls = writeToolCalls(
    format,
    tool_calls.map((call) => call.function),
  );
  return { ...message, content: message.content ? `${message.content}\n${calls}` : calls };
}

/** Results that stand one behind the other go into one message, since users and assistants take turns. */
function resultsAsText(messages: readonly ChatMessage[]): ChatMessage[] {
  const all: ChatMessage[] = [];
  let results = false;
  for (const message of messages) {
    if (message.role !== 'tool') {
      all.push(message);
      results = false;
      continue;
    }
    const content = `<tool_response>\n${message.content}\n</tool_response>`;
    const last = all.at(-1);
    if (results && last) all[all.length - 1] = { ...last, content: `${last.content}\n${content}` };
    else all.push({ role: 'user', content });
    results = true;
  }
  return all;
}

/** A description in the system message; where there can be none, before the first message. */
function toldAsText(messages: readonly ChatMessage[], description: string, system: boolean): ChatMessage[] {
  const [first, ...others] = messages;
  if (first && (first.role === 'system' || !system)) {
    const content = system ? `${first.content}\n\n${description}` : `${description}\n\n${first.content}`;
    return [{ ...first, content }, ...others];
  }
  return [{ role: 'system', content: description }, ...messages];
}

function inTemplateForm({ tool_calls, ...message }: ChatMessage, support: TemplateSupport): TemplateMessage {
  const id = (text: string) => (support.shortIds ? shortId(text) : text);
  return {
    ...message,
    ...(message.tool_call_id !== undefined && { tool_call_id: id(message.tool_call_id) }),
    ...(tool_calls && {
      tool_calls: tool_calls.map((call) => ({
        ...call,
        id: id(call.id),
        function: { ...call.function, arguments: argumentsOf(call, support.calls) },
      })),
    }),
  };
}

/** Arguments that are no JSON object stay the text that they are. */
function argumentsOf({ function: { arguments: json } }: ToolCall, wanted: TemplateSupport['calls']): unknown {
  return wanted === 'object' ? (objectOf(json) ?? json) : json;
}

/** Nine letters and digits for any id, the same for the same (FNV-1a, 64 bits). */
function shortId(id: string): string {
  if (/^[a-zA-Z0-9]{9}$/.test(id)) return id;
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(id))
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(36).padStart(9, '0').slice(-9);
}
