/** `POST /v1/responses` on the wire: requests checked. Parameters that are not served are refused by name. */
import { z } from 'zod';
import { type AnswerForm, answerFormFields, answerFormOf } from '../../filtering/form/answer-form.ts';
import { type Constraint, jsonSchema } from '../constraint.ts';
import { BadRequest, parse } from '../errors.ts';
import type { Parameters } from '../openai.ts';
import { callerParameters, inertParameters } from '../openai-parameters.ts';
import { looseParameters, wellFormed, whole, withoutNulls } from '../parameters.ts';
import { functionName, type ToolUse, toolParameters, toolUseOf } from '../tools.ts';
import { type TraceOptions, traceFields, traceOf } from '../trace.ts';
import { type InputItem, type Item, inputItem, itemsOf } from './items.ts';

const { temperature, top_p, seed, stop, top_k, min_p, logit_bias } = looseParameters.shape;
const { repetition_penalty, presence_penalty, frequency_penalty } = looseParameters.shape;
/** wick's own, beside OpenAI's. */
const sampling = { temperature, top_p, seed, stop, top_k, min_p, logit_bias };
const penalties = { repetition_penalty, presence_penalty, frequency_penalty };

const LOGPROBS = 'message.output_text.logprobs';
const tool = z.discriminatedUnion(
  'type',
  [
    z.strictObject({
      type: z.literal('function'),
      name: functionName,
      description: wellFormed(16_384).nullish(),
      parameters: z.record(z.string(), z.unknown()).nullish(),
      strict: z.boolean().nullish(),
    }),
  ],
  'expected a tool of type "function", the only one that wick serves',
);
const named = z.strictObject({ type: z.literal('function'), name: functionName });
const toolChoice = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    named,
    z.strictObject({
      type: z.literal('allowed_tools'),
      mode: z.enum(['auto', 'required']),
      tools: z.array(named).min(1).max(128),
    }),
  ],
  'expected "none", "auto", "required", a function by its name, or allowed_tools',
);

const format = z.discriminatedUnion(
  'type',
  [
    z.strictObject({ type: z.literal('text') }),
    z.strictObject({ type: z.literal('json_object') }),
    z.strictObject({
      type: z.literal('json_schema'),
      name: z.string().regex(/^[\w-]{1,64}$/, 'expected 1 to 64 letters, digits, _ or -'),
      description: z.string().max(100_000).nullish(),
      schema: jsonSchema,
      /** The schema is enforced in either case. */
      strict: z.boolean().nullish(),
    }),
  ],
  'expected an object whose type is "text", "json_object" or "json_schema"',
);

export const responsesRequest = z.strictObject({
  ...sampling,
  ...penalties,
  model: z.string('expected the name of a model').min(1).max(200),
  input: z.union([
    wellFormed(1_000_000).min(1, 'expected a text that is not empty'),
    z.array(inputItem).min(1, 'expected at least one item').max(1024, 'expected at most 1024 items'),
  ]),
  instructions: wellFormed(1_000_000).optional(),
  previous_response_id: z.string().max(128).optional(),
  max_output_tokens: whole(1, 1_000_000).optional(),
  text: z
    .strictObject({
      format: format.optional(),
      verbosity: z.literal('medium', 'expected "medium": these models know one way to answer').nullish(),
    })
    .optional(),
  tools: z.array(tool).max(128, 'expected at most 128 tools').optional(),
  tool_choice: toolChoice.optional(),
  parallel_tool_calls: z.boolean().optional(),
  /** Whether the response is kept for a while, to be read again and gone on from; it is unless that is declined. */
  store: z.boolean().optional(),
  /** With `auto` the oldest messages are left out where the conversation is longer than the model's context. */
  truncation: z.enum(['auto', 'disabled']).optional(),
  include: z
    .array(z.literal(LOGPROBS, `expected "${LOGPROBS}", the only thing that wick can add to a response`))
    .max(8)
    .optional(),
  top_logprobs: whole(0, 20).optional(),
  stream: z.boolean().optional(),
  stream_options: z
    .strictObject({ include_obfuscation: z.literal(false, 'expected false').optional() })
    .optional(),
  background: z
    .literal(false, 'expected false: wick answers while the caller waits, and not in the background')
    .optional(),
  service_tier: inertParameters.service_tier,
  ...callerParameters,
  prompt_cache_key: inertParameters.prompt_cache_key,
  /** wick's own: where the model answers, and whether the edge's may stand in for a service that is down. */
  placement: z.enum(['edge', 'service']).optional(),
  fallback: z.boolean().optional(),
  /** wick's own: whether what placeholders stand for is put back in the answer, though not in what is kept of it. */
  restore: z.boolean().optional(),
  ...traceFields,
  ...answerFormFields,
});
type Request = z.infer<typeof responsesRequest>;

const unserved = Object.fromEntries(
  [
    ...['conversation', 'prompt', 'reasoning', 'max_tool_calls', 'context_management', 'moderation', 'image'],
    ...['prompt_cache_options', 'prompt_cache_retention', 'access_programs'],
  ].map((name) => [name, 'is a parameter that wick does not serve']),
);

/** What a request asks for. */
export interface ResponsesRequest {
  /** As it was sent, for what a response tells of it. */
  sent: Request;
  model: string;
  items: Item[];
  parameters: Parameters;
  tools: ToolUse;
  store: boolean;
  stream: boolean;
  placement?: 'edge' | 'service';
  fallback?: boolean;
  /** Whether what placeholders stand for is put back in the answer. */
  restore: boolean;
  /** Where a trace is asked for. */
  trace?: TraceOptions;
  /** In which form the answer is asked for. */
  form: AnswerForm;
}

/**
 * The body of `POST /v1/responses`.
 * @throws BadRequest naming what is wrong
 */
export function parseResponsesRequest(body: unknown): ResponsesRequest {
  const sent = parse(responsesRequest, withoutNulls(body), unserved);
  const { model, input, max_output_tokens, include, top_logprobs, stop: ends, placement, fallback } = sent;
  const given = Object.keys({ ...sampling, ...penalties }) as (keyof Parameters & keyof Request)[];
  const parameters: Parameters = Object.fromEntries(
    given.flatMap((name) => (sent[name] === undefined ? [] : [[name, sent[name]]])),
  );
  if (typeof ends === 'string') parameters.stop = [ends];
  if (max_output_tokens !== undefined) parameters.max_tokens = max_output_tokens;
  if (include?.includes(LOGPROBS) || top_logprobs) parameters.top_logprobs = top_logprobs ?? 0;
  const constraint = constraintOf(sent.text?.format);
  if (constraint) parameters.constraint = constraint;
  return {
    ...{ sent, model, parameters, placement, fallback },
    items: itemsOf(input as string | InputItem[]),
    tools: toolsOf(sent),
    restore: sent.restore ?? false,
    store: sent.store ?? true,
    stream: sent.stream ?? false,
    trace: traceOf(sent),
    form: answerFormOf(sent),
  };
}

function constraintOf(given?: z.infer<typeof format>): Constraint | undefined {
  if (!given || given.type === 'text') return undefined;
  if (given.type === 'json_object') return { type: 'json_object', at: 'text.format' };
  return { type: 'json_schema', schema: given.schema, at: 'text.format.schema' };
}

const chatTools = z.object(toolParameters);

/** The tools in the form of chat completions, which nests what this one has side by side. */
function toolsOf({ tools, tool_choice: choice, parallel_tool_calls }: Request): ToolUse {
  const inChat = (chosen: z.infer<typeof named>) => ({ type: 'function', function: { name: chosen.name } });
  const nested = {
    tools: tools?.length
      ? tools.map(({ type, ...described }) => ({ type, function: withoutNulls(described) }))
      : undefined,
    tool_choice:
      typeof choice !== 'object'
        ? choice
        : choice.type === 'function'
          ? inChat(choice)
          : {
              type: 'allowed_tools',
              allowed_tools: { mode: choice.mode, tools: choice.tools.map(inChat) },
            },
    parallel_tool_calls,
  };
  try {
    return toolUseOf(parse(chatTools, nested));
  } catch (thrown) {
    // What is nested there stands at the top here.
    if (!(thrown instanceof BadRequest)) throw thrown;
    const flat = (text: string) => text.replace(/\.(function|allowed_tools)\b/g, '');
    throw new BadRequest(flat(thrown.message), { param: thrown.param && flat(thrown.param) });
  }
}
