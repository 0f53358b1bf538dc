import { Ajv } from 'ajv';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileAutomaton } from '../../../src/generation/constraint/automaton.ts';
import { constraintExpression } from '../../../src/generation/constraint/compile-constraint.ts';
import type { Constraint } from '../../../src/generation/constraint/constraint.ts';
import { createTextMatcher } from '../../../src/generation/constraint/matcher.ts';
import type { ArgumentsSchema } from '../../../src/generation/tools/argument-form.ts';
import { toolCallFormatOf } from '../../../src/generation/tools/format.ts';
import { createToolCallReader } from '../../../src/generation/tools/reader.ts';
import { write } from '../constraint/write.ts';

/** A sign of a template that has each form. */
const forms = { 'qwen-xml': '<function= <parameter=', pythonic: '[f(a=1)] <|python_start|>' };
type Form = keyof typeof forms;

const heldTo = (form: Form, schema: ArgumentsSchema): Constraint => ({
  type: 'structural_tag',
  format: toolCallFormatOf(forms[form]).arguments!.hold(schema, 'parameters'),
});

/** Arguments read out of a call, where nothing but this text stands in it. */
function read(form: Form, schema: ArgumentsSchema, written: string): unknown {
  const format = toolCallFormatOf(forms[form]);
  const [begin, end] = format.call('f');
  const [open, close] = format.block ?? ['', ''];
  const reader = createToolCallReader(format, {
    schemas: new Map([['f', schema]]),
    enforced: false,
    parallel: true,
  });
  const parts = [...reader.push(open + begin + written + end + close), ...reader.end()];
  expect(parts, written).toHaveLength(1);
  return JSON.parse((parts[0] as { arguments: string }).arguments);
}

const schemas: ArgumentsSchema[] = [
  { properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1 } }, required: ['city'] },
  { properties: { a: { type: 'boolean' }, b: { type: ['string', 'null'] }, c: { type: 'null' } } },
  {
    properties: { unit: { enum: ['C', 'F'] }, mixed: { enum: [1, null, true, 'x'] }, fixed: { const: 'on' } },
  },
  {
    properties: {
      day: { type: 'string', format: 'date' },
      code: { type: 'string', pattern: '^[A-Z]{2}\\d$' },
    },
    required: ['day', 'code'],
  },
  { properties: { text: { type: 'string', minLength: 2, maxLength: 5 } }, required: ['text'] },
  {
    properties: {
      at: { type: 'object', properties: { on: { type: 'boolean' } }, required: ['on'] },
      all: { type: 'array', items: { $ref: '#/$defs/n' }, minItems: 1, maxItems: 3 },
    },
    required: ['at', 'all'],
    $defs: { n: { type: 'number', minimum: 0, maximum: 9 } },
  },
  { properties: {} },
];

describe.each(Object.keys(forms) as Form[])('arguments in the form of %s', (form) => {
  it.each(schemas.map((schema) => [JSON.stringify(schema), schema] as const))(
    'are valid whatever is drawn: %s',
    (_, schema) => {
      const valid = new Ajv({ formats: { date: true }, allowUnionTypes: true }).compile({
        type: 'object',
        additionalProperties: false,
        ...schema,
      });
      for (let seed = 1; seed <= 10; seed++) {
        const { text, complete } = write(heldTo(form, schema), seed);
        expect(complete).toBe(true);
        const given = read(form, schema, text);
        expect(valid(given), `${text}\n${JSON.stringify(given)}`).toBe(true);
      }
    },
  );

  it('are read as they were written, and are what the model is held to', () => {
    const schema: ArgumentsSchema = {
      properties: { s: { type: 'string' }, n: { type: 'number' }, v: {}, l: { type: 'array' } },
      required: ['s'],
    };
    const matches = createTextMatcher(compileAutomaton(constraintExpression(heldTo(form, schema))));
    const text = fc.string({ unit: 'grapheme' }).filter((each) => !each.includes('</parameter>'));
    const number = fc.integer({ min: -1e6, max: 1e6 }).map((n) => n / 4);
    const leaf = fc.oneof(number, fc.boolean(), fc.constant(null), fc.string(), fc.array(fc.boolean()));
    const plain = fc.oneof(number, fc.array(number, { maxLength: 3 }), fc.dictionary(fc.string(), number));
    const given = fc.record(
      { s: text, n: number, v: plain, l: fc.array(leaf, { maxLength: 3 }) },
      { requiredKeys: ['s'], noNullPrototype: true },
    );
    fc.assert(
      fc.property(given, (value) => {
        const written = toolCallFormatOf(forms[form]).arguments!.write(value);
        const back = JSON.parse(JSON.stringify(value));
        expect(read(form, schema, written)).toEqual(back);
        // Within lists Python has its own names, in place of which JSON's are held to.
        if (form === 'qwen-xml' || !('l' in value)) expect(matches(written), written).toBe(true);
      }),
    );
  });

  it.each([
    [{ properties: { a: {} }, minProperties: 1 }, 'parameters.minProperties'],
    [{ additionalProperties: { type: 'string' } }, 'parameters.additionalProperties'],
    [{ properties: { 'a b>': {} } }, 'parameters.properties.a b>'],
    [{ properties: { a: {} }, required: ['b'] }, 'parameters.required'],
  ])('that cannot be held are named: %j', (schema, param) => {
    expect(() => heldTo(form, schema)).toThrow(expect.objectContaining({ param }));
  });

  it('of any names are written where the schema has none', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const { text, complete } = write(heldTo(form, {}), seed);
      expect(complete).toBe(true);
      expect(read(form, {}, text)).toBeTypeOf('object');
    }
  });
});
