/**
 * What the edge and the service say to each other about work with a text model that generates nothing: a task, and its
 * events as JSON lines. The last event is `done` or `error`; a stream without either was cut.
 */
import { z } from 'zod';
import { errorSchema } from './errors.ts';
import { readEventsOf, waitingEvent } from './events.ts';
import { chatMessages } from './messages.ts';
import { wellFormed, whole } from './parameters.ts';
import { toolParameters } from './tools.ts';

/** Characters of a text, and tokens of a list. */
const LIMIT = 1_000_000;
/** Inputs of one request for embeddings. */
export const EMBEDDING_INPUTS = 2048;

const text = z.strictObject({ text: wellFormed(LIMIT) });
const conversation = z.strictObject({ messages: chatMessages, ...toolParameters });
const tokenIds = z.array(whole(0, 10_000_000)).max(LIMIT, `expected at most ${LIMIT} tokens`);

export const textTask = z.discriminatedUnion('task', [
  z.strictObject({
    task: z.literal('tokenize'),
    input: z.union([text, conversation]),
    /** Whether the tokens that the model expects round a text are put there. */
    special: z.boolean(),
    add_generation_prompt: z.boolean(),
  }),
  z.strictObject({ task: z.literal('detokenize'), tokens: tokenIds }),
  z.strictObject({
    task: z.literal('apply_template'),
    input: conversation,
    add_generation_prompt: z.boolean(),
  }),
  z.strictObject({
    task: z.literal('embed'),
    inputs: z
      .array(z.union([text, z.strictObject({ tokens: tokenIds })]))
      .min(1)
      .max(EMBEDDING_INPUTS),
    /** The length of a vector that is wanted, where one is. */
    dimensions: whole(1, 1_000_000).optional(),
  }),
]);
/** Work with a text model that generates nothing. */
export type TextTask = z.infer<typeof textTask>;

export const taskRequest = z.strictObject({ model: z.string().min(1).max(200), task: textTask });
/** The body of the service's `POST /v1/tasks`. */
export type TaskRequest = z.infer<typeof taskRequest>;

const count = z.number().int().min(0);
const taskEvents = [
  /** The ids, and the vocabulary's own spelling of each. */
  z.object({
    type: z.literal('tokens'),
    tokens: z.array(count),
    token_strs: z.array(z.string()),
    max_model_len: count,
  }),
  z.object({ type: z.literal('text'), text: z.string() }),
  /** Of input `index`, in any order: float32 numbers, little end first, in base64. */
  z.object({ type: z.literal('embedding'), index: count, embedding: z.string() }),
  z.object({ type: z.literal('done'), prompt_tokens: count }),
] as const;
const taskEvent = z.discriminatedUnion('type', taskEvents);
/** What happens in a task: its results, and one done. */
export type TaskEvent = z.infer<typeof taskEvent>;

const taskServiceEvent = z.discriminatedUnion('type', [
  ...taskEvents,
  waitingEvent,
  z.object({ type: z.literal('error'), status: z.number().int(), error: errorSchema }),
]);

/** Characters of an event's line: a million tokens with their texts. */
const LINE_LIMIT = 40_000_000;

/** The events of a task; see `readEventsOf`. */
export const readTaskEvents = (body: ReadableStream<Uint8Array>) =>
  readEventsOf(taskServiceEvent, body, LINE_LIMIT);
