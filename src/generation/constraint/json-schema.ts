/**
 * A JSON Schema as an expression: all that is written is valid, and not all that is valid is written. Properties come in
 * the schema's order; those that it does not name come behind them, where `additionalProperties` says that they may.
 */
import { compileAutomaton } from './automaton.ts';
import {
  choice,
  type Expression,
  empty,
  lengthsOf,
  nothing,
  type Rule,
  repeat,
  sequence,
  text,
} from './expression.ts';
import { anyNumber, anyString, anyValue, comma, literal, quoted, stringCharacter } from './json.ts';
import { formats } from './json-formats.ts';
import { createTextMatcher } from './matcher.ts';
import { numberBetween, wholeBetween } from './number-range.ts';
import { objectOf } from './object-schema.ts';
import { parseRegex } from './regex.ts';
import {
  checkKeywords,
  isObject,
  keywords,
  refusal,
  type Schema,
  type SchemaObject,
  type SchemaReader,
  type Type,
  typeOfKeyword,
  types,
  unenforced,
} from './schema-keywords.ts';
import { areDisjoint, mergeSchemas } from './schema-merge.ts';

/** Schemas gone through for one at most, and readers of it in one another. */
const SCHEMAS = 4_000;
const READERS = 12;
/** What refers to itself ends here. */
const DEPTH = 64;

/**
 * The JSON texts of a schema.
 * @param at where it stands in the request, for errors
 * @throws InvalidInputError naming what is not right or not enforced, and where it stands
 */
export function schemaExpression(root: unknown, at: string): Expression {
  if (!isObject(root) && typeof root !== 'boolean')
    throw refusal(at, 'has to be a JSON Schema: an object, true or false');
  return createSchemaReader(root, at, { schemas: 0, readers: 0 }).read(root, at);
}

/** @param spent schemas that have been gone through, and readers within this one, by it and those around it */
function createSchemaReader(
  root: Schema,
  rootAt: string,
  spent: { schemas: number; readers: number },
): SchemaReader {
  const places = new WeakMap<SchemaObject, string>();
  const checked = new WeakSet<SchemaObject>();
  const rules = new Map<SchemaObject, Rule>();
  const waiting: { rule: Rule; schema: SchemaObject; at: string }[] = [];
  const whole = (schema: SchemaObject, at: string): Expression => {
    if (spent.readers >= READERS) throw refusal(at, 'refers to itself in what cannot be enforced so');
    spent.readers++;
    const expression = createSchemaReader(root, rootAt, spent).read(schema, at);
    spent.readers--;
    return expression;
  };
  const reader: SchemaReader = { read, inner, whole, flat };
  return reader;

  function read(schema: Schema, at: string): Expression {
    const expression = inner(schema, at);
    // Not one in the other, so that no nesting and no chain of references is too deep.
    for (let next = waiting.pop(); next; next = waiting.pop()) next.rule.body = bodyOf(next.schema, next.at);
    return expression;
  }

  function inner(schema: Schema, at: string): Expression {
    if (typeof schema === 'boolean') return schema ? anyValue : nothing;
    let made = rules.get(schema);
    if (!made) {
      const place = places.get(schema) ?? at;
      made = { name: place, body: nothing };
      rules.set(schema, made);
      waiting.push({ rule: made, schema, at: place });
    }
    return { kind: 'rule', rule: made };
  }

  function check(schema: SchemaObject, at: string): void {
    if (++spent.schemas > SCHEMAS)
      throw refusal(rootAt, `is too large: its schemas make more than ${SCHEMAS}`);
    if (checked.has(schema)) return;
    checked.add(schema);
    checkKeywords(schema, at, (each, where) => places.set(each, where));
  }

  function flat(schema: Schema, at: string, depth = 0): SchemaObject | undefined {
    if (typeof schema === 'boolean') return schema ? {} : undefined;
    const place = places.get(schema) ?? at;
    check(schema, place);
    if (depth > DEPTH)
      throw refusal(place, 'refers to itself, or has too much in one another, to be put together');
    const { $ref, allOf, ...others } = Object.fromEntries(
      Object.entries(schema).filter(([name]) => keywords[name] !== 'annotation' && !name.startsWith('x-')),
    ) as SchemaObject;
    if (Object.hasOwn(others, 'const')) {
      const { const: value, ...rest } = others;
      return flatten([rest, { enum: [value] }]);
    }
    return flatten([others]);

    function flatten(own: SchemaObject[]): SchemaObject | undefined {
      let whole: SchemaObject | undefined = own.reduce((a, b) => mergeSchemas(a, b, place));
      const further = [
        ...(typeof $ref === 'string' ? [target($ref, place)] : []),
        ...((allOf ?? []) as Schema[]),
      ];
      for (const each of further) {
        const part = flat(each, place, depth + 1);
        if (!part) return undefined;
        whole = mergeSchemas(whole, part, place);
      }
      return whole;
    }
  }

  /** What a `$ref` refers to: a place in the schema itself. */
  function target($ref: string, at: string): Schema {
    const where = `${at}.$ref`;
    if (!/^#(?:\/|$)/.test($ref))
      throw unenforced(where, 'refers to what is not in this schema; only "#" and "#/…" are followed');
    let found: unknown = root;
    let place = rootAt;
    for (const part of $ref.slice(1).split('/').slice(1)) {
      const name = decodePointer(part);
      if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name))
        throw refusal(where, `refers to "${$ref.slice(0, 100)}", which is not there`);
      place += Array.isArray(found) ? `[${name}]` : `.${name}`;
      found = (found as SchemaObject)[name];
    }
    if (isObject(found)) {
      if (!places.has(found)) places.set(found, place);
    } else if (typeof found !== 'boolean') throw refusal(where, 'refers to what is no schema');
    return found;
  }

  function bodyOf(schema: SchemaObject, at: string): Expression {
    check(schema, at);
    const { $ref } = schema;
    const alone = Object.keys(schema).every((name) => name === '$ref' || keywords[name] === 'annotation');
    if (typeof $ref === 'string' && alone) return inner(target($ref, at), at);
    const whole = flat(schema, at);
    if (!whole) return nothing;
    const { anyOf, oneOf: exclusive, ...rest } = whole as Record<string, unknown> & Alternatives;
    if (anyOf) {
      const others = exclusive ? { ...rest, oneOf: exclusive } : rest;
      return alternatives(others, anyOf, `${at}.anyOf`);
    }
    if (exclusive) {
      const flats = exclusive.map((each) => flat(each, at));
      for (const [i, right] of flats.entries()) {
        for (const [j, left] of flats.slice(0, i).entries()) {
          if (left && right && !areDisjoint(left, right, (each) => flat(each, at)))
            throw unenforced(
              `${at}.oneOf`,
              `has alternatives (${j} and ${i}) that may both be met; "anyOf" allows that`,
            );
        }
      }
      return alternatives(rest, exclusive, `${at}.oneOf`);
    }
    if (whole.enum !== undefined) return enumeration(whole, at);
    return choice(...typesOf(whole).map((type) => builders[type](whole, at, reader)));
  }

  function alternatives(rest: SchemaObject, schemas: readonly Schema[], at: string): Expression {
    const isBare = Object.keys(rest).length === 0;
    const options = schemas.map((schema, i) => {
      if (isBare) return inner(schema, `${at}[${i}]`);
      const merged = { allOf: [rest, schema] };
      places.set(merged, isObject(schema) ? (places.get(schema) ?? `${at}[${i}]`) : `${at}[${i}]`);
      return inner(merged, `${at}[${i}]`);
    });
    return choice(...options);
  }

  /** Those of the values that the schema's other keywords allow. */
  function enumeration({ enum: values, ...rest }: SchemaObject, at: string): Expression {
    const texts = (values as unknown[]).map((value) => JSON.stringify(value));
    if (Object.keys(rest).length === 0) return choice(...texts.map(text));
    const fits = createTextMatcher(compileAutomaton(whole(rest, at)));
    return choice(...texts.filter(fits).map(text));
  }
}

interface Alternatives {
  anyOf?: Schema[];
  oneOf?: Schema[];
}

/** The types that a schema names, or those that its keywords say something of; all where there are none. */
function typesOf(schema: SchemaObject): readonly Type[] {
  if (schema.type !== undefined) {
    const list = [schema.type].flat() as Type[];
    return list.includes('number') ? list.filter((type) => type !== 'integer') : list;
  }
  const named = new Set(Object.keys(schema).flatMap((name) => typeOfKeyword[name] ?? []));
  return named.size > 0 ? [...named] : types.filter((type) => type !== 'integer');
}

type Builder = (schema: SchemaObject, at: string, reader: SchemaReader) => Expression;

const builders: Readonly<Record<Type, Builder>> = {
  object: objectOf,
  array: arrayOf,
  string: stringOf,
  number: (schema, at) => numberOf(schema, at, false),
  integer: (schema, at) => numberOf(schema, at, true),
  boolean: () => choice(literal(true), literal(false)),
  null: () => literal(null),
};

function arrayOf(schema: SchemaObject, at: string, { inner }: SchemaReader): Expression {
  const {
    items,
    prefixItems,
    additionalItems,
    minItems = 0,
    maxItems = Infinity,
  } = schema as {
    items?: Schema | Schema[];
    prefixItems?: Schema[];
    additionalItems?: Schema;
    minItems?: number;
    maxItems?: number;
  };
  const isTuple = Array.isArray(items);
  const first = prefixItems ?? (isTuple ? items : []);
  const others = (isTuple ? additionalItems : items) ?? true;
  const other = inner(others, `${at}.items`);
  const further = sequence(comma, other);
  // From behind: what may follow the items of the tuple, then what may follow those before.
  const least = Math.max(0, minItems - first.length);
  const most = Math.max(0, maxItems - first.length);
  const never = others === false;
  const tail = (begun: boolean): Expression => {
    if (never || most === 0) return least > 0 ? nothing : empty;
    if (begun) return repeat(further, least, most);
    const some = sequence(other, repeat(further, Math.max(0, least - 1), most - 1));
    return least > 0 ? some : choice(empty, some);
  };
  let rest = tail(first.length > 0);
  for (let i = first.length - 1; i >= 0; i--) {
    const part = sequence(...(i > 0 ? [comma] : []), inner(first[i], `${at}.prefixItems[${i}]`), rest);
    const options = [...(i >= minItems ? [empty] : []), ...(i < maxItems ? [part] : [])];
    rest = { kind: 'rule', rule: { name: `${at} from ${i}`, body: choice(...options) } };
  }
  return sequence(text('['), rest, text(']'));
}

function stringOf(schema: SchemaObject, at: string): Expression {
  const {
    minLength = 0,
    maxLength = Infinity,
    pattern,
    format,
  } = schema as {
    minLength?: number;
    maxLength?: number;
    pattern?: string;
    format?: string;
  };
  if (pattern === undefined && format === undefined) return anyString(minLength, maxLength);
  if (pattern !== undefined && format !== undefined)
    throw unenforced(`${at}.format`, 'cannot be enforced together with "pattern"');
  const where = `${at}.${pattern === undefined ? 'format' : 'pattern'}`;
  if (format !== undefined && !Object.hasOwn(formats, format))
    throw unenforced(where, `is not a format that wick enforces; it does ${Object.keys(formats).join(', ')}`);
  const source = pattern ?? `^(?:${formats[format!]})$`;
  try {
    const [least, most] = lengthsOf(parseRegex(source, { anywhere: true }));
    if (least < minLength || most > maxLength) {
      const [name, length] = least < minLength ? ['minLength', least] : ['maxLength', most];
      throw unenforced(
        `${at}.${name}`,
        `cannot be enforced together with a pattern or format of ${length === Infinity ? 'any' : length} characters; say the length in the pattern`,
      );
    }
    return quoted(parseRegex(source, { anywhere: true, character: stringCharacter }));
  } catch (error) {
    throw inPlace(error, where);
  }
}

/** Multiples that are written out one by one, at most. */
const MULTIPLES = 1_000;

function numberOf(schema: SchemaObject, at: string, whole: boolean): Expression {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema as Record<
    string,
    number | undefined
  >;
  const min = Math.max(minimum ?? -Infinity, exclusiveMinimum ?? -Infinity);
  const max = Math.min(maximum ?? Infinity, exclusiveMaximum ?? Infinity);
  const bounds = { min, max, aboveMin: exclusiveMinimum === min, belowMax: exclusiveMaximum === max };
  if (multipleOf === undefined) {
    if (whole) return wholeBetween(bounds);
    return min === -Infinity && max === Infinity ? anyNumber : numberBetween(bounds);
  }
  if (!Number.isInteger(multipleOf) || multipleOf <= 0)
    throw unenforced(`${at}.multipleOf`, 'is enforced for whole numbers above 0 alone');
  const [first, last] = [Math.ceil(min / multipleOf), Math.floor(max / multipleOf)];
  if (multipleOf === 1) return wholeBetween(bounds);
  if (!(last - first <= MULTIPLES))
    throw unenforced(
      `${at}.multipleOf`,
      `is enforced between a minimum and a maximum with at most ${MULTIPLES} multiples`,
    );
  const multiples = Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) * multipleOf);
  const within = multiples.filter(
    (value) => !(bounds.aboveMin && value <= min) && !(bounds.belowMax && value >= max),
  );
  return choice(...within.map((value) => text(String(value === 0 ? 0 : value))));
}

/** The error, at a place of the request where it names none. */
export function inPlace(error: unknown, at: string): unknown {
  const { message, param, code } = error as { message: string; param?: string | null; code?: string };
  return param === null ? refusal(at, `is not right: ${message.replace(/\.$/, '')}`, code) : error;
}

function decodePointer(part: string): string {
  let name = part;
  try {
    name = decodeURIComponent(part);
  } catch {
    // What is no escape stands for itself.
  }
  return name.replaceAll('~1', '/').replaceAll('~0', '~');
}
