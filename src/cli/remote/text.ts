/** A text model behind OpenAI's API: its answers as the events of a generation. */
import { z } from 'zod';
import { readServerSentEvents } from '../../api/server-sent-events.ts';
import type { TextInput, Writer, WritingEvent } from '../writer.ts';
import { askServer, failureOf, jsonOf, reasonOf, type Server } from './server.ts';

/** Characters of an event: a token with its likeliest others is far smaller. */
const EVENT_LIMIT = 4_000_000;

const usage = z.object({
  prompt_tokens: z.number(),
  completion_tokens: z.number().default(0),
  total_tokens: z.number(),
  prompt_tokens_details: z.object({ cached_tokens: z.number().default(0) }).nullish(),
});
const likelihood = z.object({ token: z.string(), logprob: z.number() });
const content = z.object({ content: z.string().nullish(), refusal: z.string().nullish() });
/** A chunk of a stream, or a whole answer: a choice has `text` in a completion, `delta` or `message` in a chat. */
const answer = z.object({
  choices: z
    .array(
      z.object({
        index: z.number().int().min(0).max(1023).default(0),
        text: z.string().nullish(),
        delta: content.nullish(),
        message: content.nullish(),
        finish_reason: z.string().nullish(),
        logprobs: z
          .object({
            content: z.array(likelihood.extend({ top_logprobs: z.array(likelihood).default([]) })).nullish(),
            tokens: z.array(z.string()).nullish(),
            token_logprobs: z.array(z.number().nullable()).nullish(),
            top_logprobs: z.array(z.record(z.string(), z.number()).nullable()).nullish(),
          })
          .nullish(),
      }),
    )
    .default([]),
  usage: usage.nullish(),
});
type Choice = z.infer<typeof answer>['choices'][number];

/** The model of that name on a server. */
export function serverWriter(server: Server, id: string): Writer {
  return {
    id,
    async *write(input, parameters, signal) {
      const [path, body] = requestOf(id, input, parameters);
      const response = await askServer(server, path, body, signal);
      const isStream = response.headers.get('content-type')?.includes('text/event-stream');
      const parts = isStream ? streamed(server, response, signal) : whole(server, response);
      const ended = new Set<number>();
      let spent: z.infer<typeof usage> | undefined;
      for await (const part of parts) {
        const { success, data } = answer.safeParse(part);
        if (!success) throw new Error(`${server.base.host} answers in a form that is not OpenAI's.`);
        spent = data.usage ?? spent;
        for (const choice of data.choices) {
          yield* eventsOf(choice);
          if (choice.finish_reason) ended.add(choice.index);
        }
      }
      if (ended.size === 0)
        throw new Error(`${server.base.host} ends its answer without having finished it.`);
      yield { type: 'done', ...(spent && { usage: spent }) };
    },
  };
}

/** Path and body of a request. What the wire of a generation calls `top_logprobs` has another name in each form. */
function requestOf(
  model: string,
  input: TextInput,
  { top_logprobs, ...parameters }: Record<string, unknown>,
): [path: string, body: object] {
  // The best of several is known when all are written.
  const stream = !parameters.best_of && { stream: true, stream_options: { include_usage: true } };
  const common = { model, ...parameters, ...stream };
  const likely = top_logprobs !== undefined && top_logprobs !== null;
  return 'messages' in input
    ? ['chat/completions', { ...common, ...input, ...(likely && { logprobs: true, top_logprobs }) }]
    : ['completions', { ...common, prompt: input.text, ...(likely && { logprobs: top_logprobs }) }];
}

async function* streamed(server: Server, response: Response, signal?: AbortSignal): AsyncGenerator<object> {
  try {
    for await (const { data } of readServerSentEvents(response.body!, EVENT_LIMIT)) {
      if (data.trim() === '[DONE]') return;
      const part = parsed(data);
      if (part === undefined) throw new Error(`${server.base.host} streams what is not JSON.`);
      if ('error' in part && part.error) throw failureOf(server, part);
      yield part;
    }
  } catch (thrown) {
    signal?.throwIfAborted();
    if (!(thrown instanceof TypeError)) throw thrown;
    throw new Error(`${server.base.host} broke off in the middle of its answer: ${reasonOf(thrown)}.`, {
      cause: thrown,
    });
  }
  throw new Error(`${server.base.host} broke off in the middle of its answer.`);
}

async function* whole(server: Server, response: Response): AsyncGenerator<object> {
  yield await jsonOf(server, response);
}

function parsed(data: string): object | undefined {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function* eventsOf({
  index,
  text,
  delta,
  message,
  logprobs,
  finish_reason,
}: Choice): Generator<WritingEvent> {
  const part = delta ?? message;
  const said = text ?? `${part?.content ?? ''}${part?.refusal ?? ''}`;
  const tokens = logprobs ? tokensOf(logprobs) : undefined;
  if (said || tokens?.length) yield { type: 'delta', index, text: said, ...(tokens && { logprobs: tokens }) };
  if (finish_reason) yield { type: 'end', index, finish_reason };
}

/** Both of OpenAI's forms as one: a token, how likely it was, and the likeliest at its place. */
function tokensOf({
  content,
  tokens,
  token_logprobs,
  top_logprobs,
}: NonNullable<Choice['logprobs']>): object[] {
  if (content) {
    return content.map(({ token: text, logprob, top_logprobs }) => ({
      ...{ text, logprob },
      top: top_logprobs.map(({ token, logprob }) => ({ text: token, logprob })),
    }));
  }
  return (tokens ?? []).map((text, i) => ({
    ...{ text, logprob: token_logprobs?.[i] ?? null },
    top: Object.entries(top_logprobs?.[i] ?? {}).map(([text, logprob]) => ({ text, logprob })),
  }));
}
