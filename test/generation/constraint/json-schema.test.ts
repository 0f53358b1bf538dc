import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { keywords } from '../../../src/generation/constraint/schema-keywords.ts';
import { InvalidInputError } from '../../../src/generation/parameters.ts';
import { schemas } from './schemas.ts';
import { sentencePiece, shipped, write } from './write.ts';

const ajv = new Ajv({ strict: false, allErrors: false, unicodeRegExp: true });
(addFormats as unknown as (of: Ajv) => void)(ajv);

/** Why a text is not an answer to a schema, or undefined. */
function fault(schema: object, text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `${(error as Error).message}: ${text}`;
  }
  const validate = ajv.compile(schema);
  return validate(value) ? undefined : `${ajv.errorsText(validate.errors)}: ${text}`;
}

const named = schemas.map((schema) => [JSON.stringify(schema).slice(0, 100), schema] as const);

describe.each([
  ['byte-level', shipped, 8],
  ['SentencePiece', sentencePiece, 3],
])('with tokens that are %s', (_, vocabulary, seeds) => {
  test.each(named)('all that is written is valid: %s', (_, schema) => {
    for (let seed = 1; seed <= seeds; seed++) {
      const limit = seed % 4 === 0 ? 300 : 110;
      const { text, complete } = write({ type: 'json_schema', schema }, seed, limit, vocabulary);
      expect(complete, text).toBe(true);
      expect(fault(schema, text)).toBeUndefined();
    }
  });
});

const leaf = fc.oneof(
  fc
    .record({ minLength: fc.nat(3), maxLength: fc.integer({ min: 3, max: 9 }) })
    .map((each) => ({ type: 'string', ...each })),
  fc
    .tuple(fc.constantFrom('integer', 'number'), fc.integer({ min: -1e6, max: 1e6 }), fc.nat(1e5))
    .map(([type, minimum, more]) => ({ type, minimum, maximum: minimum + more })),
  fc
    .tuple(fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.double({ min: 1e-3, max: 1e3, noNaN: true }))
    .map(([exclusiveMinimum, more]) => ({
      type: 'number',
      exclusiveMinimum,
      exclusiveMaximum: exclusiveMinimum + more,
    })),
  fc
    .uniqueArray(fc.jsonValue({ maxDepth: 1 }), {
      minLength: 1,
      maxLength: 4,
      selector: (each) => JSON.stringify(each),
    })
    // -0 is written as 0, and is another value to no validator.
    .map((values) => ({ enum: JSON.parse(JSON.stringify(values)) as unknown[] })),
  fc.constantFrom({ type: 'boolean' }, { type: 'null' }, { type: ['null', 'string'], maxLength: 4 }, {}),
);
const { schema: anySchema } = fc.letrec<{ schema: object }>((tie) => ({
  schema: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc
      .tuple(
        fc.uniqueArray(
          fc.string({ unit: 'binary', maxLength: 4 }).filter((name) => name !== '__proto__'),
          { maxLength: 4 },
        ),
        fc.array(tie('schema'), { minLength: 4, maxLength: 4 }),
        fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
        fc.option(fc.oneof(fc.boolean(), tie('schema')), { nil: undefined }),
      )
      .map(([names, inner, needed, additionalProperties]) => ({
        type: 'object',
        properties: Object.fromEntries(names.map((name, i) => [name, inner[i]])),
        required: names.filter((_, i) => needed[i]),
        ...(additionalProperties !== undefined && { additionalProperties }),
      })),
    fc
      .tuple(tie('schema'), fc.nat(2), fc.nat(3))
      .map(([items, minItems, more]) => ({ type: 'array', items, minItems, maxItems: minItems + more })),
    fc.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
  ),
}));

test('answers to any schema are valid', () => {
  fc.assert(
    fc.property(anySchema, fc.nat(), (schema, seed) => {
      const { text, complete } = write({ type: 'json_schema', schema }, seed, 150);
      if (complete) expect(fault(schema, text)).toBeUndefined();
    }),
    { numRuns: 120 },
  );
});

const refusals: readonly [schema: unknown, param: string, sentence: RegExp][] = [
  [{ properties: { a: { not: {} } } }, '.properties.a.not', /does not enforce/],
  [{ anyOf: [{}, { if: {} }] }, '.anyOf[1].if', /does not enforce/],
  [{ type: 'array', uniqueItems: true }, '.uniqueItems', /does not enforce/],
  [{ patternProperties: { a: {} } }, '.patternProperties', /does not enforce/],
  [{ type: 'array', contains: {} }, '.contains', /does not enforce/],
  [{ frobnicate: 1 }, '.frobnicate', /does not enforce/],
  [{ __proto__x: 1 }, '.__proto__x', /does not enforce/],
  [{ toString: 1 }, '.toString', /does not enforce/],
  [{ type: 'string', format: 'iri' }, '.format', /not a format/],
  [{ type: 'string', pattern: '(?=a)b' }, '.pattern', /cannot be enforced/],
  [{ type: 'string', pattern: '(a)\\1' }, '.pattern', /back reference/],
  [{ type: 'string', pattern: 'a\\b' }, '.pattern', /word boundary/],
  [{ type: 'string', pattern: '(' }, '.pattern', /not a regular expression/],
  [{ type: 'string', pattern: 'a+', maxLength: 5 }, '.maxLength', /pattern/],
  [{ type: 'string', pattern: 'a', format: 'date' }, '.format', /together with/],
  [{ type: 'number', multipleOf: 0.1 }, '.multipleOf', /whole numbers/],
  [{ type: 'integer', multipleOf: 3 }, '.multipleOf', /between a minimum and a maximum/],
  [{ type: 'object', minProperties: 4 }, '.minProperties', /up to 1/],
  [{ oneOf: [{ type: 'string' }, { type: 'string', maxLength: 3 }] }, '.oneOf', /may both be met/],
  [{ $ref: 'https://example.com/schema.json' }, '.$ref', /not in this schema/],
  [{ $ref: 'other.json#/a' }, '.$ref', /not in this schema/],
  [{ $ref: '#/$defs/missing' }, '.$ref', /not there/],
  [{ $ref: '#/$defs/__proto__', $defs: {} }, '.$ref', /not there/],
  [{ $ref: '#' }, '', /never be met/],
  [{ $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } }, '', /never be met/],
  [{ $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a', minLength: 1 } } }, '.$defs.a', /refers to itself/],
  [{ type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] }, '', /never be met/],
  [{ enum: [1], properties: { a: { $ref: '#' } } }, '', /refers to itself/],
  [false, '', /never be met/],
  [{ type: 'integer', minimum: 5, maximum: 4 }, '', /never be met/],
  [{ allOf: [{ type: 'string' }, { type: 'null' }] }, '.type', /exclude one another/],
  ['{}', '', /object, true or false/],
  [null, '', /object, true or false/],
  [[], '', /object, true or false/],
  [{ type: 'text' }, '.type', /one of object, array/],
  [{ type: [] }, '.type', /list of them/],
  [{ enum: [] }, '.enum', /at least one value/],
  [{ properties: [] }, '.properties', /object of schemas/],
  [{ properties: { a: 3 } }, '.properties.a', /has to be a schema/],
  [{ items: null }, '.items', /has to be a schema/],
  [{ required: 'a' }, '.required', /list of texts/],
  [{ minLength: -1 }, '.minLength', /whole number from 0/],
  [{ minimum: '3' }, '.minimum', /a number/],
  [{ maxLength: 1e12 }, '', /too large/],
  [{ type: 'array', minItems: 2_000_000_000 }, '', /too large/],
  [{ enum: ['x'.repeat(300_000)] }, '', /too large/],
  [{ enum: Array.from({ length: 30_000 }, (_, i) => i) }, '', /too large/],
  [
    { allOf: Array.from({ length: 12 }, () => ({ anyOf: [{ minLength: 1 }, { maxLength: 3 }] })) },
    '.anyOf',
    /alternatives/,
  ],
];

test.each(refusals.map((each) => [JSON.stringify(each[0]).slice(0, 80), ...each] as const))(
  'is refused, and where: %s',
  (_, schema, param, sentence) => {
    const refused = () => write({ type: 'json_schema', schema, at: 'schema' }, 1);
    expect(refused).toThrow(InvalidInputError);
    expect(refused).toThrow(
      expect.objectContaining({ param: `schema${param}`, message: expect.stringMatching(sentence) }),
    );
  },
);

test('a schema of any depth is refused before anything goes through it', () => {
  const schema = JSON.parse(`${'{"items":'.repeat(5000)}{}${'}'.repeat(5000)}`) as object;
  expect(() => write({ type: 'json_schema', schema, at: 'schema' }, 1)).toThrow(/too deep/);
});

test('every keyword that is enforced is met by a schema of the tests', () => {
  const written = JSON.stringify(schemas);
  const unseen = Object.keys(keywords).filter(
    (name) => keywords[name] !== 'annotation' && !written.includes(`"${name}":`),
  );
  expect(unseen).toEqual(['prefixItems']);
  const schema = {
    type: 'array',
    prefixItems: [{ type: 'integer' }, { type: 'null' }],
    items: false,
    minItems: 2,
  };
  for (let seed = 0; seed < 5; seed++)
    expect(write({ type: 'json_schema', schema }, seed).text).toMatch(/^\[-?\d+, ?null\]$/);
});

test('where white space may stand, it is one space at most', () => {
  for (let seed = 0; seed < 20; seed++) {
    const { text } = write({ type: 'json_object' }, seed, 100);
    expect(text.replace(/"(?:[^"\\]|\\.)*"/g, '""')).not.toMatch(/\s\s|[^,:]\s/);
  }
});

test('at any limit that leaves room for it, the answer comes to its close', () => {
  const schema = {
    type: 'object',
    properties: {
      name: { type: 'string' },
      list: { type: 'array', items: { type: 'string' }, minItems: 2 },
      done: { type: 'boolean' },
    },
    required: ['name', 'list', 'done'],
  };
  const complete = Array.from({ length: 60 }, (_, limit) =>
    [1, 2, 3, 4, 5].map((seed) => {
      const written = write({ type: 'json_schema', schema }, seed, limit + 1);
      if (written.complete) expect(fault(schema, written.text)).toBeUndefined();
      expect(written.tokens).toBeLessThanOrEqual(limit + 1);
      return written.complete;
    }),
  );
  // From the first limit on at which there is a way, all come to their close, whatever was drawn before.
  const least = complete.findIndex((each) => each.some(Boolean));
  expect(least).toBeGreaterThan(5);
  expect(least).toBeLessThan(35);
  expect(complete.slice(least).flat().every(Boolean)).toBe(true);
});
