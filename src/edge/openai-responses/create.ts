/** `POST /v1/responses` */
import type { ChatMessages } from '../../api/messages.ts';
import {
  failedEvents,
  newResponse,
  numbered,
  type OutputItem,
  type ResponseEvent,
  type ResponseObject,
  responseEvents,
} from '../../api/responses/answer.ts';
import { type Item, messagesOf } from '../../api/responses/items.ts';
import { parseResponsesRequest, type ResponsesRequest } from '../../api/responses/request.ts';
import type { TextTask } from '../../api/tasks.ts';
import { instructionsOf } from '../../filtering/form/wishes.ts';
import { readJson } from '../body.ts';
import { watchCaller } from '../caller.ts';
import type { EdgeContext } from '../context.ts';
import { toFailure } from '../failure.ts';
import { filteredAnswer } from '../filtering/filtered-answer.ts';
import { filterBody, filterValue } from '../filtering/filtered-body.ts';
import { openFilter } from '../filtering/request-filter.ts';
import { sitePolicy } from '../filtering/site-policy.ts';
import { instructed } from '../form/ask.ts';
import { withPings } from '../pings.ts';
import { beginSoon, inOnePiece, streamed } from '../responses.ts';
import { beginTask, resultsOf } from '../tasks.ts';
import { checkSize, keepResponse, readResponse } from './store.ts';
import { truncated } from './truncation.ts';

export async function createResponse(c: EdgeContext): Promise<Response> {
  const filter = openFilter(c);
  const body = await readJson(c.req.raw);
  // What stands for values in it from before goes on standing for them.
  const history = (await filterValue(filter, await historyOf(c, body), ['previous_response_id'])) as Item[];
  filter.placeholders.reserve(JSON.stringify(history));
  const request = parseResponsesRequest(await filterBody(c, filter, body));
  const { sent, items, parameters, tools, model, placement, fallback, restore, trace, form } = request;
  if (request.store) checkSize([...history, ...items]);
  const caller = watchCaller(c);
  try {
    let messages = messagesOf(sent.instructions, [...history, ...items]);
    if (sent.truncation === 'auto') messages = await fitted(c, request, messages, caller.signal);
    const kept: string[] = [];
    const wish = {
      model,
      placement,
      fallback,
      parameters,
      trace,
      restore,
      kept,
      form,
      whole: !request.stream,
      input: { messages, ...tools },
    };
    const asked = filteredAnswer(c, filter, wish, caller.signal);
    await beginSoon(c, asked, request.stream ? 'stream' : 'whole');
    const event = numbered();
    const begun = async () => {
      const { model, placement, fallback, events } = await asked;
      const response = newResponse(request, model, fallback ? { placement, fallback } : undefined);
      const finish = async () => {
        if (!request.store) return;
        const unrestored = restore ? { ...response, output: withTexts(response.output, kept) } : response;
        await keepResponse(c, { response: unrestored, input: items, history });
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

/** Items of an answer with their texts as they are kept, in the same order. */
const withTexts = (output: readonly OutputItem[], texts: readonly string[]): OutputItem[] =>
  output.map((item, i) =>
    item.type === 'message'
      ? { ...item, content: item.content.map((part) => ({ ...part, text: texts[i] ?? '' })) }
      : { ...item, arguments: texts[i] ?? '' },
  );

/** All that was said up to the response that a request goes on from, its own output included. */
async function historyOf(c: EdgeContext, body: unknown): Promise<Item[]> {
  const { previous_response_id: id } = (body ?? {}) as { previous_response_id?: unknown };
  if (typeof id !== 'string') return [];
  const { history, input, response } = await readResponse(c, id, 'previous_response_id');
  return [...history, ...input, ...response.output];
}

/** The conversation without the turns for which the model has no room. */
function fitted(
  c: EdgeContext,
  { parameters, tools, form, ...place }: ResponsesRequest,
  messages: ChatMessages,
  signal: AbortSignal,
): Promise<ChatMessages> {
  const instructions = instructionsOf({ ...sitePolicy(c.env).policy.answers, ...form });
  return truncated(messages, parameters.max_tokens, async (some) => {
    const task: TextTask = {
      task: 'tokenize',
      input: { messages: instructed(some, instructions), ...tools },
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
