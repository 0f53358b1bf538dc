/** What the Worker answers, as types of the wire: the reference shows them, and tests hold real answers to them. */
import { z } from 'zod';
import { errorSchema } from './errors.ts';
import { usageSchema } from './events.ts';
import { tokenTrace, wickAnswer, wickAnswerOfOne, wickFiltered } from './trace.ts';

const count = z.number().int().min(0);
const seconds = count.describe('Unix seconds.');
const placement = z.enum(['edge', 'service']);

export const errorAnswer = z.object({
  error: errorSchema,
  request_id: z.string().optional().describe('The x-request-id of the request that failed.'),
});

const head = {
  id: z.string(),
  created: seconds,
  model: z.string(),
  wick: wickAnswer.optional(),
};
const choiceWick = z
  .object({ trace: z.array(tokenTrace) })
  .optional()
  .describe('With `trace`: how each token came about.');
const finishReason = z
  .enum(['stop', 'length', 'content_filter'])
  .describe("`content_filter` where it ends before what the site's policy refuses.");
const usage = usageSchema.describe('In tokens.');

const chatToken = z.object({
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(count).nullable(),
});
const chatLogprobs = z.object({
  content: z.array(chatToken.extend({ top_logprobs: z.array(chatToken) })).nullable(),
  refusal: z.null(),
});
const completionLogprobs = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number().nullable()),
  top_logprobs: z.array(z.record(z.string(), z.number().nullable()).nullable()),
  text_offset: z.array(count),
});

const completionChoice = z.object({
  index: count,
  text: z.string(),
  logprobs: completionLogprobs.nullable(),
  finish_reason: finishReason,
  wick: choiceWick,
});
export const completionAnswer = z.object({
  ...head,
  object: z.literal('text_completion'),
  choices: z.array(completionChoice),
  usage,
});
export const completionChunk = completionAnswer.extend({
  choices: z.array(completionChoice.extend({ finish_reason: finishReason.nullable() })),
  usage: usage.nullish(),
});

const chatFinishReason = z
  .enum(['stop', 'length', 'tool_calls', 'function_call', 'content_filter'])
  .describe(
    "`tool_calls` where functions are called, `function_call` where it was asked for in the older form, `content_filter` where it ends before what the site's policy refuses.",
  );
const functionCall = z.object({ name: z.string(), arguments: z.string().describe('JSON.') });
const toolCall = z.object({ id: z.string(), type: z.literal('function'), function: functionCall });
const toolCallDelta = toolCall
  .partial()
  .extend({ index: count, function: functionCall.partial({ name: true }) })
  .describe('The first of a call has its id and name; the arguments of all belong together.');

const tier = z.literal('default').optional().describe('Where a tier was asked for.');

export const chatCompletionAnswer = z.object({
  ...head,
  service_tier: tier,
  object: z.literal('chat.completion'),
  choices: z.array(
    z.object({
      index: count,
      message: z.object({
        role: z.literal('assistant'),
        content: z.string().nullable(),
        refusal: z.string().nullable(),
        tool_calls: z.array(toolCall).optional(),
        function_call: functionCall.optional(),
      }),
      logprobs: chatLogprobs.nullable(),
      finish_reason: chatFinishReason,
      wick: choiceWick,
    }),
  ),
  usage,
});
export const chatCompletionChunk = z.object({
  ...head,
  service_tier: tier,
  object: z.literal('chat.completion.chunk'),
  choices: z.array(
    z.object({
      index: count,
      delta: z.object({
        role: z.literal('assistant').optional(),
        content: z.string().nullish(),
        tool_calls: z.array(toolCallDelta).optional(),
        function_call: functionCall.partial({ name: true }).optional(),
      }),
      logprobs: chatLogprobs.nullable(),
      finish_reason: chatFinishReason.nullable(),
      wick: choiceWick,
    }),
  ),
  usage: usage.nullish(),
});

export const textAnswer = z.object({
  model: z.string(),
  text: z.string(),
  finish_reason: finishReason,
  usage,
  wick: wickAnswerOfOne.optional().describe('With `trace`.'),
});
export const textEvent = z.object({
  text: z.string().optional(),
  finish_reason: finishReason.optional(),
  usage: usage.optional(),
  wick: wickAnswerOfOne
    .optional()
    .describe('With `trace`: of the last event the whole, of any other its tokens.'),
});

export const modelAnswer = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: seconds,
  owned_by: z.string(),
  wick: z.object({
    placements: z.array(placement).describe('Where it can be asked.'),
    revisions: z
      .object({ edge: z.string().optional(), service: z.string().optional() })
      .describe('Of its files, at each place: the same files are the same revision.'),
    kind: z.literal('image').optional().describe('Of a model that draws.'),
    size: z.array(count).length(2).optional().describe('The width and height at which it draws.'),
    state: z
      .enum(['idle', 'loading', 'loaded'])
      .optional()
      .describe('On the service: one that is not loaded is when it is asked for.'),
  }),
});
export const modelsAnswer = z.object({ object: z.literal('list'), data: z.array(modelAnswer) });

export const healthAnswer = z.object({
  status: z.literal('ok'),
  edge: z.object({
    models: z.array(z.string()).describe('Those that are loaded.'),
    running: count,
    waiting: count,
    memory_bytes: count.describe('Of the runtime of the models.'),
  }),
  service: z.object({ status: z.enum(['none', 'ok', 'down']) }),
});

const tokenIds = z.array(count);
export const tokenizeAnswer = z.object({
  count: count.describe('How many they are.'),
  max_model_len: count.describe('Tokens that fit in the model at once.'),
  tokens: tokenIds,
  token_strs: z.array(z.string()).optional().describe("The vocabulary's own spelling of each."),
});
export const detokenizeAnswer = z.object({
  prompt: z.string(),
  content: z.string().describe('The same, for who looks for it here.'),
});
export const templateAnswer = z.object({ prompt: z.string() });

export const embeddingsAnswer = z.object({
  object: z.literal('list'),
  data: z.array(
    z.object({
      object: z.literal('embedding'),
      index: count,
      embedding: z
        .union([z.array(z.number()), z.string()])
        .describe('A vector of length 1: numbers, or their float32 bytes in base64.'),
    }),
  ),
  model: z.string(),
  usage: z.object({ prompt_tokens: count, total_tokens: count }),
  wick: wickFiltered.optional(),
});
