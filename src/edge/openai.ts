/** `POST /v1/completions` and `POST /v1/chat/completions`. */
import type { GenerationEvent, Usage } from '../api/events.ts';
import { parseChatCompletionRequest, parseCompletionRequest, type TextRequest } from '../api/openai.ts';
import { answerChunks, answerHead, type Form, wholeAnswer } from '../api/openai-answers.ts';
import { asFunctionCall } from '../api/tool-call-answers.ts';
import { readJson } from './body.ts';
import { watchCaller } from './caller.ts';
import { type EdgeContext, serviceAccess } from './context.ts';
import { toFailure } from './failure.ts';
import { answer } from './placement.ts';
import { inOnePiece, markAnswer, serverSentEvent, streamed } from './responses.ts';

export const completions = async (c: EdgeContext): Promise<Response> =>
  complete(c, 'completion', parseCompletionRequest(await readJson(c.req.raw)));

export const chatCompletions = async (c: EdgeContext): Promise<Response> =>
  complete(c, 'chat', parseChatCompletionRequest(await readJson(c.req.raw)));

async function complete(c: EdgeContext, form: Form, request: TextRequest): Promise<Response> {
  const caller = watchCaller(c);
  try {
    const { inputs, ...wish } = request;
    const ask = (place: number) => answer({ ...wish, input: inputs[place] }, serviceAccess(c), caller.signal);
    const first = await ask(0);
    const { model, placement, fallback } = first;
    const events = joined(first.events, inputs.length, request.parameters.n ?? 1, ask);
    markAnswer(c, placement, fallback);
    const head = answerHead(form, model, fallback ? { placement, fallback } : undefined);
    const inForm = request.functionCall ? asFunctionCall : (answer: object) => answer;
    if (!request.stream) return await inOnePiece(c, caller, wholeAnswer(form, head, events).then(inForm));
    const chunks = inTheForm(answerChunks(form, head, events, request.includeUsage), inForm);
    return streamed(c, caller, sentEvents(chunks, c.get('requestId')), 'text/event-stream; charset=utf-8');
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
  const usage: Usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
  for (let place = 0; place < prompts; place++) {
    const events = place === 0 ? first : (await ask(place)).events;
    for await (const event of events) {
      if (event.type === 'start') {
        if (place === 0) yield event;
      } else if (event.type === 'done') {
        for (const name of Object.keys(usage) as (keyof Usage)[]) usage[name] += event.usage[name];
      } else yield { ...event, index: place * choices + event.index };
    }
  }
  yield { type: 'done', usage };
}

async function* inTheForm(
  chunks: AsyncGenerator<object>,
  form: (chunk: object) => object,
): AsyncGenerator<object> {
  for await (const chunk of chunks) yield form(chunk);
}

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
