/** `POST /v1/completions` and `POST /v1/chat/completions`. */
import type { GenerationEvent, Usage } from '../api/events.ts';
import { parseChatCompletionRequest, parseCompletionRequest, type TextRequest } from '../api/openai.ts';
import { answerChunks, answerHead, type Form, wholeAnswer } from '../api/openai-answers.ts';
import { asFunctionCall } from '../api/tool-call-answers.ts';
import type { Filtered, RequestTrace, Timings } from '../api/trace.ts';
import { watchCaller } from './caller.ts';
import type { EdgeContext } from './context.ts';
import { toFailure } from './failure.ts';
import { filteredAnswer } from './filtering/filtered-answer.ts';
import { readFiltered } from './filtering/filtered-body.ts';
import { withPings } from './pings.ts';
import { beginSoon, inOnePiece, serverSentEvent, serverTiming, streamed } from './responses.ts';

export const completions = async (c: EdgeContext): Promise<Response> =>
  complete(c, 'completion', parseCompletionRequest);

export const chatCompletions = async (c: EdgeContext): Promise<Response> =>
  complete(c, 'chat', parseChatCompletionRequest);

/** All durations: in line as it was measured there, the others from the request's coming to here. */
const wholeTiming = (c: EdgeContext, timings?: Timings): Record<string, string> =>
  timings
    ? serverTiming({
        queue: timings.queue,
        first_token: timings.first_token,
        total: Date.now() - c.get('came'),
      })
    : {};

async function complete(
  c: EdgeContext,
  form: Form,
  parse: (body: unknown) => TextRequest,
): Promise<Response> {
  const { filter, body } = await readFiltered(c);
  const request = parse(body);
  const caller = watchCaller(c);
  try {
    const { inputs, ...wish } = request;
    const ask = (place: number) =>
      filteredAnswer(c, filter, { ...wish, input: inputs[place], whole: !request.stream }, caller.signal);
    const first = ask(0);
    await beginSoon(c, first, request.stream ? 'stream' : 'whole');
    const began = async () => {
      const { model, placement, fallback, events } = await first;
      const wick = fallback ? { placement, fallback } : undefined;
      const head = answerHead(form, model, { tier: request.tier, wick });
      return { head, events: joined(events, inputs.length, request.parameters.n ?? 1, ask) };
    };
    const inForm = request.functionCall ? asFunctionCall : (answer: object) => answer;
    if (!request.stream) {
      let timings: Timings | undefined;
      const whole = async () => {
        const { head, events } = await began();
        const answer = await wholeAnswer(form, head, events);
        timings = answer.wick?.timings;
        return inForm(answer);
      };
      return await inOnePiece(c, caller, whole(), () => wholeTiming(c, timings));
    }
    async function* chunks(): AsyncGenerator<object> {
      const { head, events } = await began();
      for await (const chunk of answerChunks(form, head, events, request.includeUsage)) yield inForm(chunk);
    }
    const events = withPings(sentEvents(chunks(), c.get('requestId')));
    return streamed(c, caller, events, 'text/event-stream; charset=utf-8');
  } catch (thrown) {
    caller.finished();
    throw thrown;
  }
}

/**
 * The events of several prompts' answers, one after the other, as those of one: prompt p's choices follow those of the
 * prompts before it.
 * @param first the first prompt's, which has begun
 */
async function* joined(
  first: AsyncGenerator<GenerationEvent>,
  prompts: number,
  choices: number,
  ask: (place: number) => Promise<{ events: AsyncGenerator<GenerationEvent> }>,
): AsyncGenerator<GenerationEvent> {
  let usage: Usage | undefined;
  /** Of the first, but for the time in all. */
  let timings: Timings | undefined;
  let trace: RequestTrace | undefined;
  let filtered: Filtered[] | undefined;
  let reading_level: number | undefined;
  for (let place = 0; place < prompts; place++) {
    const events = place === 0 ? first : (await ask(place)).events;
    for await (const event of events) {
      if (event.type === 'start') {
        if (place === 0) yield event;
      } else if (event.type === 'done') {
        usage = usage ? addUsage(usage, event.usage) : event.usage;
        trace ??= event.trace;
        filtered = event.filtered;
        reading_level ??= event.reading_level;
        timings =
          timings && event.timings
            ? { ...timings, total: timings.total + event.timings.total }
            : event.timings;
      } else yield { ...event, index: place * choices + event.index };
    }
  }
  yield { type: 'done', usage: usage!, timings, trace, filtered, reading_level };
}

const addUsage = (a: Usage, b: Usage): Usage => ({
  prompt_tokens: a.prompt_tokens + b.prompt_tokens,
  completion_tokens: a.completion_tokens + b.completion_tokens,
  total_tokens: a.total_tokens + b.total_tokens,
  ...(a.prompt_tokens_details &&
    b.prompt_tokens_details && {
      prompt_tokens_details: {
        cached_tokens: a.prompt_tokens_details.cached_tokens + b.prompt_tokens_details.cached_tokens,
      },
    }),
});

/** Chunks as server-sent events. One that ends in a failure ends with its error object, and without `[DONE]`. */
async function* sentEvents(chunks: AsyncGenerator<object>, requestId: string): AsyncGenerator<string> {
  try {
    for await (const chunk of chunks) yield serverSentEvent(chunk);
  } catch (thrown) {
    yield serverSentEvent(toFailure(thrown, requestId).body);
    return;
  }
  yield 'data: [DONE]\n\n';
}
