/**
 * JSON Schema's keywords (drafts 7 to 2020-12), as far as they are enforced; a schema with any other is refused. What
 * stands here is held by test/generation/constraint against a validator.
 */
import { InvalidInputError } from '../parameters.ts';
import type { Expression } from './expression.ts';

export type Schema = boolean | SchemaObject;
export interface SchemaObject {
  [keyword: string]: unknown;
}

/** What builds the expressions of one schema and those in it. */
export interface SchemaReader {
  /** The expression of a schema, and of all in it. */
  read(schema: Schema, at: string): Expression;
  /** The expression of a schema in one that is being read. */
  inner(schema: Schema, at: string): Expression;
  /** The expression of a schema that is made up on the way, whole at once. */
  whole(schema: SchemaObject, at: string): Expression;
  /** A schema's keywords with what it refers to put in; undefined for one that is never met. */
  flat(schema: Schema, at: string): SchemaObject | undefined;
}

/** How the value of a keyword looks, and where schemas stand in it. */
type Shape =
  | 'annotation'
  | 'schema'
  | 'schemas'
  | 'named schemas'
  | 'schema or schemas'
  | 'types'
  | 'list'
  | 'names'
  | 'number'
  | 'count'
  | 'boolean'
  | 'false'
  | 'text'
  | 'any';

export const keywords: Readonly<Record<string, Shape>> = {
  // These say something of a value, and nothing that it has to be.
  $comment: 'annotation',
  $id: 'annotation',
  $schema: 'annotation',
  contentEncoding: 'annotation',
  contentMediaType: 'annotation',
  default: 'annotation',
  deprecated: 'annotation',
  description: 'annotation',
  examples: 'annotation',
  readOnly: 'annotation',
  title: 'annotation',
  writeOnly: 'annotation',
  // Schemas to refer to. They are looked at when something refers to them.
  $defs: 'annotation',
  definitions: 'annotation',
  $ref: 'text',
  allOf: 'schemas',
  anyOf: 'schemas',
  /** Where no two of the schemas can be met at once. */
  oneOf: 'schemas',
  type: 'types',
  enum: 'list',
  const: 'any',
  properties: 'named schemas',
  required: 'names',
  additionalProperties: 'schema',
  propertyNames: 'schema',
  minProperties: 'count',
  maxProperties: 'count',
  items: 'schema or schemas',
  additionalItems: 'schema',
  prefixItems: 'schemas',
  minItems: 'count',
  maxItems: 'count',
  uniqueItems: 'false',
  minLength: 'count',
  maxLength: 'count',
  pattern: 'text',
  format: 'text',
  minimum: 'number',
  maximum: 'number',
  exclusiveMinimum: 'number',
  exclusiveMaximum: 'number',
  multipleOf: 'number',
};

export const types = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
export type Type = (typeof types)[number];

/** Which keywords say something of values of which type alone. */
export const typeOfKeyword: Readonly<Record<string, Type>> = {
  properties: 'object',
  required: 'object',
  additionalProperties: 'object',
  propertyNames: 'object',
  minProperties: 'object',
  maxProperties: 'object',
  items: 'array',
  prefixItems: 'array',
  minItems: 'array',
  maxItems: 'array',
  minLength: 'string',
  maxLength: 'string',
  pattern: 'string',
  format: 'string',
  minimum: 'number',
  maximum: 'number',
  exclusiveMinimum: 'number',
  exclusiveMaximum: 'number',
  multipleOf: 'number',
};

/** A refusal of what stands at a place of the request. */
export function refusal(at: string, what: string, code = 'invalid_value'): InvalidInputError {
  return new InvalidInputError(`\`${at}\` ${what}.`, { param: at, code });
}

export const unenforced = (at: string, why = 'is a keyword that wick does not enforce'): InvalidInputError =>
  refusal(at, why, 'unsupported_value');

export const isObject = (value: unknown): value is SchemaObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Checks the keywords of one schema, not of those in it.
 * @param place called with each schema in it and where that stands
 * @throws InvalidInputError naming the keyword that is not enforced, or not right, and where it stands
 */
export function checkKeywords(
  schema: SchemaObject,
  at: string,
  place: (inner: SchemaObject, at: string) => void,
): void {
  const visit = (inner: unknown, where: string): void => {
    if (isObject(inner)) place(inner, where);
    else if (typeof inner !== 'boolean') throw refusal(where, 'has to be a schema: an object, true or false');
  };
  const entries = Object.entries(schema).filter(([name]) => !name.startsWith('x-'));
  for (const [name, value] of entries) {
    const where = `${at}.${name}`;
    const shape = Object.hasOwn(keywords, name) ? keywords[name] : undefined;
    if (shape === undefined) throw unenforced(where);
    const wrong = (what: string) => refusal(where, `has to be ${what}`);
    const isList = Array.isArray(value);
    switch (shape) {
      case 'schema':
        visit(value, where);
        break;
      case 'schema or schemas':
        if (isList) for (const [i, inner] of value.entries()) visit(inner, `${where}[${i}]`);
        else visit(value, where);
        break;
      case 'schemas':
        if (!isList || value.length === 0) throw wrong('a list of at least one schema');
        for (const [i, inner] of value.entries()) visit(inner, `${where}[${i}]`);
        break;
      case 'named schemas':
        if (!isObject(value)) throw wrong('an object of schemas');
        for (const [key, inner] of Object.entries(value)) visit(inner, `${where}.${key}`);
        break;
      case 'types': {
        const list = isList ? value : [value];
        if (list.length === 0 || !list.every((type) => (types as readonly unknown[]).includes(type)))
          throw wrong(`one of ${types.join(', ')}, or a list of them`);
        break;
      }
      case 'list':
        if (!isList || value.length === 0) throw wrong('a list of at least one value');
        break;
      case 'names':
        if (!isList || !value.every((each) => typeof each === 'string')) throw wrong('a list of texts');
        break;
      case 'number':
        if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong('a number');
        break;
      case 'count':
        if (!Number.isSafeInteger(value) || (value as number) < 0) throw wrong('a whole number from 0 up');
        break;
      case 'false':
        if (value === true) throw unenforced(where);
        if (value !== false) throw wrong('true or false');
        break;
      case 'text':
        if (typeof value !== 'string') throw wrong('a text');
        break;
    }
  }
}
