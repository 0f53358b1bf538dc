/** What comes in, filtered before anything else reads it: all texts in a body, a form or an address. */
import { pathName } from '../../api/errors.ts';
import { wickPart } from '../../api/trace.ts';
import type { Role } from '../../filtering/safety.ts';
import type { Asked } from '../asked.ts';
import { readJson } from '../body.ts';
import type { EdgeContext } from '../context.ts';
import { Failure } from '../failure.ts';
import { openFilter, type RequestFilter } from './request-filter.ts';

/** How deep values may stand in one another. */
const DEPTH = 128;

/** Fields whose numbers are told to a model, or held to; any other number is a setting. */
const withNumbers = new Set(['tools', 'functions', 'response_format', 'structured_outputs', 'text']);

type Path = readonly (string | number)[];

/**
 * The JSON body of a request, filtered.
 * @throws Failure as `readJson` does; 400 if something in it is refused; 500 if the site's policy is broken
 */
export async function readFiltered(c: EdgeContext): Promise<{ filter: RequestFilter; body: unknown }> {
  const filter = openFilter(c);
  return { filter, body: await filterBody(c, filter, await readJson(c.req.raw)) };
}

/** A body that has been read. */
export async function filterBody(c: EdgeContext, filter: RequestFilter, body: unknown): Promise<unknown> {
  if (!filter.acts.input) return body;
  const filtered = await filterValue(filter, body, []);
  tellInput(c, filter);
  return filtered;
}

/** What people ask for by hand. */
export async function filterAsked(c: EdgeContext, filter: RequestFilter, asked: Asked): Promise<Asked> {
  if (!filter.acts.input) return asked;
  const filtered = {
    prompt: await filter.checkInput(asked.prompt, 'prompt'),
    texts: await filterOptions(filter, asked.texts),
    values: (await filterValue(filter, asked.values, [])) as Asked['values'],
  };
  tellInput(c, filter);
  return filtered;
}

/** Options of an address or a form, with their names. */
async function filterOptions(filter: RequestFilter, options: URLSearchParams): Promise<URLSearchParams> {
  const filtered = new URLSearchParams();
  for (const [name, text] of options) {
    const param = await filter.checkInput(name, 'The name of an option');
    filtered.append(param, await filter.checkInput(text, param));
  }
  return filtered;
}

/** Tells in a header what became of what came in; doors whose answers have no room for it tell it in no other way. */
export function tellInput(c: EdgeContext, filter: RequestFilter): void {
  const done = filter.told().map(({ type, action, count }) => `${type};action=${action};count=${count}`);
  if (done.length > 0) c.header('x-wick-filtered', done.join(', '));
}

/** The same as `wick.filtered` of an answer in JSON. */
export function filteredPart(filter: RequestFilter): ReturnType<typeof wickPart> {
  const filtered = filter.told();
  return wickPart(filtered.length > 0 ? { filtered } : {});
}

/** Whose words are not the user's, by the role of a message, the type of an item, and the field of a body. */
const roleOfMessage: Readonly<Record<string, Role>> = {
  ...{ system: 'system', developer: 'system', user: 'user', assistant: 'assistant' },
  ...{ tool: 'tool', function: 'tool' },
};
const roleOfItem: Readonly<Record<string, Role>> = {
  function_call: 'assistant',
  function_call_output: 'tool',
};
const roleOfField: Readonly<Record<string, Role>> = {
  instructions: 'system',
  tools: 'system',
  functions: 'system',
};

/** Fields whose texts are names of ours or of the caller's, and are said to nobody. */
const settings = new Set([
  ...['model', 'include', 'service_tier', 'modalities', 'truncation', 'encoding_format', 'placement'],
  ...['previous_response_id', 'prompt_cache_key', 'prompt_cache_retention', 'reasoning_effort', 'verbosity'],
  ...['size', 'quality', 'background', 'output_format', 'scheduler', 'input_fidelity'],
]);

function roleIn({ role, type }: { role?: unknown; type?: unknown }): Role | undefined {
  const of = (roles: Readonly<Record<string, Role>>, name: unknown) =>
    typeof name === 'string' && Object.hasOwn(roles, name) ? roles[name] : undefined;
  return of(roleOfMessage, role) ?? of(roleOfItem, type);
}

/** A value with all its texts and names filtered. */
export async function filterValue(
  filter: RequestFilter,
  value: unknown,
  path: Path,
  role: Role | 'nobody' = roleOfField[String(path[0])] ?? (settings.has(String(path[0])) ? 'nobody' : 'user'),
): Promise<unknown> {
  if (typeof value === 'string') return filter.checkInput(value, pathName(path) || 'The body', role);
  if (typeof value === 'number') {
    if (!withNumbers.has(String(path[0]))) return value;
    const text = await filter.checkInput(String(value), pathName(path), role);
    return text === String(value) ? value : text;
  }
  if (typeof value !== 'object' || value === null) return value;
  if (path.length > DEPTH) {
    throw new Failure('invalid_value', `The body has values in more than ${DEPTH} others.`, {
      param: pathName(path.slice(0, 2)),
    });
  }
  if (Array.isArray(value)) {
    // Of a million tokens none is a text.
    if (value.every((each) => typeof each === 'number') && !withNumbers.has(String(path[0]))) return value;
    const filtered: unknown[] = [];
    for (const [i, each] of value.entries())
      filtered.push(await filterValue(filter, each, [...path, i], path.length > 0 ? role : undefined));
    return filtered;
  }
  const whose = roleIn(value) ?? (path.length > 0 ? role : undefined);
  const filtered = new Map<string, unknown>();
  for (const [name, each] of Object.entries(value)) {
    const told = await filter.checkInput(name, pathName(path) || 'The body', role);
    // Two names that are masked to the same are still two.
    let own = told;
    for (let other = 2; filtered.has(own); other++) own = `${told}_${other}`;
    filtered.set(own, await filterValue(filter, each, [...path, own], whose));
  }
  return Object.fromEntries(filtered);
}
