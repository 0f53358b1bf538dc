/** Answers that have begun: what fails before that is told by the status. */
import type { Caller } from '../caller.ts';
import type { EdgeContext } from '../context.ts';
import { toFailure } from '../failure.ts';
import { unlessLate } from '../late.ts';
import { type Part, streamed } from '../responses.ts';

/** Milliseconds for which an answer may still become an error status, and between white space after that. */
const holding = 10_000;
const breath = 500;

/** A generator whose first value, or failure, has come. */
export async function begun<T>(events: AsyncGenerator<T>): Promise<AsyncGenerator<T>> {
  return going(events, await events.next());
}

async function* going<T>(events: AsyncGenerator<T>, first: IteratorResult<T>): AsyncGenerator<T> {
  if (first.done) return;
  try {
    yield first.value;
    yield* events;
  } finally {
    await events.return(undefined);
  }
}

/**
 * JSON in parts. A failure before the first part is thrown, for a status of its own; when the first part lets wait,
 * the status is sent, and the error object stands in the answer's place.
 */
export async function jsonInParts(
  c: EdgeContext,
  caller: Caller,
  parts: AsyncGenerator<Part>,
): Promise<Response> {
  const first = parts.next();
  first.catch(() => {});
  await unlessLate(first, holding);
  async function* all(): AsyncGenerator<Part> {
    try {
      for (;;) {
        const result = await unlessLate(first, breath);
        if (result) return yield* going(parts, result);
        yield ' ';
      }
    } catch (thrown) {
      yield `${JSON.stringify(toFailure(thrown, c.get('requestId')).body)}\n`;
    }
  }
  return streamed(c, caller, all(), 'application/json');
}
