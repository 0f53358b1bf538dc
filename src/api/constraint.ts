/**
 * What an answer has to be, on the wire: OpenAI's `response_format`, `regex` and `grammar`, and vLLM's
 * `structured_outputs`; and as the edge hands it on to the service.
 */
import { z } from 'zod';
import { BadRequest } from './errors.ts';
import { wellFormed } from './text.ts';

/** A JSON Schema at most: values, values in one another, and characters of names and texts. */
const VALUES = 20_000;
const DEPTH = 64;
const CHARACTERS = 200_000;
/** Characters of a pattern and of a grammar. */
const PATTERN = 10_000;
const GRAMMAR = 100_000;

/** Whether a value is small enough for all that goes through it, some of it one level in the other. */
function isBounded(root: unknown): boolean {
  const waiting = [{ value: root, depth: 0 }];
  let [values, characters] = [0, 0];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { value, depth } = next;
    if (typeof value === 'string') characters += value.length;
    if (++values > VALUES || characters > CHARACTERS || depth > DEPTH) return false;
    if (typeof value !== 'object' || value === null) continue;
    for (const [name, inner] of Object.entries(value)) {
      characters += name.length;
      waiting.push({ value: inner, depth: depth + 1 });
    }
  }
  return true;
}

const bounded = z
  .unknown()
  .refine(
    isBounded,
    `expected at most ${VALUES} values, ${DEPTH} in one another, with ${CHARACTERS} characters`,
  );
/** A JSON Schema, small enough for what is done with it. */
export const jsonSchema = bounded.refine(
  (value) =>
    typeof value === 'boolean' || (typeof value === 'object' && value !== null && !Array.isArray(value)),
  'expected a JSON Schema: an object, true or false',
);
const pattern = wellFormed(PATTERN).min(1, 'expected at least one character');
const grammar = wellFormed(GRAMMAR).min(1, 'expected at least one character');

interface Tag {
  type: 'tag';
  begin: string;
  content: StructuralFormat;
  end: string;
}
/** Free text and constrained stretches: what calls of tools are written as. */
export type StructuralFormat =
  | { type: 'const_string'; value: string }
  | { type: 'any_text'; excludes?: string[] }
  | { type: 'json_schema'; json_schema: unknown }
  | { type: 'regex'; pattern: string }
  | { type: 'grammar'; grammar: string }
  | { type: 'sequence' | 'or'; elements: StructuralFormat[] }
  | Tag
  | {
      type: 'triggered_tags';
      triggers: string[];
      tags: Tag[];
      at_least_one?: boolean;
      stop_after_first?: boolean;
    }
  | {
      type: 'tags_with_separator';
      tags: Tag[];
      separator: string;
      at_least_one?: boolean;
      stop_after_first?: boolean;
    };

const mark = wellFormed(256).min(1, 'expected at least one character');
const tags = z.lazy(() => z.array(tag).min(1).max(256));
const repeated = { at_least_one: z.boolean().optional(), stop_after_first: z.boolean().optional() };
const tag: z.ZodType<Tag> = z.lazy(() =>
  z.strictObject({ type: z.literal('tag'), begin: mark, content: structuralFormat, end: mark }),
);
const structuralFormat: z.ZodType<StructuralFormat> = z.lazy(() =>
  z.union([
    z.strictObject({ type: z.literal('const_string'), value: wellFormed(GRAMMAR) }),
    z.strictObject({ type: z.literal('any_text'), excludes: z.array(mark).max(64).optional() }),
    z.strictObject({ type: z.literal('json_schema'), json_schema: jsonSchema }),
    z.strictObject({ type: z.literal('regex'), pattern }),
    z.strictObject({ type: z.literal('grammar'), grammar }),
    z.strictObject({ type: z.enum(['sequence', 'or']), elements: z.array(structuralFormat).min(1).max(256) }),
    tag,
    z.strictObject({
      type: z.literal('triggered_tags'),
      triggers: z.array(mark).min(1).max(64),
      tags,
      ...repeated,
    }),
    z.strictObject({
      type: z.literal('tags_with_separator'),
      tags,
      separator: wellFormed(256),
      ...repeated,
    }),
  ]),
);

/** Where it stood in the request, for errors. */
const at = z.string().max(200).optional();
export const constraintSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('json_object'), at }),
  z.strictObject({ type: z.literal('json_schema'), schema: jsonSchema, at }),
  z.strictObject({ type: z.literal('regex'), pattern, at }),
  z.strictObject({ type: z.literal('grammar'), grammar, at }),
  z.strictObject({ type: z.literal('structural_tag'), format: bounded.pipe(structuralFormat), at }),
]);
/** A constraint as edge and service hand it on. */
export type Constraint = z.infer<typeof constraintSchema>;

const responseFormat = z.discriminatedUnion(
  'type',
  [
    z.strictObject({ type: z.literal('text') }),
    z.strictObject({ type: z.literal('json_object') }),
    z.strictObject({
      type: z.literal('json_schema'),
      json_schema: z.strictObject({
        name: z.string().regex(/^[\w-]{1,64}$/, 'expected 1 to 64 letters, digits, _ or -'),
        description: z.string().max(100_000).optional(),
        schema: jsonSchema.optional(),
        /** The schema is enforced in either case. */
        strict: z.boolean().nullable().optional(),
      }),
    }),
  ],
  'expected an object whose type is "text", "json_object" or "json_schema"',
);

const structuredOutputs = z.strictObject({
  json: z
    .union([jsonSchema, z.string().max(1_000_000)])
    .nullable()
    .optional(),
  regex: pattern.nullable().optional(),
  choice: z.array(wellFormed(10_000).min(1)).min(1).max(1_000).nullable().optional(),
  grammar: grammar.nullable().optional(),
});

/** The fields of a request that say what its answer has to be. */
export const constraintFields = {
  response_format: responseFormat.optional(),
  regex: pattern.optional(),
  grammar: grammar.optional(),
  structured_outputs: structuredOutputs.optional(),
};
const constraintRequest = z.object(constraintFields);

/**
 * The constraint that a request's fields ask for, if any.
 * @throws BadRequest naming two that are given at once
 */
export function constraintOf(request: z.infer<typeof constraintRequest>): Constraint | undefined {
  const { response_format, regex, grammar: rules, structured_outputs: outputs } = request;
  const asked: (Constraint | false | undefined)[] = [
    response_format && formatConstraint(response_format),
    regex !== undefined && { type: 'regex', pattern: regex, at: 'regex' },
    rules !== undefined && { type: 'grammar', grammar: rules, at: 'grammar' },
    outputs?.json != null && {
      type: 'json_schema',
      schema: typeof outputs.json === 'string' ? parsedSchema(outputs.json) : outputs.json,
      at: 'structured_outputs.json',
    },
    outputs?.regex != null && { type: 'regex', pattern: outputs.regex, at: 'structured_outputs.regex' },
    outputs?.choice != null && {
      type: 'grammar',
      grammar: `root ::= ${outputs.choice.map((text) => JSON.stringify(text)).join(' | ')}`,
      at: 'structured_outputs.choice',
    },
    outputs?.grammar != null && {
      type: 'grammar',
      grammar: outputs.grammar,
      at: 'structured_outputs.grammar',
    },
  ];
  const given = asked.filter((each) => typeof each === 'object');
  if (given.length > 1) {
    const [first, second] = given.map((each) => each.at!.replace(/\.json_schema.*/, ''));
    throw new BadRequest(`\`${first}\` and \`${second}\` cannot both be met: an answer has one constraint.`, {
      param: second,
    });
  }
  return given[0];
}

function formatConstraint(format: z.infer<typeof responseFormat>): Constraint | undefined {
  if (format.type === 'text') return undefined;
  if (format.type === 'json_object') return { type: 'json_object', at: 'response_format' };
  const { schema } = format.json_schema;
  return schema === undefined
    ? { type: 'json_object', at: 'response_format' }
    : { type: 'json_schema', schema, at: 'response_format.json_schema.schema' };
}

function parsedSchema(text: string): unknown {
  const at = 'structured_outputs.json';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BadRequest(`\`${at}\` is not right: it is no JSON.`, { param: at });
  }
  const result = jsonSchema.safeParse(value);
  if (!result.success)
    throw new BadRequest(`\`${at}\` is not right: ${result.error.issues[0].message}.`, { param: at });
  return value;
}
