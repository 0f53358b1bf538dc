/** `POST /v1/completions` and `POST /v1/chat/completions`. */
import {
  answerChunks,
  answerHead,
  type Form,
  parseChatCompletionRequest,
  parseCompletionRequest,
  type TextRequest,
  wholeAnswer,
} from '../api/openai.ts';
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
    const { model, placement, fallback, events } = await answer(request, serviceAccess(c), caller.signal);
    markAnswer(c, placement, fallback);
    const head = answerHead(form, model, fallback ? { placement, fallback } : undefined);
    if (!request.stream) return await inOnePiece(c, caller, wholeAnswer(form, head, events));
    const chunks = answerChunks(form, head, events, request.includeUsage);
    return streamed(c, caller, sentEvents(chunks, c.get('requestId')), 'text/event-stream; charset=utf-8');
  } catch (thrown) {
    caller.finished();
    throw thrown;
  }
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
