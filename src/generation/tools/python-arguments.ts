/** Arguments as keywords of a call in Python, as Llama 4 writes them: `city="Oslo", days=[1, 2], now=True`. */
import type { StructuralFormat } from '../constraint/constraint.ts';
import {
  type ArgumentForm,
  type ArgumentsSchema,
  type Cursor,
  constant,
  oneOf,
  type PropertySchema,
  propertiesOf,
  propertySchema,
  type Reading,
  sequenceOf,
} from './argument-form.ts';

/** Lists and dictionaries in one another at most. */
const DEPTH = 50;

export const pythonArguments: ArgumentForm = {
  write: (given) =>
    Object.entries(given)
      .map(([key, value]) => `${key}=${literalOf(value)}`)
      .join(', '),

  hold(schema, at) {
    const keywords = propertiesOf(schema, at, /^[\w.-]+$/)?.map(({ key, property, needed }) => ({
      needed,
      held: sequenceOf(constant(`${key}=`), heldValue(property, schema)),
    }));
    if (!keywords) return anyKeywords;
    const needed = keywords.filter((each) => each.needed).map(({ held }) => held);
    const optional = keywords.filter((each) => !each.needed).map(({ held }) => held);
    const after = (held: StructuralFormat) => oneOf(nothing, sequenceOf(constant(', '), held));
    if (needed.length > 0) {
      const [first, ...others] = needed;
      const more = others.flatMap((held) => [constant(', '), held]);
      return sequenceOf(first, ...more, ...optional.map(after));
    }
    // Which one is the first decides where commas stand.
    const beginning = optional.map((held, i) => sequenceOf(held, ...optional.slice(i + 1).map(after)));
    return oneOf(nothing, ...beginning);
  },

  *read(text, _, take) {
    yield* text.space();
    while (!(yield* text.literal(')'))) {
      const key = yield* text.word();
      if (key === '') text.fail();
      yield* text.space();
      yield* text.expect('=');
      take(key, yield* readLiteral(text));
      yield* text.space();
      if (yield* text.literal(',')) {
        yield* text.space();
        continue;
      }
      yield* text.expect(')');
      return;
    }
  },
};

const nothing = constant('');

const anyKeywords: StructuralFormat = {
  type: 'tags_with_separator',
  tags: [
    {
      type: 'tag',
      begin: '',
      content: sequenceOf({ type: 'regex', pattern: '^[A-Za-z_][A-Za-z0-9_]{0,63}$' }, constant('='), {
        type: 'json_schema',
        json_schema: {},
      }),
      end: '',
    },
  ],
  separator: ', ',
};

/** Numbers, texts and lists are the same in Python and in JSON; what is within others may be either. */
function heldValue(property: PropertySchema, schema: ArgumentsSchema): StructuralFormat {
  if (typeof property === 'object') {
    const { type, enum: values, const: value } = property;
    if ('const' in property) return constant(literalOf(value));
    if (Array.isArray(values)) return oneOf(...values.map((each) => constant(literalOf(each))));
    if (type === 'boolean') return oneOf(constant('True'), constant('False'));
    if (type === 'null') return constant('None');
  }
  return { type: 'json_schema', json_schema: propertySchema(property, schema) };
}

const names = new Map<unknown, string>([
  [true, 'True'],
  [false, 'False'],
  [null, 'None'],
]);
const valuesByName = new Map<string, unknown>([
  ...[...names].map(([value, name]) => [name, value] as const),
  ...[...names.keys()].map((value) => [String(value), value] as const),
]);

function literalOf(value: unknown): string {
  const name = names.get(value);
  if (name !== undefined) return name;
  if (Array.isArray(value)) return `[${value.map(literalOf).join(', ')}]`;
  if (typeof value !== 'object') return JSON.stringify(value);
  const entries = Object.entries(value as object);
  return `{${entries.map(([key, each]) => `${JSON.stringify(key)}: ${literalOf(each)}`).join(', ')}}`;
}

/** A literal of Python, or of JSON. */
function* readLiteral(text: Cursor, depth = 0): Reading<unknown> {
  if (depth > DEPTH) text.fail();
  yield* text.space();
  const sign = yield* text.peek();
  if (sign === '"' || sign === "'") return yield* readText(text);
  if (sign === '[') return yield* readItems(text, '[', ']', depth);
  if (sign === '(') return yield* readItems(text, '(', ')', depth);
  if (sign === '{') return yield* readDictionary(text, depth);
  let word = '';
  while (/[\w.+-]/.test(yield* text.peek())) word += yield* text.next();
  if (valuesByName.has(word)) return valuesByName.get(word);
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(word)) text.fail();
  const number = Number(word);
  return Number.isFinite(number) ? number : text.fail();
}

function* readItems(text: Cursor, open: string, close: string, depth: number): Reading<unknown[]> {
  const items: unknown[] = [];
  yield* text.expect(open);
  yield* text.space();
  while (!(yield* text.literal(close))) {
    items.push(yield* readLiteral(text, depth + 1));
    yield* text.space();
    if (!(yield* text.literal(','))) {
      yield* text.expect(close);
      break;
    }
    yield* text.space();
  }
  return items;
}

function* readDictionary(text: Cursor, depth: number): Reading<object> {
  const entries: [string, unknown][] = [];
  yield* text.expect('{');
  yield* text.space();
  while (!(yield* text.literal('}'))) {
    const key = yield* readText(text);
    yield* text.space();
    yield* text.expect(':');
    entries.push([key, yield* readLiteral(text, depth + 1)]);
    yield* text.space();
    if (!(yield* text.literal(','))) {
      yield* text.expect('}');
      break;
    }
    yield* text.space();
  }
  return Object.fromEntries(entries);
}

const escapes: Record<string, string> = {
  ...{ n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', v: '\v', a: '\x07', '0': '\0' },
  ...{ '\\': '\\', "'": "'", '"': '"', '/': '/', '\n': '' },
};
/** Digits behind `\x`, `\u` and `\U`. */
const codes: Record<string, number> = { x: 2, u: 4, U: 8 };

function* readText(text: Cursor): Reading<string> {
  const quote = yield* text.next();
  if (quote !== '"' && quote !== "'") text.fail();
  let value = '';
  for (let sign = yield* text.next(); sign !== quote; sign = yield* text.next()) {
    if (sign !== '\\') {
      value += sign;
      continue;
    }
    const kind = yield* text.next();
    const digits = codes[kind];
    if (digits === undefined) {
      // Python leaves a backslash that begins nothing.
      value += escapes[kind] ?? `\\${kind}`;
      continue;
    }
    let code = '';
    while (code.length < digits) code += yield* text.next();
    const point = /^[0-9a-f]+$/i.test(code) ? Number.parseInt(code, 16) : Infinity;
    // Halves of a surrogate pair come one after the other, as in JSON.
    value +=
      point <= 0xffff
        ? String.fromCharCode(point)
        : point <= 0x10ffff
          ? String.fromCodePoint(point)
          : text.fail();
  }
  return value;
}
