/** Responses as types of the wire: the reference shows them, and tests hold real answers to them. */
import { z } from 'zod';
import { wickAnswerOfOne, wickEventOfOne } from '../trace.ts';

const count = z.number().int().min(0);
const status = z.enum(['in_progress', 'completed', 'incomplete']);
const logprob = z.object({ token: z.string(), logprob: z.number(), bytes: z.array(count) });
const logprobs = z.array(logprob.extend({ top_logprobs: z.array(logprob) }));

const outputItem = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('message'),
    id: z.string(),
    status,
    role: z.literal('assistant'),
    content: z.array(
      z.object({
        type: z.literal('output_text'),
        text: z.string(),
        annotations: z.array(z.unknown()).length(0),
        logprobs,
      }),
    ),
  }),
  z.object({
    type: z.literal('function_call'),
    id: z.string(),
    status,
    call_id: z.string(),
    name: z.string(),
    arguments: z.string().describe('JSON, as the model wrote it.'),
  }),
]);

export const responseAnswer = z.looseObject({
  id: z.string(),
  object: z.literal('response'),
  created_at: count.describe('Unix seconds.'),
  completed_at: count.nullable(),
  status: z.enum(['in_progress', 'completed', 'incomplete', 'failed']),
  model: z.string(),
  output: z.array(outputItem),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  incomplete_details: z.object({ reason: z.enum(['max_output_tokens', 'content_filter']) }).nullable(),
  previous_response_id: z.string().nullable(),
  store: z.boolean(),
  metadata: z.record(z.string(), z.string()),
  usage: z
    .object({
      input_tokens: count,
      input_tokens_details: z.object({ cached_tokens: count, cache_write_tokens: count }),
      output_tokens: count,
      output_tokens_details: z.object({ reasoning_tokens: count }),
      total_tokens: count,
    })
    .optional()
    .describe('Of a response that has ended by itself.'),
  wick: wickAnswerOfOne.optional(),
});

const textEvents = ['response.output_text.delta', 'response.output_text.done'] as const;
const partEvents = ['response.content_part.added', 'response.content_part.done'] as const;
const itemEvents = ['response.output_item.added', 'response.output_item.done'] as const;
const callEvents = [
  'response.function_call_arguments.delta',
  'response.function_call_arguments.done',
] as const;
const wholeEvents = (['created', 'in_progress', 'completed', 'incomplete', 'failed'] as const).map(
  (name) => `response.${name}` as const,
);
const numbered = { sequence_number: count };
const place = { item_id: z.string(), output_index: count };

export const responseEvent = z.discriminatedUnion('type', [
  z.object({ type: z.enum(wholeEvents), ...numbered, response: responseAnswer }),
  z.object({ type: z.enum(itemEvents), ...numbered, output_index: count, item: outputItem }),
  z.looseObject({ type: z.enum(partEvents), ...numbered, ...place, content_index: count }),
  z.looseObject({
    ...{ type: z.enum(textEvents), ...numbered, ...place, content_index: count, logprobs },
    wick: wickEventOfOne,
  }),
  z.looseObject({ type: z.enum(callEvents), ...numbered, ...place, wick: wickEventOfOne }),
  z.object({
    type: z.literal('error'),
    ...numbered,
    code: z.string().nullable(),
    message: z.string(),
    param: z.string().nullable(),
  }),
]);

export const responseItems = z.object({
  object: z.literal('list'),
  data: z.array(z.looseObject({ type: z.string(), id: z.string() })),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});

export const responseDeleted = z.object({
  id: z.string(),
  object: z.literal('response'),
  deleted: z.literal(true),
});
