/** Every way in which a request can fail: its code, and the status that it has wherever it happens. */

export const errorCodes = {
  // What is asked for is not right.
  invalid_value: 400,
  invalid_json: 400,
  invalid_encoding: 400,
  invalid_form: 400,
  empty_body: 400,
  unknown_parameter: 400,
  unsupported_parameter: 400,
  unsupported_value: 400,
  context_length_exceeded: 400,
  no_chat_template: 400,
  model_not_supported: 400,
  content_policy_violation: 400,
  content_filter: 400,
  // Who asks may not.
  invalid_api_key: 401,
  invalid_signature: 401,
  invalid_address: 403,
  // It is not there, or not in this way.
  not_found: 404,
  model_not_found: 404,
  job_not_found: 404,
  response_not_found: 404,
  method_not_allowed: 405,
  not_read: 408,
  expired: 410,
  body_too_large: 413,
  image_too_large: 413,
  unsupported_content_type: 415,
  rate_limit_exceeded: 429,
  caller_left: 499,
  // wick cannot, or not now.
  internal_error: 500,
  job_broke_off: 500,
  job_not_drawn: 500,
  policy_broken: 500,
  moderation_unavailable: 501,
  overloaded: 503,
  draining: 503,
  model_restarting: 503,
  model_not_loaded: 503,
  service_unavailable: 503,
  service_broke_off: 503,
  job_too_long: 504,
} as const satisfies Readonly<Record<string, number>>;

export type ErrorCode = keyof typeof errorCodes;

/** OpenAI's word for the kind of a failure, by which its clients choose what they throw. */
export function errorType(status: number): string {
  return types[status] ?? (status >= 500 ? 'server_error' : 'invalid_request_error');
}

const types: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  429: 'rate_limit_error',
};
