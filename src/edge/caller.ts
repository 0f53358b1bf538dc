/** Whoever waits for an answer, and may leave before it is whole. */
import type { EdgeContext } from './context.ts';

export interface Caller {
  /** Aborts when the caller has left. */
  signal: AbortSignal;
  /** Says that the caller has left, where the body of the answer notices first. */
  left(): void;
  /** Says that nothing is done for this caller any more. */
  finished(): void;
}

/**
 * Watches over the caller of a request until `finished`. The runtime tells of a caller's leaving only to a request
 * that holds on to its life by `waitUntil`; any other is dropped without a word, in the middle of what it does.
 */
export function watchCaller(c: EdgeContext): Caller {
  const leaving = new AbortController();
  const left = () => leaving.abort(new DOMException('The caller has left.', 'AbortError'));
  const signal = c.req.raw.signal;
  if (signal.aborted) left();
  signal.addEventListener('abort', left, { once: true });
  const { promise, resolve } = Promise.withResolvers<void>();
  c.executionCtx.waitUntil(promise);
  return { signal: leaving.signal, left, finished: resolve };
}
