/** `POST /text`, for people: plain text in, and how it goes on streamed out as plain text. */
import type { GenerationEvent } from '../api/events.ts';
import { parsePlainOptions } from '../api/plain.ts';
import { readText } from './body.ts';
import { watchCaller } from './caller.ts';
import { type EdgeContext, serviceAccess } from './context.ts';
import { toFailure } from './failure.ts';
import { answer } from './placement.ts';
import { markAnswer, streamed } from './responses.ts';

/** The body is the text to go on from, whatever type it says it has: `curl -d` calls any text a form. */
export async function text(c: EdgeContext): Promise<Response> {
  const options = parsePlainOptions(new URL(c.req.url).searchParams);
  const input = { text: await readText(c.req.raw, 'the text to go on from') };
  const caller = watchCaller(c);
  try {
    const { placement, fallback, events } = await answer(
      { ...options, input },
      serviceAccess(c),
      caller.signal,
    );
    markAnswer(c, placement, fallback);
    return streamed(c, caller, plainText(events, c.get('requestId')), 'text/plain; charset=utf-8');
  } catch (thrown) {
    caller.finished();
    throw thrown;
  }
}

/** The text alone, ending in a line break. One that breaks off says so. */
async function* plainText(
  events: AsyncGenerator<GenerationEvent>,
  requestId: string,
): AsyncGenerator<string> {
  try {
    for await (const event of events) if (event.type === 'delta') yield event.text;
  } catch (thrown) {
    const { message } = toFailure(thrown, requestId);
    yield `\n\n[${message}]\n`;
    return;
  }
  yield '\n';
}
