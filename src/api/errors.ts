/** OpenAI's error object, in which every refusal is told, on every door and between edge and service. */
import { z } from 'zod';
import { type ErrorCode, errorCodes, errorType } from './error-codes.ts';
import { nearestName } from './nearest-name.ts';

export const errorSchema = z.object({
  message: z.string(),
  type: z.string(),
  param: z.string().nullable(),
  code: z.string().nullable(),
});
export interface ErrorObject {
  error: z.infer<typeof errorSchema>;
  /** wick's own: the `x-request-id` of the request that failed. */
  request_id?: string;
}

/** A failure that another part has named: its status, and a code that need not be one of the table. */
export interface ForeignCode {
  status: number;
  code: string | null;
  type?: string;
}

export interface FailureDetails {
  /** The parameter that it is about, as in `messages[2].content`. */
  param?: string | null;
  /** Seconds for the `retry-after` header, where trying again makes sense. */
  retryAfter?: number;
}

/** A refusal whose sentence the caller may read. Everything else that is thrown stays unread, and is a 500. */
export class Failure extends Error {
  readonly status: number;
  readonly param: string | null;
  readonly code: string | null;
  readonly retryAfter: number | undefined;
  readonly body: ErrorObject;

  constructor(code: ErrorCode | ForeignCode, message: string, details: FailureDetails = {}) {
    super(message);
    const known = typeof code === 'string' ? { status: errorCodes[code], code } : code;
    const type = typeof code === 'string' ? undefined : code.type;
    this.status = known.status;
    this.code = known.code;
    this.param = details.param ?? null;
    this.retryAfter = details.retryAfter;
    this.body = {
      error: { message, type: type ?? errorType(this.status), param: this.param, code: this.code },
    };
  }

  /** The last event of a stream that ends in this failure, between service and edge. */
  get event(): { type: 'error'; status: number } & ErrorObject {
    return { type: 'error', status: this.status, ...this.body };
  }
}

/** A request that cannot be served as it is, with the parameter it is about. */
export class BadRequest extends Failure {
  constructor(
    message: string,
    { param = null, code = 'invalid_value' }: { param?: string | null; code?: ErrorCode } = {},
  ) {
    super(code, message, { param });
  }
}

/**
 * Checks a value against a schema.
 * @param refused parameters that are known and not served, each with the end of the sentence that says so
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
  if (issue.code === 'unrecognized_keys') throw unknownName(schema, issue.path, issue.keys[0], refused);
  const param = pathName(issue.path) || null;
  const message = issue.message.replace(/^Invalid input: /, '');
  throw new BadRequest(`\`${param ?? 'The body'}\` is not right: ${message}.`, { param });
}

function unknownName(
  schema: z.ZodType,
  path: readonly PropertyKey[],
  name: string,
  refused: Readonly<Record<string, string>>,
): BadRequest {
  const param = pathName([...path, name]).slice(0, 200);
  if (path.length === 0 && Object.hasOwn(refused, name))
    return new BadRequest(`\`${param}\` ${refused[name]}.`, { param, code: 'unsupported_parameter' });
  const nearest = nearestName(name, namesAt(schema, path));
  const hint = nearest ? ` Did you mean \`${pathName([...path, nearest])}\`?` : '';
  return new BadRequest(`\`${param}\` is not a parameter that wick knows.${hint}`, {
    param,
    code: 'unknown_parameter',
  });
}

/** Where something stands, as OpenAI writes it: `messages[2].content`. */
export const pathName = (path: readonly PropertyKey[]): string =>
  path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .replace(/^\./, '');

/** The names that a schema knows at a path. */
function namesAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  const { def } = schema._zod as unknown as { def: Definition };
  if (def.options) return [...new Set(def.options.flatMap((option) => namesAt(option, path)))];
  const inner = def.innerType ?? def.in;
  if (inner) return namesAt(inner, path);
  if (path.length === 0) return Object.keys(def.shape ?? {});
  const next = def.element ?? def.shape?.[String(path[0])];
  return next ? namesAt(next, path.slice(1)) : [];
}

/** What of a schema's definition leads on: of a union, a wrapper or a pipe, an array, an object. */
interface Definition {
  options?: z.core.$ZodType[];
  innerType?: z.core.$ZodType;
  in?: z.core.$ZodType;
  element?: z.core.$ZodType;
  shape?: Record<string, z.core.$ZodType>;
}

type Issue = z.core.$ZodIssue;

/** In a union, the issue of the alternative that went furthest says most. */
function deepest(issue: Issue): Issue {
  if (issue.code === 'invalid_key' && issue.issues.length > 0)
    return { ...issue, message: issue.issues[0].message };
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
