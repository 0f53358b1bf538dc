/** Calls of tools in OpenAI's answers: put together, streamed, and in the older form of one function call. */
import type { GenerationEvent } from './events.ts';
import type { ToolCall } from './messages.ts';

type ToolCallEvent = Extract<GenerationEvent, { type: 'tool_call' }>;

/** Adds what an event tells to the calls so far. */
export function addToolCall(calls: ToolCall[], { call, id = '', name = '', ...event }: ToolCallEvent): void {
  calls[call] ??= { id, type: 'function', function: { name, arguments: '' } };
  calls[call].function.arguments += event.arguments;
}

/** An event as the `delta` of a chunk: the first of a call says which it is. */
export function toolCallDelta({ call, id, name, ...event }: ToolCallEvent): object {
  const begun = id !== undefined;
  const part = { ...(begun && { name }), arguments: event.arguments };
  return { tool_calls: [{ index: call, ...(begun && { id, type: 'function' }), function: part }] };
}

interface Said {
  tool_calls?: { function: object }[];
}
interface Answer {
  choices: { message?: Said; delta?: Said; finish_reason: string | null }[];
}

/** An answer or a chunk with its call, if it has one, as the `function_call` of OpenAI's older form. */
export function asFunctionCall(answer: object): object {
  const inOlderForm = ({ tool_calls, ...said }: Said) => ({
    ...said,
    ...(tool_calls && { function_call: tool_calls[0].function }),
  });
  return {
    ...answer,
    choices: (answer as Answer).choices.map(({ message, delta, finish_reason, ...choice }) => ({
      ...choice,
      ...(message && { message: inOlderForm(message) }),
      ...(delta && { delta: inOlderForm(delta) }),
      finish_reason: finish_reason === 'tool_calls' ? 'function_call' : finish_reason,
    })),
  };
}
