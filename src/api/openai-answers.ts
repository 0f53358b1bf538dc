/** OpenAI's wire format for text: answers and chunks made of a generation's events. */
import type { GenerationEvent, TokenLogprob, Usage } from './events.ts';
import type { ToolCall } from './messages.ts';
import { followText } from './text-offsets.ts';
import { addToolCall, toolCallDelta } from './tool-call-answers.ts';
import { type TokenTrace, type WickAnswer, wickPart } from './trace.ts';

/** Which of the two routes an answer is for. */
export type Form = 'completion' | 'chat';

/** What stands in every answer and chunk. */
export interface AnswerHead {
  id: string;
  model: string;
  /** Unix seconds. */
  created: number;
  /** Of a chat that asks for one: all are served alike. */
  service_tier?: 'default';
  /** wick's own: who answered, where that was not who was asked. */
  wick?: { placement: 'edge' | 'service'; fallback: boolean };
}

/** A new answer's head. */
export function answerHead(
  form: Form,
  model: string,
  { tier = false, wick }: { tier?: boolean; wick?: AnswerHead['wick'] } = {},
): AnswerHead {
  const id = `${form === 'chat' ? 'chatcmpl' : 'cmpl'}-${crypto.randomUUID().replaceAll('-', '')}`;
  return {
    id,
    model,
    created: Math.floor(Date.now() / 1000),
    ...(tier && { service_tier: 'default' }),
    ...(wick && { wick }),
  };
}

type FinishReason = Extract<GenerationEvent, { type: 'end' }>['finish_reason'];

/** A choice as far as it has come. */
interface Choice {
  text: string;
  calls: ToolCall[];
  logprobs: TokenLogprob[] | undefined;
  trace: TokenTrace[] | undefined;
  finish_reason: FinishReason | undefined;
}

/** A whole answer from a generation's events. */
export async function wholeAnswer(
  form: Form,
  head: AnswerHead,
  events: AsyncIterable<GenerationEvent>,
): Promise<Record<string, unknown> & { wick?: WickAnswer }> {
  const choices: Choice[] = [];
  const choiceOf = (index: number) => {
    choices[index] ??= {
      text: '',
      calls: [],
      logprobs: undefined,
      trace: undefined,
      finish_reason: undefined,
    };
    return choices[index];
  };
  let usage: Usage | undefined;
  let own = {};
  for await (const event of events) {
    if (event.type === 'delta' || event.type === 'tool_call') {
      const choice = choiceOf(event.index);
      if (event.type === 'delta') choice.text += event.text;
      else addToolCall(choice.calls, event);
      if (event.logprobs) choice.logprobs = [...(choice.logprobs ?? []), ...event.logprobs];
    }
    if (event.type === 'trace') {
      const choice = choiceOf(event.index);
      choice.trace = [...(choice.trace ?? []), ...event.tokens];
    }
    if (event.type === 'end') choiceOf(event.index).finish_reason = event.finish_reason;
    if (event.type === 'done') {
      usage = event.usage;
      own = wickPart({ ...head.wick, ...event });
    }
  }
  if (!usage || choices.length === 0 || choices.some((choice) => !choice?.finish_reason))
    throw new Error('The generation ended without its last event.');
  const { id, ...rest } = head;
  return {
    id,
    object: form === 'chat' ? 'chat.completion' : 'text_completion',
    ...rest,
    choices: choices.map(({ text, calls, logprobs, trace, finish_reason }, index) => ({
      index,
      ...(form === 'chat' ? { message: messageOf(text, calls) } : { text }),
      logprobs: logprobsOf(form, logprobs, () => followText()(text, textsOf(logprobs!))),
      finish_reason,
      ...(trace && { wick: { trace } }),
    })),
    usage,
    ...own,
  };
}

const messageOf = (text: string, calls: ToolCall[]): object => ({
  role: 'assistant',
  content: calls.length > 0 && text === '' ? null : text,
  refusal: null,
  ...(calls.length > 0 && { tool_calls: calls }),
});

/** The chunks of a streamed answer, as objects; what ends the stream (`[DONE]`) is the sender's. */
export async function* answerChunks(
  form: Form,
  head: AnswerHead,
  events: AsyncIterable<GenerationEvent>,
  includeUsage: boolean,
): AsyncGenerator<object> {
  const { id, ...rest } = head;
  const object = form === 'chat' ? 'chat.completion.chunk' : 'text_completion';
  const chunk = (
    index: number,
    part: object,
    finish_reason: FinishReason | null,
    logprobs: object | null,
    own = {},
  ) => ({
    id,
    object,
    ...rest,
    ...own,
    choices: [{ index, ...part, logprobs, finish_reason, ...traced(index) }],
    ...(includeUsage && { usage: null }),
  });
  /** How the tokens of each choice's next chunk came about. */
  const traces: (TokenTrace[] | undefined)[] = [];
  const traced = (index: number) => {
    const trace = traces[index];
    traces[index] = undefined;
    return trace && { wick: { trace } };
  };
  /** Of each choice, where its tokens begin. */
  const follow: ReturnType<typeof followText>[] = [];
  const roleOf = (index: number) => chunk(index, { delta: { role: 'assistant', content: '' } }, null, null);
  for await (const event of events) {
    // The role stands first in each choice, and once; of the first it tells that the answer has begun.
    if (event.type === 'start' && form === 'chat') yield roleOf(0);
    if (event.type === 'done' && (includeUsage || event.trace)) {
      const usage = includeUsage && { usage: event.usage };
      yield { id, object, ...rest, choices: [], ...usage, ...wickPart({ ...head.wick, ...event }) };
    }
    if (event.type === 'start' || event.type === 'done') continue;
    const { index } = event;
    if (follow[index] === undefined) {
      follow[index] = followText();
      if (form === 'chat' && index > 0) yield roleOf(index);
    }
    if (event.type === 'trace') {
      traces[index] = [...(traces[index] ?? []), ...event.tokens];
      continue;
    }
    if (event.type === 'delta') {
      const { logprobs, text } = event;
      // Text that comes without its tokens is followed, too: they come before or behind it.
      const places = form === 'completion' ? follow[index](text, textsOf(logprobs ?? [])) : [];
      const offsets = () => places;
      const part = form === 'chat' ? { delta: { content: text } } : { text };
      yield chunk(index, part, null, logprobsOf(form, logprobs, offsets));
    } else if (event.type === 'tool_call') {
      yield chunk(
        index,
        { delta: toolCallDelta(event) },
        null,
        logprobsOf(form, event.logprobs, () => []),
      );
    } else {
      const own = event.filtered && wickPart({ ...head.wick, filtered: event.filtered });
      yield chunk(index, form === 'chat' ? { delta: {} } : { text: '' }, event.finish_reason, null, own);
    }
  }
}

const textsOf = (logprobs: TokenLogprob[]): string[] => logprobs.map(({ text }) => text);

/** @param offsets where the tokens begin in their choice's text */
function logprobsOf(
  form: Form,
  logprobs: TokenLogprob[] | undefined,
  offsets: () => number[],
): object | null {
  if (!logprobs) return null;
  const described = ({ text, logprob, bytes }: Omit<TokenLogprob, 'top'>) => ({
    token: text,
    logprob: logprob ?? -9999,
    bytes,
  });
  if (form === 'chat') {
    const content = logprobs.map((each) => ({ ...described(each), top_logprobs: each.top.map(described) }));
    return { content, refusal: null };
  }
  return {
    tokens: textsOf(logprobs),
    token_logprobs: logprobs.map(({ logprob }) => logprob),
    top_logprobs: logprobs.map(({ top, text, logprob }) =>
      logprob === null
        ? null
        : Object.fromEntries([...top.map((each) => [each.text, each.logprob]), [text, logprob]]),
    ),
    text_offset: offsets().map((offset, i) => logprobs[i].offset ?? offset),
  };
}
