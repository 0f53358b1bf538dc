/** `POST /v1/responses` */
import type { ChatMessages } from '../../api/messages.ts';
import {
  failedEvents,
  newResponse,
  numbered,
  type ResponseEvent,
  type ResponseObject,
  responseEvents,
} from '../../api/responses/answer.ts';
import { type Item, messagesOf } from '../../api/responses/items.ts';
import { parseResponsesRequest, type ResponsesRequest } from '../../api/responses/request.ts';
import type { TextTask } from '../../api/tasks.ts';
import { readJson } from '../body.ts';
import { watchCaller } from '../caller.ts';
import { type EdgeContext, serviceAccess } from '../context.ts';
import { toFailure } from '../failure.ts';
import { withPings } from '../pings.ts';
import { answer } from '../placement.ts';
import { beginSoon, inOnePiece, streamed } from '../responses.ts';
import { beginTask, resultsOf } from '../tasks.ts';
import { checkSize, keepResponse, readResponse } from './store.ts';
import { truncated } from './truncation.ts';

export async function createResponse(c: EdgeContext): Promise<Response> {
  const request = parseResponsesRequest(await readJson(c.req.raw));
  const { sent, items, parameters, tools, model, placement, fallback, trace } = request;
  const history = await historyOf(c, sent.previous_response_id);
  if (request.store) checkSize([...history, ...items]);
  const caller = watchCaller(c);
  try {
    let messages = messagesOf(sent.instructions, [...history, ...items]);
    if (sent.truncation === 'auto') messages = await fitted(c, request, messages, caller.signal);
    const wish = { model, placement, fallback, parameters, trace, input: { messages, ...tools } };
    const asked = answer(wish, serviceAccess(c), caller.signal);
    await beginSoon(c, asked, request.stream ? 'stream' : 'whole');
    const event = numbered();
    const begun = async () => {
      const { model, placement, fallback, events } = await asked;
      const response = newResponse(request, model, fallback ? { placement, fallback } : undefined);
      const finish = async () => {
        if (request.store) await keepResponse(c, { response, input: items, history });
      };
      return { response, events: responseEvents(response, events, event, finish) };
    };
    if (!request.stream) return await inOnePiece(c, caller, begun().then(whole));
    const sentEvents = withPings(untilFailure(request, begun(), event, c.get('requestId')));
    return streamed(c, caller, sentEvents, 'text/event-stream; charset=utf-8');
  } catch (thrown) {
    caller.finished();
    throw thrown;
  }
}

/** All that was said up to a response, its own output included. */
async function historyOf(c: EdgeContext, id: string | undefined): Promise<Item[]> {
  if (id === undefined) return [];
  const { history, input, response } = await readResponse(c, id, 'previous_response_id');
  return [...history, ...input, ...response.output];
}

/** The conversation without the turns for which the model has no room. */
function fitted(
  c: EdgeContext,
  { parameters, tools, ...place }: ResponsesRequest,
  messages: ChatMessages,
  signal: AbortSignal,
): Promise<ChatMessages> {
  return truncated(messages, parameters.max_tokens, async (some) => {
    const task: TextTask = {
      task: 'tokenize',
      input: { messages: some, ...tools },
      special: false,
      add_generation_prompt: true,
    };
    const { events } = await beginTask(c, { ...place, task }, signal);
    const [{ tokens, max_model_len }] = await resultsOf(events, 'tokens');
    return { tokens: tokens.length, context: max_model_len };
  });
}

/** A response, and the events by which it is filled. */
interface Begun {
  response: ResponseObject;
  events: AsyncGenerator<ResponseEvent>;
}

async function whole({ response, events }: Begun): Promise<ResponseObject> {
  for await (const _ of events);
  return response;
}

/** Events as server-sent ones. A stream that fails ends with the failure; there is no `[DONE]` on this route. */
async function* untilFailure(
  request: ResponsesRequest,
  begun: Promise<Begun>,
  event: ReturnType<typeof numbered>,
  requestId: string,
): AsyncGenerator<string> {
  const written = (each: ResponseEvent) => `event: ${each.type}\ndata: ${JSON.stringify(each)}\n\n`;
  try {
    for await (const each of (await begun).events) yield written(each);
  } catch (thrown) {
    const { error } = toFailure(thrown, requestId).body;
    const response = await begun.then(
      (one) => one.response,
      () => newResponse(request, request.model),
    );
    for (const each of failedEvents(response, error, event)) yield written(each);
  }
}
