/** What goes wrong at the edge, as the error object and the status that the caller gets. */
import { Failure } from '../api/errors.ts';

export { Failure } from '../api/errors.ts';

/** Any thrown value as a Failure that tells the request's id. What a caller may not see is logged with it. */
export function toFailure(thrown: unknown, requestId: string): Failure {
  const failure = failureOf(thrown, requestId);
  failure.body.request_id = requestId;
  return failure;
}

function failureOf(thrown: unknown, requestId: string): Failure {
  if (thrown instanceof Failure) return thrown;
  if (thrown instanceof DOMException && thrown.name === 'AbortError')
    return new Failure('caller_left', 'The caller has left.');
  // Generation's errors about the input say so by their name.
  if (thrown instanceof Error && thrown.name === 'InvalidInputError') {
    const { message, param, code } = thrown as Error & { param?: string | null; code?: string | null };
    return new Failure({ status: 400, code: code ?? 'invalid_value' }, message, { param });
  }
  console.error(`request ${requestId} failed:`, thrown);
  return new Failure('internal_error', `Something went wrong at the edge. The request's id is ${requestId}.`);
}
