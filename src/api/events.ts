/**
 * What the edge and the service say to each other: a request for a generation, and its events as JSON lines.
 * The last event is `done` or `error`; a stream without either was cut.
 */
import { z } from 'zod';
import { errorSchema } from './errors.ts';
import { chatMessages } from './messages.ts';
import { generationParameters, wellFormed } from './parameters.ts';
import { toolParameters } from './tools.ts';
import { filtered, requestTrace, timings, tokenTrace, traceOptions } from './trace.ts';

const suffix = wellFormed(1_000_000);
export const generationInput = z.union([
  z.strictObject({ text: wellFormed(1_000_000), suffix: suffix.optional() }),
  z.strictObject({
    tokens: z.array(z.number().int().min(0)).min(1).max(1_000_000),
    suffix: suffix.optional(),
  }),
  z.strictObject({ messages: chatMessages, ...toolParameters }),
]);
/** A text or token ids, with the text behind the answer or without; or a conversation with the tools that the model may call in it. */
export type GenerationInput = z.infer<typeof generationInput>;

export const generateRequest = z.strictObject({
  model: z.string().min(1).max(200),
  input: generationInput,
  parameters: generationParameters.partial(),
  trace: traceOptions.optional(),
  /** Only requests with the same one find each other's prompts in the cache. */
  salt: z.string().max(200).optional(),
  /** Smaller is served first. */
  priority: z.number().int().min(-1000).max(1000).optional(),
});
/** The body of the service's `POST /v1/generate`. */
export type GenerateRequest = z.infer<typeof generateRequest>;

export const usageSchema = z.object({
  prompt_tokens: z.number().int(),
  completion_tokens: z.number().int(),
  total_tokens: z.number().int(),
  prompt_tokens_details: z.object({ cached_tokens: z.number().int() }).optional(),
});
export type Usage = z.infer<typeof usageSchema>;

const likelihood = z.object({
  id: z.number().int(),
  text: z.string(),
  bytes: z.array(z.number().int()),
  logprob: z.number().nullable(),
});
const tokenLogprob = likelihood.extend({
  top: z.array(likelihood),
  /** Where it begins in its choice's text, where that is not what the tokens say. */
  offset: z.number().int().min(0).optional(),
});
/** A token, how likely it was, and the likeliest at its place. */
export type TokenLogprob = z.infer<typeof tokenLogprob>;

/** Which of the choices. */
const index = z.number().int().min(0);

const generationEvents = [
  z.object({
    type: z.literal('start'),
    prompt_tokens: z.number().int(),
    timings: timings.pick({ queue: true, tokenize: true }).optional(),
  }),
  /** How tokens of a choice came about, before the event that has them. */
  z.object({ type: z.literal('trace'), index, tokens: z.array(tokenTrace) }),
  z.object({
    type: z.literal('delta'),
    index,
    text: z.string(),
    tokens: z.array(z.number().int()),
    logprobs: z.array(tokenLogprob).optional(),
  }),
  z.object({
    type: z.literal('tool_call'),
    index,
    call: z.number().int().min(0),
    id: z.string().optional(),
    name: z.string().optional(),
    arguments: z.string(),
    tokens: z.array(z.number().int()),
    logprobs: z.array(tokenLogprob).optional(),
  }),
  z.object({
    type: z.literal('end'),
    index,
    finish_reason: z.enum(['stop', 'length', 'tool_calls', 'content_filter']),
    /** What a filter has done until then. */
    filtered: z.array(filtered).optional(),
  }),
  z.object({
    type: z.literal('done'),
    usage: usageSchema,
    timings: timings.optional(),
    trace: requestTrace.optional(),
    filtered: z.array(filtered).optional(),
    /** Of the answer's texts, the hardest. */
    reading_level: z.number().optional(),
  }),
] as const;
const generationEvent = z.discriminatedUnion('type', generationEvents);
/**
 * What happens in a generation, in order: one start, of each choice deltas, tool calls and one end, one done. The first
 * event of a call has its id and name, and all together are its arguments.
 */
export type GenerationEvent = z.infer<typeof generationEvent>;

/** Sent now and then while there is nothing else: its place in the line, 1 being next, or 0 while it runs. */
export const waitingEvent = z.object({ type: z.literal('waiting'), place: index });

const serviceEvent = z.discriminatedUnion('type', [
  ...generationEvents,
  waitingEvent,
  z.object({
    type: z.literal('error'),
    status: z.number().int(),
    error: errorSchema,
  }),
]);
/** An event on the wire: of a generation, a sign of life, or its failure. */
export type ServiceEvent = z.infer<typeof serviceEvent>;

/** An event as its line. */
export const writeEvent = (event: object): string => `${JSON.stringify(event)}\n`;

/** A line of a text generation that is longer than this is no event of ours. In characters. */
const LINE_LIMIT = 2_000_000;

/** The events of a text generation; see `readEventsOf`. */
export const readEvents = (body: ReadableStream<Uint8Array>): AsyncGenerator<ServiceEvent> =>
  readEventsOf(serviceEvent, body, LINE_LIMIT);

/**
 * Reads events from a body, however it is cut into chunks. Leaving the generator cancels the body.
 * @param lineLimit characters of the longest line that can be an event
 * @throws Error if a line is no event, or the stream ends before `done` or `error`
 */
export async function* readEventsOf<T extends { type: string }>(
  schema: z.ZodType<T>,
  body: ReadableStream<Uint8Array>,
  lineLimit: number,
): AsyncGenerator<T> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  let ended = false;
  try {
    while (!ended) {
      const { done, value } = await reader.read();
      rest += decoder.decode(value, { stream: !done });
      const lines = rest.split('\n');
      rest = lines.pop()!;
      if (rest.length > lineLimit) throw new Error('The stream of events has a line without an end.');
      for (const line of lines) {
        if (line === '') continue;
        const event = parseEvent(schema, line);
        ended = event.type === 'done' || event.type === 'error';
        yield event;
        if (ended) return;
      }
      if (done) throw new Error('The stream of events ended before its last event.');
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parseEvent<T>(schema: z.ZodType<T>, line: string): T {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    throw new Error('The stream of events has a line that is no JSON.');
  }
  const { success, data } = schema.safeParse(json);
  if (!success) throw new Error('The stream of events has a line that is no event.');
  return data;
}
