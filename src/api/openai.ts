/**
 * OpenAI's wire format for text (https://platform.openai.com/docs/api-reference): requests checked. Parameters that are
 * not served are refused by name.
 */
import { z } from 'zod';
import { type AnswerForm, answerFormFields, answerFormOf } from '../filtering/form/answer-form.ts';
import { constraintFields, constraintOf } from './constraint.ts';
import { BadRequest, parse } from './errors.ts';
import type { GenerationInput } from './events.ts';
import { chatMessages } from './messages.ts';
import { inertParameters, unservedParameters } from './openai-parameters.ts';
import { type generationParameters, looseParameters, wellFormed, whole, withoutNulls } from './parameters.ts';
import { functionParameters, toolParameters, toolUseOf } from './tools.ts';
import { type TraceOptions, traceFields, traceOf } from './trace.ts';

export type { ErrorObject } from './errors.ts';
export type Parameters = Partial<z.infer<typeof generationParameters>>;

const { best_of, echo, top_logprobs, ...others } = looseParameters.shape;
const common = {
  ...others,
  ...constraintFields,
  ...inertParameters,
  model: z.string('expected the name of a model').min(1).max(200),
  stream: z.boolean().optional(),
  stream_options: z
    .strictObject({
      include_usage: z.boolean().optional(),
      include_obfuscation: z.literal(false, 'expected false: wick does not pad its chunks').optional(),
    })
    .optional(),
  /** wick's own: where the model answers, and whether the edge's may stand in for a service that is down. */
  placement: z.enum(['edge', 'service']).optional(),
  fallback: z.boolean().optional(),
  /** wick's own: whether what placeholders stand for is put back in the answer. */
  restore: z.boolean().optional(),
  ...traceFields,
  ...answerFormFields,
};

const promptText = wellFormed(1_000_000);
const promptTokens = z
  .array(whole(0, 10_000_000), 'expected a text, token ids, or a list of either')
  .min(1, 'expected at least one token')
  .max(1_000_000);
/** Prompts in one request. */
const PROMPTS = 128;

export const completionRequest = z.strictObject({
  ...common,
  best_of,
  echo,
  /** As many of the likeliest tokens are told beside each that was taken. */
  logprobs: whole(0, 20).nullable().optional(),
  /** What stands behind the answer, for models that fill in a middle. */
  suffix: wellFormed(1_000_000).optional(),
  prompt: z.union([
    promptText,
    promptTokens,
    z.array(promptText).min(1).max(PROMPTS),
    z.array(promptTokens).min(1).max(PROMPTS),
  ]),
});

export const chatCompletionRequest = z.strictObject({
  ...common,
  ...toolParameters,
  ...functionParameters,
  messages: chatMessages,
  max_tokens: whole(1, 1_000_000).optional(),
  max_completion_tokens: whole(1, 1_000_000).optional(),
  logprobs: z.boolean().optional(),
  top_logprobs: whole(0, 20).optional(),
});

/** What a request asks for, whichever route it came by. */
export interface TextRequest {
  model: string;
  /** One, or more where a completion has several prompts. */
  inputs: GenerationInput[];
  parameters: Parameters;
  stream: boolean;
  includeUsage: boolean;
  placement?: 'edge' | 'service';
  fallback: boolean;
  /** Whether what placeholders stand for is put back in the answer. */
  restore: boolean;
  /** Whether a chat says in which tier it wants to be served; the answer tells then in which it was. */
  tier?: boolean;
  /** Whether calls are answered in the older form, in which they were asked for. */
  functionCall?: boolean;
  /** Where a trace is asked for. */
  trace?: TraceOptions;
  /** In which form the answer is asked for. */
  form: AnswerForm;
}

/**
 * The body of `POST /v1/completions`.
 * @throws BadRequest naming what is wrong
 */
export function parseCompletionRequest(body: unknown): TextRequest {
  const { prompt, suffix, logprobs, ...request } = parse(
    completionRequest,
    withoutNulls(body),
    unservedParameters,
  );
  const { n = 1, best_of, stream } = request;
  if (best_of != null && best_of < n)
    throw new BadRequest('`best_of` has to be at least `n`.', { param: 'best_of' });
  if (best_of != null && best_of > n && stream)
    throw new BadRequest('`best_of` is not for a stream: all is written before the best is known.', {
      param: 'best_of',
    });
  if (suffix && request.echo)
    throw new BadRequest('`echo` is not for an answer that stands before a `suffix`.', { param: 'echo' });
  const inputs = inputsOf(prompt).map((input) => ({ ...input, ...(suffix && { suffix }) }));
  return textRequest({ ...request, ...(logprobs != null && { top_logprobs: logprobs }) }, inputs);
}

/** A text, token ids, or a list of either. */
function inputsOf(prompt: z.infer<typeof completionRequest>['prompt']): GenerationInput[] {
  if (typeof prompt === 'string') return [{ text: prompt }];
  if (typeof prompt[0] === 'number') return [{ tokens: prompt as number[] }];
  return prompt.map((each) => (typeof each === 'string' ? { text: each } : { tokens: each as number[] }));
}

/**
 * The body of `POST /v1/chat/completions`.
 * @throws BadRequest naming what is wrong
 */
export function parseChatCompletionRequest(body: unknown): TextRequest {
  const asked = parse(chatCompletionRequest, withoutNulls(body), unservedParameters);
  const { messages, max_completion_tokens, logprobs, top_logprobs, ...others } = asked;
  const { tools, tool_choice, parallel_tool_calls, functions, function_call, ...request } = others;
  if (top_logprobs !== undefined && !logprobs)
    throw new BadRequest('`top_logprobs` needs `logprobs` to be true.', { param: 'top_logprobs' });
  const max_tokens = max_completion_tokens ?? request.max_tokens;
  const input = { messages, ...toolUseOf(asked) };
  const parameters = { ...request, max_tokens, ...(logprobs && { top_logprobs: top_logprobs ?? 0 }) };
  return {
    ...textRequest(parameters, [input]),
    ...(functions && { functionCall: true }),
    ...(request.service_tier && { tier: true }),
  };
}

const ownNames = [
  ...['model', 'stream', 'stream_options', 'placement', 'fallback', 'restore'],
  ...Object.keys(traceFields),
  ...Object.keys(answerFormFields),
  ...Object.keys(inertParameters),
  ...Object.keys(constraintFields),
];
const commonRequest = z.strictObject({ ...common, best_of, echo, top_logprobs });
type Common = z.infer<typeof commonRequest>;

function textRequest(request: Common, inputs: GenerationInput[]): TextRequest {
  const { model, stream, stream_options, placement, fallback, restore, stop } = request;
  if (stream_options && !stream)
    throw new BadRequest('`stream_options` needs `stream` to be true.', { param: 'stream_options' });
  if (request.trace && inputs.length > 1)
    throw new BadRequest('`trace` is for one prompt at a time.', { param: 'trace' });
  const own = new Set<string>(ownNames);
  const given = Object.entries(request).filter(([name, value]) => !own.has(name) && value !== undefined);
  const parameters = Object.fromEntries(given) as Parameters;
  if (typeof stop === 'string') parameters.stop = [stop];
  const constraint = constraintOf(request);
  if (constraint) parameters.constraint = constraint;
  return {
    model,
    inputs,
    parameters,
    stream: stream ?? false,
    includeUsage: stream_options?.include_usage ?? false,
    placement,
    fallback: fallback ?? false,
    restore: restore ?? false,
    trace: traceOf(request),
    form: answerFormOf(request),
  };
}
