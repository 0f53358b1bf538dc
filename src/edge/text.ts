/** `/text`, for people: a text in, and how it goes on as plain text, in one JSON object or as events. */
import { BadRequest } from '../api/errors.ts';
import { parsePlainOptions } from '../api/plain.ts';
import { type TokenTrace, wickPart } from '../api/trace.ts';
import { namedType, otherForms } from './accept.ts';
import { type Asked, askedInAddress, readAsked } from './asked.ts';
import { watchCaller } from './caller.ts';
import type { EdgeContext } from './context.ts';
import { toFailure } from './failure.ts';
import { filteredAnswer } from './filtering/filtered-answer.ts';
import { filterAsked } from './filtering/filtered-body.ts';
import { openFilter } from './filtering/request-filter.ts';
import { withPings } from './pings.ts';
import type { Answer } from './placement.ts';
import { beginSoon, inOnePiece, serverSentEvent, streamed } from './responses.ts';

const what = 'the text to go on from';

export const postText = async (c: EdgeContext): Promise<Response> =>
  writeOn(c, () => readAsked(c.req.raw, what));

export const getText = async (c: EdgeContext): Promise<Response> =>
  writeOn(c, () => askedInAddress(c.req.raw, what));

async function writeOn(c: EdgeContext, read: () => Asked | Promise<Asked>): Promise<Response> {
  const filter = openFilter(c);
  const { prompt, texts, values } = await filterAsked(c, filter, await read());
  const options = parsePlainOptions(texts, values);
  c.header('vary', 'accept', { append: true });
  c.header('cache-control', 'no-store');
  if (c.req.method === 'HEAD') return c.body(null);
  const form = namedType(c.req.header('accept'), ['text/plain', ...otherForms]);
  if (options.trace && !otherForms.some((other) => other === form)) {
    const forms = '`accept: application/json` or `accept: text/event-stream`';
    throw new BadRequest(`\`trace\` needs ${forms}: plain text has no room for it.`, { param: 'trace' });
  }
  const caller = watchCaller(c);
  try {
    const wish = { ...options, input: { text: prompt }, whole: form === 'application/json' };
    const asked = filteredAnswer(c, filter, wish, caller.signal);
    // Plain text has no signs of life: nothing is won by an early status.
    await beginSoon(c, asked, form === 'text/event-stream' ? 'stream' : 'whole');
    if (form === 'application/json') return await inOnePiece(c, caller, whole(asked));
    const id = c.get('requestId');
    return form === 'text/event-stream'
      ? streamed(c, caller, withPings(sentEvents(asked, id)), 'text/event-stream; charset=utf-8')
      : streamed(c, caller, plainText(asked, id), 'text/plain; charset=utf-8');
  } catch (thrown) {
    caller.finished();
    throw thrown;
  }
}

const refusal = 'The answer ends here: what follows is refused by the policy of this site.';

/** The text alone, ending in a line break. One that breaks off says so. */
async function* plainText(asked: Promise<Answer>, requestId: string): AsyncGenerator<string> {
  try {
    for await (const event of (await asked).events) {
      if (event.type === 'delta') yield event.text;
      if (event.type === 'end' && event.finish_reason === 'content_filter') yield `\n\n[${refusal}]`;
    }
  } catch (thrown) {
    const { message } = toFailure(thrown, requestId);
    yield `\n\n[${message}]\n`;
    return;
  }
  yield '\n';
}

/** One JSON object. */
async function whole(asked: Promise<Answer>): Promise<object> {
  const { model, events } = await asked;
  let text = '';
  const tokens: TokenTrace[] = [];
  let end: object | undefined;
  for await (const event of events) {
    if (event.type === 'delta') text += event.text;
    if (event.type === 'trace') tokens.push(...event.tokens);
    if (event.type === 'end') end = { finish_reason: event.finish_reason };
    if (event.type === 'done') {
      const { usage, trace, filtered } = event;
      return { model, text, ...end, usage, ...wickPart({ trace, filtered, ...(trace && { tokens }) }) };
    }
  }
  throw new Error('The generation ended without its last event.');
}

/** Events: of the text as it comes, and at the end `done`, or `error` where it broke off. */
async function* sentEvents(asked: Promise<Answer>, requestId: string): AsyncGenerator<string> {
  let end: object | undefined;
  let tokens: TokenTrace[] | undefined;
  try {
    for await (const event of (await asked).events) {
      if (event.type === 'trace') tokens = [...(tokens ?? []), ...event.tokens];
      if (event.type === 'delta') {
        yield serverSentEvent({ text: event.text, ...wickPart({ tokens }) });
        tokens = undefined;
      }
      if (event.type === 'end') end = { finish_reason: event.finish_reason };
      if (event.type === 'done') {
        const { usage, trace, filtered } = event;
        yield `event: done\n${serverSentEvent({ ...end, usage, ...wickPart({ trace, tokens, filtered }) })}`;
      }
    }
  } catch (thrown) {
    yield `event: error\n${serverSentEvent(toFailure(thrown, requestId).body)}`;
  }
}
