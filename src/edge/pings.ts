/** Signs of life in a stream that is silent, so that proxies keep it. */
import { unlessLate } from './late.ts';

/** Milliseconds of silence before a sign of life. */
export const SILENCE = 3_000;

/** A comment (https://html.spec.whatwg.org/multipage/server-sent-events.html), which readers of events pass over. */
const ping = ': ping\n\n';

/**
 * Whole server-sent events, with a comment wherever there is none for some seconds. Leaving it leaves `events`, too, and
 * waits for the one that is being made: what makes it has to have been told before.
 */
export async function* withPings(events: AsyncGenerator<string>): AsyncGenerator<string> {
  let next = events.next();
  try {
    for (;;) {
      const result = await unlessLate(next, SILENCE);
      if (result === undefined) yield ping;
      else if (result.done) return;
      else {
        yield result.value;
        next = events.next();
      }
    }
  } finally {
    next.catch(() => {});
    await events.return(undefined).catch(() => {});
  }
}
