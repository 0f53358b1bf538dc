/**
 * Answers that take their time, as responses.
 *
 * workerd notices that a caller has left when it writes to them, and not before. So whatever takes long is written
 * to: a stream by its nature, and an answer in one piece by white space before it, which JSON allows.
 */

import type { Caller } from './caller.ts';
import type { EdgeContext } from './context.ts';
import { toFailure } from './failure.ts';
import type { Placement } from './placement.ts';

/** `identity`, because a proxy that compresses would keep small pieces back. */
const streamHeaders = { 'content-encoding': 'identity', 'cache-control': 'no-store' };

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
  c.executionCtx.waitUntil(pump(parts, writable, caller));
  return c.body(readable, 200, { ...streamHeaders, 'content-type': contentType });
}

async function pump(
  parts: AsyncGenerator<Part>,
  writable: WritableStream<Uint8Array>,
  caller: Caller,
): Promise<void> {
  const encoder = new TextEncoder();
  const writer = writable.getWriter();
  try {
    for await (const part of parts)
      await writer.write(typeof part === 'string' ? encoder.encode(part) : part);
    await writer.close();
  } catch (error) {
    caller.left();
    await writer.abort(error).catch(() => {});
  } finally {
    caller.finished();
  }
}

/** JSON in one piece; see `whenWhole`. */
export const inOnePiece = (c: EdgeContext, caller: Caller, value: Promise<unknown>): Promise<Response> =>
  whenWhole(
    c,
    caller,
    value.then((whole) => [`${JSON.stringify(whole)}\n`]),
  );

/**
 * JSON that is sent when all of it is known. A failure within the first moments is thrown, for a status of its own;
 * after them the status is sent, and the error object stands in the answer's place.
 * @param json its text in pieces, one where it is small
 */
export async function whenWhole(
  c: EdgeContext,
  caller: Caller,
  json: Promise<Iterable<string>>,
): Promise<Response> {
  json.catch(() => {});
  const early = await within(json, caller);
  if (Array.isArray(early)) {
    caller.finished();
    return c.body(early.join(''), 200, { 'content-type': 'application/json' });
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
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, holding, undefined);
  });
  try {
    return await Promise.race([promise, late]);
  } catch (error) {
    caller.finished();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Says in the headers who answers. */
export function markAnswer(c: EdgeContext, placement: Placement, fallback: boolean): void {
  c.header('x-wick-placement', placement);
  if (fallback) c.header('x-wick-fallback', 'true');
}

/** One server-sent event that carries JSON. */
export const serverSentEvent = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
