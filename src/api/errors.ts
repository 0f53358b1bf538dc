/** OpenAI's error object, in which every refusal is told. */
import { z } from 'zod';

export const errorSchema = z.object({
  message: z.string(),
  type: z.string(),
  param: z.string().nullable(),
  code: z.string().nullable(),
});
export interface ErrorObject {
  error: z.infer<typeof errorSchema>;
}

/** The body of a refusal. The type follows from the status unless it is given. */
export function errorObject(
  status: number,
  message: string,
  { type, param = null, code = null }: { type?: string; param?: string | null; code?: string | null } = {},
): ErrorObject {
  const usual =
    status === 401 ? 'authentication_error' : status >= 500 ? 'server_error' : 'invalid_request_error';
  return { error: { message, type: type ?? usual, param, code } };
}

/** A request that cannot be served as it is: status 400, with the parameter it is about. */
export class BadRequest extends Error {
  readonly status = 400;
  readonly param: string | null;
  readonly code: string | null;

  constructor(
    message: string,
    { param = null, code = null }: { param?: string | null; code?: string | null } = {},
  ) {
    super(message);
    this.name = 'InvalidInputError';
    this.param = param;
    this.code = code;
  }
}

/**
 * Checks a value against a schema.
 * @throws BadRequest with a sentence about the first thing that is wrong
 */
export function parse<T>(
  schema: z.ZodType<T>,
  value: unknown,
  refused: Readonly<Record<string, string>> = {},
): T {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BadRequest(`The body has to be a JSON object, not ${kindOf(value)}.`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = deepest(result.error.issues[0]);
  if (issue.code === 'unrecognized_keys') {
    const name = issue.keys[0];
    const why = refused[name] ?? 'is not a parameter that wick knows';
    throw new BadRequest(`\`${[...issue.path, name].join('.')}\` ${why}.`, {
      param: name,
      code: 'unsupported_parameter',
    });
  }
  const param = issue.path.join('.') || null;
  const message = issue.message.replace(/^Invalid input: /, '');
  throw new BadRequest(`\`${param ?? 'The body'}\` is not right: ${message}.`, {
    param,
    code: 'invalid_value',
  });
}

type Issue = z.core.$ZodIssue;

/** In a union, the issue of the alternative that went furthest says most. */
function deepest(issue: Issue): Issue {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return issue;
  const inner = issue.errors.flatMap((issues) => issues.slice(0, 1)).map(deepest);
  const best = inner.reduce((a, b) => (b.path.length > a.path.length ? b : a));
  if (best.path.length === 0) {
    const wanted = inner.map(({ message }) => message.replace(/^Invalid input: /, ''));
    return { ...issue, message: [...new Set(wanted)].join(', or ') } as Issue;
  }
  return { ...best, path: [...issue.path, ...best.path] } as Issue;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}
