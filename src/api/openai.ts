/**
 * OpenAI's wire format for text (https://platform.openai.com/docs/api-reference): requests checked, answers and
 * chunks built. Parameters that are not served are refused by name.
 */
import { z } from 'zod';
import { parse } from './errors.ts';
import type { GenerationEvent, GenerationInput, Usage } from './events.ts';
import { chatMessages, type generationParameters, looseParameters, wellFormed } from './parameters.ts';

export type { ErrorObject } from './errors.ts';
export type Parameters = Partial<z.infer<typeof generationParameters>>;

const common = {
  ...looseParameters.shape,
  model: z.string('expected the name of a model').min(1).max(200),
  stream: z.boolean().optional(),
  stream_options: z.strictObject({ include_usage: z.boolean().optional() }).optional(),
  n: z.literal(1, 'expected 1: one answer is given to each request').optional(),
  user: z.string().max(512).optional(),
  /** wick's own: where the model answers, and whether the edge's may stand in for a service that is down. */
  placement: z.enum(['edge', 'service']).optional(),
  fallback: z.boolean().optional(),
};

const completionRequest = z.strictObject({
  ...common,
  prompt: z.union([
    wellFormed(1_000_000),
    z.tuple([wellFormed(1_000_000)]),
    z.array(z.number().int().min(0)).min(1).max(1_000_000),
  ]),
});

const chatCompletionRequest = z.strictObject({
  ...common,
  messages: chatMessages,
  max_completion_tokens: looseParameters.shape.max_tokens,
});

/** Parameters of OpenAI's that wick knows and does not serve. */
const unserved = Object.fromEntries(
  [
    ...[
      'best_of',
      'echo',
      'logprobs',
      'top_logprobs',
      'suffix',
      'functions',
      'function_call',
      'tools',
      'tool_choice',
    ],
    ...[
      'parallel_tool_calls',
      'response_format',
      'store',
      'metadata',
      'modalities',
      'audio',
      'prediction',
      'reasoning_effort',
    ],
    ...['service_tier', 'web_search_options', 'verbosity', 'prompt_cache_key', 'safety_identifier'],
  ].map((name) => [name, 'is a parameter that wick does not serve']),
);

/** What a request asks for, whichever route it came by. */
export interface TextRequest {
  model: string;
  input: GenerationInput;
  parameters: Parameters;
  stream: boolean;
  includeUsage: boolean;
  placement?: 'edge' | 'service';
  fallback: boolean;
}

/**
 * The body of `POST /v1/completions`.
 * @throws BadRequest naming what is wrong
 */
export function parseCompletionRequest(body: unknown): TextRequest {
  const { prompt, ...request } = parse(completionRequest, withoutNulls(body), unserved);
  const first = prompt[0];
  const input: GenerationInput =
    typeof prompt === 'string'
      ? { text: prompt }
      : typeof first === 'string'
        ? { text: first }
        : { tokens: prompt as number[] };
  return textRequest(request, input);
}

/**
 * The body of `POST /v1/chat/completions`.
 * @throws BadRequest naming what is wrong
 */
export function parseChatCompletionRequest(body: unknown): TextRequest {
  const { messages, max_completion_tokens, ...request } = parse(
    chatCompletionRequest,
    withoutNulls(body),
    unserved,
  );
  return textRequest({ ...request, max_tokens: max_completion_tokens ?? request.max_tokens }, { messages });
}

/** null means "not given" on OpenAI's wire. */
function withoutNulls(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body;
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
}

const ownNames = ['model', 'stream', 'stream_options', 'n', 'user', 'placement', 'fallback'] as const;
const commonRequest = z.strictObject(common);
type Common = z.infer<typeof commonRequest>;

function textRequest(request: Common, input: GenerationInput): TextRequest {
  const { model, stream, stream_options, placement, fallback, stop } = request;
  const own = new Set<string>(ownNames);
  const given = Object.entries(request).filter(([name, value]) => !own.has(name) && value !== undefined);
  const parameters = Object.fromEntries(given) as Parameters;
  if (typeof stop === 'string') parameters.stop = [stop];
  return {
    model,
    input,
    parameters,
    stream: stream ?? false,
    includeUsage: stream_options?.include_usage ?? false,
    placement,
    fallback: fallback ?? false,
  };
}

/** Which of the two routes an answer is for. */
export type Form = 'completion' | 'chat';

/** What stands in every answer and chunk. */
export interface AnswerHead {
  id: string;
  model: string;
  /** Unix seconds. */
  created: number;
  /** wick's own: who answered, where that was not who was asked. */
  wick?: { placement: 'edge' | 'service'; fallback: boolean };
}

/** A new answer's head. */
export function answerHead(form: Form, model: string, wick?: AnswerHead['wick']): AnswerHead {
  const id = `${form === 'chat' ? 'chatcmpl' : 'cmpl'}-${crypto.randomUUID().replaceAll('-', '')}`;
  return {
    id,
    model,
    created: Math.floor(Date.now() / 1000),
    ...(wick && { wick }),
  };
}

type FinishReason = 'stop' | 'length';

/** A whole answer from a generation's events. */
export async function wholeAnswer(
  form: Form,
  head: AnswerHead,
  events: AsyncIterable<GenerationEvent>,
): Promise<object> {
  let text = '';
  let end: { finish_reason: FinishReason; usage: Usage } | undefined;
  for await (const event of events) {
    if (event.type === 'delta') text += event.text;
    if (event.type === 'done') end = event;
  }
  if (!end) throw new Error('The generation ended without its last event.');
  const { id, ...rest } = head;
  const choice = { index: 0, logprobs: null, finish_reason: end.finish_reason };
  return form === 'chat'
    ? {
        id,
        object: 'chat.completion',
        ...rest,
        choices: [
          {
            ...choice,
            message: { role: 'assistant', content: text, refusal: null },
          },
        ],
        usage: end.usage,
      }
    : {
        id,
        object: 'text_completion',
        ...rest,
        choices: [{ ...choice, text }],
        usage: end.usage,
      };
}

/** The chunks of a streamed answer, as objects; what ends the stream (`[DONE]`) is the sender's. */
export async function* answerChunks(
  form: Form,
  head: AnswerHead,
  events: AsyncIterable<GenerationEvent>,
  includeUsage: boolean,
): AsyncGenerator<object> {
  const { id, ...rest } = head;
  const object = form === 'chat' ? 'chat.completion.chunk' : 'text_completion';
  const chunk = (part: object, finish_reason: FinishReason | null) => ({
    id,
    object,
    ...rest,
    choices: [{ index: 0, ...part, logprobs: null, finish_reason }],
    ...(includeUsage && { usage: null }),
  });
  for await (const event of events) {
    if (event.type === 'start' && form === 'chat')
      yield chunk({ delta: { role: 'assistant', content: '' } }, null);
    if (event.type === 'delta')
      yield chunk(form === 'chat' ? { delta: { content: event.text } } : { text: event.text }, null);
    if (event.type === 'done') {
      yield chunk(form === 'chat' ? { delta: {} } : { text: '' }, event.finish_reason);
      if (includeUsage) yield { id, object, ...rest, choices: [], usage: event.usage };
    }
  }
}
