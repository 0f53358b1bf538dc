/** What goes wrong at the edge, as the error object and the status that the caller gets. */
import type { ErrorObject } from '../api/openai.ts';

/** A refusal whose sentence the caller may read. Everything else that is thrown stays unread, and is a 500. */
export class Failure extends Error {
  readonly status: number;
  readonly error: ErrorObject['error'];
  /** For the `retry-after` header, where trying again makes sense. */
  readonly retryAfter: number | undefined;

  constructor(
    status: number,
    message: string,
    details: { type?: string; param?: string | null; code?: string | null; retryAfter?: number } = {},
  ) {
    super(message);
    this.status = status;
    this.retryAfter = details.retryAfter;
    const type = details.type ?? (status >= 500 ? 'server_error' : 'invalid_request_error');
    this.error = { message, type, param: details.param ?? null, code: details.code ?? null };
  }
}

/** Any thrown value as a Failure. What a caller may not see is logged with the request's id instead. */
export function toFailure(thrown: unknown, requestId: string): Failure {
  if (thrown instanceof Failure) return thrown;
  const { status, message, param, code } = thrown as Partial<Failure & { param: string; code: string }>;
  if (thrown instanceof Error && thrown.name === 'InvalidInputError' && status === 400) {
    return new Failure(400, message!, { param, code });
  }
  console.error(`request ${requestId} failed:`, thrown);
  return new Failure(500, `Something went wrong at the edge. The request's id is ${requestId}.`, {
    code: 'internal_error',
  });
}
