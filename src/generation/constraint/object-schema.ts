/** JSON objects of a schema: its properties in order, then others where there may be any. */
import { compileAutomaton } from './automaton.ts';
import {
  choice,
  complementOf,
  type Expression,
  empty,
  intersectionOf,
  nothing,
  oneOf,
  repeat,
  sequence,
  text,
} from './expression.ts';
import { anyObject, anyString, colon, comma, literal, plain } from './json.ts';
import { createTextMatcher } from './matcher.ts';
import { refusal, type Schema, type SchemaObject, type SchemaReader, unenforced } from './schema-keywords.ts';

/** Characters of a property's name where others than the named may stand. */
const NAME = 256;

interface Property {
  name: string;
  member: Expression;
  required: boolean;
}

export function objectOf(schema: SchemaObject, at: string, reader: SchemaReader): Expression {
  const {
    properties = {},
    required = [],
    additionalProperties,
    propertyNames = true,
    minProperties = 0,
    maxProperties = Infinity,
  } = schema as {
    properties?: Record<string, Schema>;
    required?: string[];
    additionalProperties?: Schema;
    propertyNames?: Schema;
    minProperties?: number;
    maxProperties?: number;
  };
  const declared = Object.keys(properties);
  const names = [...new Set([...declared, ...required])];
  // Where nothing is said of others, there are none beside the named ones.
  const others = additionalProperties ?? names.length === 0;
  if (
    names.length === 0 &&
    others === true &&
    propertyNames === true &&
    minProperties === 0 &&
    maxProperties === Infinity
  )
    return anyObject;

  const nameExpression = propertyNames === true ? undefined : nameOf(propertyNames, at, reader);
  const allowed = nameExpression && createTextMatcher(compileAutomaton(nameExpression));
  const list = names.flatMap((name): Property[] => {
    const isNamed = Object.hasOwn(properties, name);
    const value = reader.inner(
      isNamed ? properties[name] : (additionalProperties ?? true),
      isNamed ? `${at}.properties.${name}` : `${at}.additionalProperties`,
    );
    const fits = !allowed || allowed(JSON.stringify(name));
    const member = sequence(literal(name), colon, fits ? value : nothing);
    return [{ name, member, required: required.includes(name) }];
  });
  const needed = list.filter((each) => each.required).length;
  if (minProperties > Math.max(1, needed) && minProperties > list.length)
    throw unenforced(
      `${at}.minProperties`,
      'is enforced up to 1, or the number of the properties that are named',
    );

  const other =
    others === false
      ? undefined
      : sequence(
          nameExpression ? distinct(nameExpression, allowed!, names, at) : nameBeside(names, at),
          colon,
          reader.inner(others, `${at}.additionalProperties`),
        );
  const counted = minProperties > needed || maxProperties < Infinity;
  const known = new Map<string, Expression>();
  return sequence(text('{'), from(0, 0), text('}'));

  /** What may stand from the property at a place on, behind `count` others. */
  function from(place: number, count: number): Expression {
    const seen = counted ? count : Math.min(count, 1);
    const key = `${place} ${seen}`;
    let made = known.get(key);
    if (!made) {
      made = { kind: 'rule', rule: { name: `${at} from ${place}`, body: nothing } };
      known.set(key, made);
      made.rule.body = place < list.length ? property(place, seen) : end(seen);
    }
    return made;
  }

  function property(place: number, count: number): Expression {
    const { member, required: isNeeded } = list[place];
    const taken =
      count < maxProperties
        ? [sequence(...(count > 0 ? [comma] : []), member, from(place + 1, count + 1))]
        : [];
    return choice(...taken, ...(isNeeded ? [] : [from(place + 1, count)]));
  }

  function end(count: number): Expression {
    const least = counted ? Math.max(0, minProperties - count) : 0;
    if (!other || count >= maxProperties || least > 1) return least > 0 ? nothing : empty;
    const most = maxProperties - count;
    const some = sequence(...(count > 0 ? [comma] : []), other, repeat(sequence(comma, other), 0, most - 1));
    return least > 0 ? some : choice(empty, some);
  }
}

/** Strings that may be names: of a schema for strings. */
function nameOf(schema: Schema, at: string, reader: SchemaReader): Expression {
  const where = `${at}.propertyNames`;
  return reader.whole({ allOf: [schema, { type: 'string' }] }, where);
}

/** The names, where none that is named is among them: a name that stands twice would have two rulings. */
function distinct(
  expression: Expression,
  allowed: (text: string) => boolean,
  names: readonly string[],
  at: string,
): Expression {
  const named = names.find((name) => allowed(JSON.stringify(name)));
  if (named !== undefined)
    throw unenforced(
      `${at}.propertyNames`,
      `is enforced beside other properties where their names do not meet it; "${named}" does`,
    );
  return expression;
}

/** Any name but these. */
function nameBeside(names: readonly string[], at: string): Expression {
  if (names.length === 0) return anyString();
  const long = names.find((name) => name.length > NAME);
  if (long !== undefined)
    throw refusal(`${at}.additionalProperties`, `needs names of properties of at most ${NAME} characters`);
  const any = repeat(oneOf(...plain), 0);
  const spelled = names.map((name) => [...name]).filter((signs) => signs.every(isPlain));
  return sequence(text('"'), beside(spelled, 0), text('"'));

  /** The rest of names that have begun as all of these do. */
  function beside(begun: readonly string[][], place: number): Expression {
    const signs = new Map<string, string[][]>();
    for (const each of begun) {
      if (each.length > place) signs.set(each[place], [...(signs.get(each[place]) ?? []), each]);
    }
    const codes = [...signs.keys()].map((sign) => sign.codePointAt(0)!);
    const elsewhere = intersectionOf(complementOf(codes.map((code) => [code, code])), plain);
    return choice(
      ...(begun.some((each) => each.length === place) ? [] : [empty]),
      sequence(oneOf(...elsewhere), any),
      ...[...signs].map(([sign, further]) => sequence(text(sign), beside(further, place + 1))),
    );
  }
}

const isPlain = (sign: string): boolean => {
  const code = sign.codePointAt(0)!;
  return plain.some(([first, last]) => first <= code && code <= last);
};
