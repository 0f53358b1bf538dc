/**
 * Answers that take their time, as responses.
 *
 * workerd notices that a caller has left when it writes to them, and not before. So whatever takes long is written
 * to: a stream by its nature, and an answer in one piece by white space before it, which JSON allows.
 */

import type { Caller } from './caller.ts';
import type { EdgeContext } from './context.ts';
import { toFailure } from './failure.ts';
import { unlessLate } from './late.ts';
import type { Answer, Placement } from './placement.ts';

/** For proxies, which would keep small pieces back to compress, buffer or cache them. */
const streamHeaders = {
  'content-encoding': 'identity',
  'cache-control': 'no-cache, no-store, no-transform',
  'x-accel-buffering': 'no',
};

/** What an answer is streamed in: text, or bytes of UTF-8. */
export type Part = string | Uint8Array;

/** Milliseconds for which an answer in one piece may still become an error status, and between its white space. */
const holding = 250;

/**
 * Streams text as it comes. `parts` says in its own way what goes wrong: a body that is broken off looks whole to who
 * reads it, since workerd ends it as if it were.
 * @param contentType of the text, which is sent as UTF-8
 */
export function streamed(
  c: EdgeContext,
  caller: Caller,
  parts: AsyncGenerator<Part>,
  contentType: string,
): Response {
  // A pipe that is written to, and not a stream that is pulled from: when the caller leaves, the runtime drops what
  // pulls without a word, and a write fails.
  const { readable, writable } = new IdentityTransformStream();
  c.executionCtx.waitUntil(pump(parts, writable, caller, readerPatience(c)));
  return c.body(readable, 200, { ...streamHeaders, 'content-type': contentType });
}

/** Milliseconds for which a reader may take nothing: 20 seconds unless the environment says another number. */
const readerPatience = (c: EdgeContext): number => 1000 * (Number(c.env.WICK_READER_PATIENCE) || 20);

/** Writes no faster than is read. A reader who takes nothing for longer than `patience` counts as one who has left. */
async function pump(
  parts: AsyncGenerator<Part>,
  writable: WritableStream<Uint8Array>,
  caller: Caller,
  patience: number,
): Promise<void> {
  const encoder = new TextEncoder();
  const writer = writable.getWriter();
  const write = async (part: Part): Promise<true> => {
    await writer.write(typeof part === 'string' ? encoder.encode(part) : part);
    return true;
  };
  try {
    for (let part = await parts.next(); !part.done; part = await parts.next()) {
      if (!(await unlessLate(write(part.value), patience))) throw new Error('The reader stays away.');
    }
    await writer.close();
  } catch (error) {
    // First this: what makes the parts ends by it, and may be in the middle of one.
    caller.left();
    await parts.return(undefined).catch(() => {});
    await writer.abort(error).catch(() => {});
  } finally {
    caller.finished();
  }
}

/** JSON in one piece; see `whenWhole`. */
export const inOnePiece = (
  c: EdgeContext,
  caller: Caller,
  value: Promise<unknown>,
  headers?: () => Record<string, string>,
): Promise<Response> =>
  whenWhole(
    c,
    caller,
    value.then((whole) => [`${JSON.stringify(whole)}\n`]),
    headers,
  );

/**
 * JSON that is sent when all of it is known. A failure within the first moments is thrown, for a status of its own;
 * after them the status is sent, and the error object stands in the answer's place.
 * @param json its text in pieces, one where it is small
 * @param headers what can be said in headers once all is known, where it is early enough for that
 */
export async function whenWhole(
  c: EdgeContext,
  caller: Caller,
  json: Promise<Iterable<string>>,
  headers: () => Record<string, string> = () => ({}),
): Promise<Response> {
  json.catch(() => {});
  const early = await within(json, caller);
  if (Array.isArray(early)) {
    caller.finished();
    return c.body(early.join(''), 200, { 'content-type': 'application/json', ...headers() });
  }
  async function* parts(): AsyncGenerator<string> {
    try {
      for (;;) {
        const whole = early ?? (await within(json, caller));
        if (whole !== undefined) return yield* whole;
        yield ' ';
      }
    } catch (thrown) {
      yield JSON.stringify(toFailure(thrown, c.get('requestId')).body);
    }
  }
  return streamed(c, caller, parts(), 'application/json');
}

/** The promise's value, or undefined if it takes longer than a moment. */
async function within<T>(promise: Promise<T>, caller: Caller): Promise<T | undefined> {
  try {
    return await unlessLate(promise, holding);
  } catch (error) {
    caller.finished();
    throw error;
  }
}

/** Says in the headers who answers. */
export function markAnswer(c: EdgeContext, placement: Placement, fallback: boolean): void {
  c.header('x-wick-placement', placement);
  if (fallback) c.header('x-wick-fallback', 'true');
}

/** A header that tells durations in milliseconds by their names (https://www.w3.org/TR/server-timing/). */
export const serverTiming = (durations: Record<string, number>): { 'server-timing': string } => ({
  'server-timing': Object.entries(durations)
    .map(([name, duration]) => `${name};dur=${Math.round(duration * 1000) / 1000}`)
    .join(', '),
});

/** Says in the headers who answers, and as far as that is known how long it takes. */
function markBegun(c: EdgeContext, { placement, fallback, timings }: Answer): void {
  markAnswer(c, placement, fallback);
  const first = { first_token: Date.now() - c.get('came') };
  c.header(
    'server-timing',
    serverTiming({ ...(timings && { queue: timings.queue }), ...first })['server-timing'],
  );
}

/**
 * Milliseconds for which an answer may wait to begin, in line or for its prompt to be read, before its status is sent:
 * until then a failure has a status of its own. Proxies wait for a minute as a rule, and impatient ones for ten seconds.
 */
const beginning = { stream: 5_000, whole: 30_000 };

/** Waits for an answer to begin, though not for ever; says in the headers what is known of it by then. */
export async function beginSoon(
  c: EdgeContext,
  asked: Promise<Answer>,
  form: keyof typeof beginning,
): Promise<void> {
  asked.catch(() => {});
  const begun = await unlessLate(asked, beginning[form]);
  if (begun) markBegun(c, begun);
}

/** One server-sent event that carries JSON. */
export const serverSentEvent = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
