/** Messages of a conversation as OpenAI's API takes them, checked and brought to one form. */
import { z } from 'zod';
import { wellFormed } from './parameters.ts';
import { functionName } from './tools.ts';

const textPart = z.strictObject({ type: z.literal('text'), text: wellFormed(1_000_000) });
const refusalPart = z.strictObject({ type: z.literal('refusal'), refusal: wellFormed(1_000_000) });
/** Parts of another kind than text, which no text model reads. */
const unreadParts = (['image_url', 'input_audio', 'file'] as const).map((type) =>
  z
    .looseObject({ type: z.literal(type) })
    .refine(() => false, `a part of type "${type}" is for models that read more than text`),
);

type Parts = string | ({ text: string } | { refusal: string })[];
const textOf = (content: Parts): string =>
  typeof content === 'string'
    ? content
    : content.map((part) => ('text' in part ? part.text : part.refusal)).join('');

const contentOf = <Part extends z.core.$ZodTypeDiscriminable>(...parts: Part[]) => {
  const part = z.discriminatedUnion('type', [textPart, ...parts, ...unreadParts]);
  return z
    .union([wellFormed(1_000_000), z.array(part).min(1).max(256)])
    .transform((content) => textOf(content as Parts));
};
const content = contentOf();
const name = z.string().max(64).optional();

const callId = wellFormed(128).min(1, 'expected at least one character');
/** Arguments as the model wrote them: JSON as a rule, and a text in any case. */
const callArguments = wellFormed(1_000_000);
const functionCall = z.strictObject({ name: functionName, arguments: callArguments });
const toolCall = z.strictObject({
  id: callId,
  type: z.literal('function', 'expected "function", the only kind of call that wick knows'),
  function: functionCall,
  /** Clients send back what they were streamed, the number of the call included. */
  index: z.number().int().min(0).max(1000).optional(),
});

const assistant = z.strictObject({
  role: z.literal('assistant'),
  content: contentOf(refusalPart).nullable().optional(),
  name,
  refusal: wellFormed(1_000_000).nullable().optional(),
  /** What a model thought before it answered; templates know where it belongs. */
  reasoning_content: wellFormed(1_000_000).nullable().optional(),
  tool_calls: z.array(toolCall).max(128, 'expected at most 128 calls').nullable().optional(),
  function_call: functionCall.nullable().optional(),
  /** Of answers sent back: remarks on them are not for the model, and sound it cannot hear. */
  annotations: z.array(z.unknown()).nullable().optional(),
  audio: z.null('expected null: wick keeps no sound of earlier answers').optional(),
});

const message = z.discriminatedUnion('role', [
  z.strictObject({ role: z.enum(['system', 'developer', 'user']), content, name }),
  assistant,
  z.strictObject({ role: z.literal('tool'), tool_call_id: callId, content, name }),
  z.strictObject({ role: z.literal('function'), name: functionName, content: content.nullable() }),
]);

export interface ToolCall {
  id: string;
  type: 'function';
  /** `arguments` is JSON as the model wrote it. */
  function: { name: string; arguments: string };
}

/** A message in the one form that is passed on: text alone, and calls in the form of `tool_calls`. */
export type ChatMessage =
  | { role: 'system' | 'user'; content: string; name?: string }
  | {
      role: 'assistant';
      content: string;
      name?: string;
      reasoning_content?: string;
      tool_calls?: ToolCall[];
    }
  | { role: 'tool'; content: string; tool_call_id: string; name?: string };

/**
 * The messages of a conversation. A result (`tool`) answers a call that stands before it, and all calls of a message
 * are answered before the conversation goes on, as OpenAI's API has it. Older forms (`function_call`, `function`) come
 * out as `tool_calls` and `tool`.
 */
export const chatMessages = z
  .array(message)
  .min(1, 'expected at least one message')
  .max(1024, 'expected at most 1024 messages')
  .transform(inOneForm);
export type ChatMessages = ChatMessage[];

type Message = z.infer<typeof message>;
type Issue = (message: string, ...path: (string | number)[]) => void;

function inOneForm(messages: Message[], context: z.RefinementCtx): ChatMessage[] {
  /** Calls that are not answered yet, by id. */
  const open = new Map<string, string>();
  const issue: Issue = (text, ...path) => context.addIssue({ code: 'custom', message: text, path });
  const all = messages.map((each, at): ChatMessage => {
    if (each.role !== 'tool' && each.role !== 'function') unanswered(at);
    switch (each.role) {
      case 'assistant': {
        const said = assistantMessage(each, at, issue);
        for (const [i, { id, function: called }] of (said.tool_calls ?? []).entries()) {
          if (open.has(id)) issue(`the id "${id}" is that of another call`, at, 'tool_calls', i, 'id');
          open.set(id, called.name);
        }
        return said;
      }
      case 'tool':
        return result(each.tool_call_id, each.content, at, 'tool_call_id');
      case 'function': {
        const [id = ''] = [...open].find(([, called]) => called === each.name) ?? [];
        return result(id, each.content ?? '', at, 'name');
      }
      case 'developer':
        return { ...each, role: 'system' };
      default:
        return each as ChatMessage;
    }
  });
  unanswered(messages.length);
  return all;

  function unanswered(at: number): void {
    for (const [id, called] of open) {
      const last = at === messages.length;
      const where = last ? 'after it' : 'before this one';
      issue(
        `the call "${id}" of ${called} has to be answered by a tool message ${where}`,
        at - Number(last),
        'role',
      );
    }
    open.clear();
  }

  function result(id: string, text: string, at: number, field: string): ChatMessage {
    const called = open.get(id);
    if (called === undefined)
      issue('a result has to answer a call of the assistant message before it, and each one once', at, field);
    open.delete(id);
    return { role: 'tool', content: text, tool_call_id: id, ...(called && { name: called }) };
  }
}

function assistantMessage(
  {
    content: said,
    name: as,
    refusal,
    reasoning_content,
    tool_calls,
    function_call,
  }: z.infer<typeof assistant>,
  at: number,
  issue: Issue,
): Extract<ChatMessage, { role: 'assistant' }> {
  const calls: ToolCall[] = (tool_calls ?? []).map(({ index: _, ...call }) => call);
  if (function_call) {
    if (calls.length > 0) issue('expected `tool_calls` or the older `function_call`, not both', at);
    calls.push({ id: `call_${at}`, type: 'function', function: function_call });
  }
  if (said == null && refusal == null && calls.length === 0)
    issue('expected a text, as the message has no calls', at, 'content');
  return {
    role: 'assistant',
    content: said ?? refusal ?? '',
    ...(as !== undefined && { name: as }),
    ...(reasoning_content && { reasoning_content }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}
