/** What goes wrong at the edge, as the error object and the status that the caller gets. */
import { type ErrorObject, errorObject } from '../api/errors.ts';

/** A refusal whose sentence the caller may read. Everything else that is thrown stays unread, and is a 500. */
export class Failure extends Error {
  readonly status: number;
  readonly body: ErrorObject;
  /** Seconds for the `retry-after` header, where trying again makes sense. */
  readonly retryAfter: number | undefined;

  constructor(
    status: number,
    message: string,
    {
      retryAfter,
      ...details
    }: { type?: string; param?: string | null; code?: string | null; retryAfter?: number } = {},
  ) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
    this.body = errorObject(status, message, details);
  }
}

/** Any thrown value as a Failure. What a caller may not see is logged, with the request's id. */
export function toFailure(thrown: unknown, requestId: string): Failure {
  if (thrown instanceof Failure) return thrown;
  if (thrown instanceof DOMException && thrown.name === 'AbortError')
    return new Failure(499, 'The caller has left.');
  // Errors about the input say so by their name: they come from the API's schemas and from generation alike.
  if (thrown instanceof Error && thrown.name === 'InvalidInputError') {
    const { message, param, code } = thrown as Error & { param?: string | null; code?: string | null };
    return new Failure(400, message, { param, code });
  }
  console.error(`request ${requestId} failed:`, thrown);
  return new Failure(500, `Something went wrong at the edge. The request's id is ${requestId}.`, {
    code: 'internal_error',
  });
}
