/**
 * Items of OpenAI's Responses API (https://platform.openai.com/docs/api-reference/responses): what a conversation is
 * made of there, checked, and as the messages that a model reads.
 */
import { z } from 'zod';
import { BadRequest } from '../errors.ts';
import { type ChatMessages, chatMessages } from '../messages.ts';
import { wellFormed } from '../parameters.ts';
import { functionName } from '../tools.ts';

const words = wellFormed(1_000_000);
const itemId = z.string().max(128).optional();
const status = z.enum(['in_progress', 'completed', 'incomplete']).nullish();

const inputText = z.strictObject({ type: z.literal('input_text'), text: words });
const outputText = z.strictObject({
  type: z.literal('output_text'),
  text: words,
  annotations: z.array(z.unknown()).max(1000).optional(),
  logprobs: z.array(z.unknown()).nullish(),
});
const refusal = z.strictObject({ type: z.literal('refusal'), refusal: words });
const unread = (['input_image', 'input_file', 'input_audio'] as const).map((type) =>
  z
    .looseObject({ type: z.literal(type) })
    .refine((): boolean => false, `a part of type "${type}" is for models that read more than text`),
);
const part = z.discriminatedUnion('type', [inputText, outputText, refusal, ...unread]);

const message = z.strictObject({
  type: z.literal('message').optional(),
  id: itemId,
  status,
  role: z.enum(['user', 'assistant', 'system', 'developer']),
  content: z.union([words, z.array(part).max(256)]),
});
const callId = wellFormed(128).min(1, 'expected at least one character');
const functionCall = z.strictObject({
  type: z.literal('function_call'),
  id: itemId,
  status,
  call_id: callId,
  name: functionName,
  arguments: words,
});
const functionCallOutput = z.strictObject({
  type: z.literal('function_call_output'),
  id: itemId.nullable(),
  status,
  call_id: callId,
  output: z.union([words, z.array(inputText).min(1).max(256)]),
});
/** Items of the models of others; `of` says why there are none here. */
const foreign = (
  [
    ['item_reference', 'items are kept as parts of their responses alone; send the item itself'],
    ['reasoning', 'these models have no use for what another thought'],
  ] as const
).map(([type, why]) =>
  z
    .looseObject({ type: z.literal(type) })
    .refine((): boolean => false, `an item of type "${type}" is one that wick does not serve: ${why}`),
);

export const inputItem = z.union(
  [message, z.discriminatedUnion('type', [functionCall, functionCallOutput, ...foreign])],
  'expected a message, a function_call or a function_call_output',
);
export type InputItem = z.infer<typeof message | typeof functionCall | typeof functionCallOutput>;

/** An item as it is kept and told of, with an id of its own. */
export type Item = InputItem & { id: string };

/** A new id that nobody can guess: `resp_…`, say. */
export const newId = (kind: 'resp' | 'msg' | 'fc' | 'fco'): string =>
  `${kind}_${crypto.randomUUID().replaceAll('-', '')}`;

/** An input as items: a text is what the user says. */
export function itemsOf(input: string | InputItem[]): Item[] {
  const items: InputItem[] = typeof input === 'string' ? [{ role: 'user', content: input }] : input;
  return items.map((item): Item => {
    if (item.type === 'function_call') return { ...item, id: item.id ?? newId('fc'), status: 'completed' };
    if (item.type === 'function_call_output')
      return { ...item, id: item.id ?? newId('fco'), status: 'completed' };
    const { role, content, id = newId('msg') } = item;
    return { type: 'message', id, status: 'completed', role, content: partsOf(role, content) };
  });
}

type Message = z.infer<typeof message>;
type Part = z.infer<typeof inputText | typeof outputText | typeof refusal>;

/** What the assistant says is output and what the others say is input, however a client names the parts of it. */
function partsOf(role: Message['role'], content: Message['content']): Part[] {
  const parts = typeof content === 'string' ? [{ type: 'input_text' as const, text: content }] : content;
  return (parts as Part[]).map((part): Part => {
    const text = textOf([part]);
    if (role !== 'assistant') return { type: 'input_text', text };
    if (part.type === 'refusal') return part;
    const { annotations = [], logprobs } = part as Partial<z.infer<typeof outputText>>;
    return { type: 'output_text', text, annotations, logprobs: logprobs ?? [] };
  });
}

const textOf = (content: Message['content']): string =>
  typeof content === 'string'
    ? content
    : (content as ({ text: string } | { refusal: string })[])
        .map((each) => ('text' in each ? each.text : each.refusal))
        .join('');

/**
 * The messages that items mean; calls belong to the assistant's message before them.
 * @throws BadRequest if a result answers no call, or a call is left without one
 */
export function messagesOf(instructions: string | undefined, items: readonly InputItem[]): ChatMessages {
  type Said = { role: string; content: string; tool_calls?: object[]; tool_call_id?: string };
  const messages: Said[] = instructions ? [{ role: 'system', content: instructions }] : [];
  for (const item of items) {
    if (item.type === 'function_call') {
      const last = messages.at(-1);
      const said = last?.role === 'assistant' ? last : { role: 'assistant', content: '' };
      if (said !== last) messages.push(said);
      const { call_id: id, name, arguments: given } = item;
      said.tool_calls = [
        ...(said.tool_calls ?? []),
        { id, type: 'function', function: { name, arguments: given } },
      ];
    } else if (item.type === 'function_call_output') {
      messages.push({ role: 'tool', tool_call_id: item.call_id, content: textOf(item.output) });
    } else {
      messages.push({ role: item.role, content: textOf(item.content) });
    }
  }
  const result = chatMessages.safeParse(messages);
  if (!result.success) {
    const [{ message: why }] = result.error.issues;
    throw new BadRequest(`\`input\` is not right: ${why}.`, { param: 'input' });
  }
  return result.data;
}
