/** How a family writes a call's arguments, where it does not as a JSON object. */
import type { StructuralFormat } from '../constraint/constraint.ts';
import { keywords, unenforced } from '../constraint/schema-keywords.ts';

/** A part of the reading of text that is still being written: it waits at each `yield` for more. */
export type Reading<T> = Generator<undefined, T>;

/** The text, from where the reading is. What has to follow and does not is no call after all, and thrown. */
export interface Cursor {
  /** The next sign; at the end of the text, and only there, an empty one. */
  peek(): Reading<string>;
  /** Takes a sign. */
  next(): Reading<string>;
  /** Takes a literal, if it follows. */
  literal(word: string): Reading<boolean>;
  /** Takes a literal that has to follow. */
  expect(word: string): Reading<void>;
  /** Takes white space. */
  space(): Reading<void>;
  /** Takes letters, digits and what else names are made of. */
  word(): Reading<string>;
  /** Takes all up to a literal, and that too; gives what stands before it. */
  until(word: string): Reading<string>;
  /** Tells that what stands here is no call. */
  fail(): never;
}

/** The schema of a function's arguments, as far as a form looks into it. */
export interface ArgumentsSchema {
  properties?: Record<string, PropertySchema>;
  required?: string[];
  additionalProperties?: unknown;
  $defs?: object;
  definitions?: object;
}

export type PropertySchema = { [keyword: string]: unknown } | boolean;

export interface ArgumentForm {
  /** Arguments as the model writes them. */
  write(given: Readonly<Record<string, unknown>>): string;
  /**
   * What holds a model to arguments of this schema; to any, where it names none.
   * @throws InvalidInputError naming what in the schema, which stands at `at`, cannot be held in this form
   */
  hold(schema: ArgumentsSchema, at: string): StructuralFormat;
  /** Reads arguments, with what closes them; `take` is given each when it is whole. */
  read(
    text: Cursor,
    schema: ArgumentsSchema | undefined,
    take: (key: string, value: unknown) => void,
  ): Reading<void>;
}

/** What of a schema of arguments is held by writing them one by one. */
const heldOneByOne = ['type', 'properties', 'required', 'additionalProperties'];

/**
 * The properties of a schema, each with whether it is needed; undefined where it names none.
 * @param name what names have to look like
 * @throws InvalidInputError naming what cannot be held
 */
export function propertiesOf(
  schema: ArgumentsSchema,
  at: string,
  name: RegExp,
): { key: string; property: PropertySchema; needed: boolean }[] | undefined {
  refuseOthers(schema, heldOneByOne, at);
  const { properties, required = [], additionalProperties } = schema;
  if (!properties) {
    if (required.length > 0) throw unenforced(`${at}.required`, notSo);
    if (typeof additionalProperties === 'object') throw unenforced(`${at}.additionalProperties`, notSo);
    return undefined;
  }
  const odd = [...required.filter((key) => !Object.hasOwn(properties, key))];
  if (odd.length > 0) throw unenforced(`${at}.required`, `names "${odd[0]}", which is no property`);
  return Object.entries(properties).map(([key, property]) => {
    if (!name.test(key)) throw unenforced(`${at}.properties.${key}`, notSo);
    return { key, property, needed: required.includes(key) };
  });
}

/** @throws InvalidInputError naming a keyword that is neither one of these nor an annotation */
export function refuseOthers(schema: object, held: readonly string[], at: string): void {
  const other = Object.keys(schema).find(
    (keyword) => !held.includes(keyword) && keywords[keyword] !== 'annotation',
  );
  if (other) throw unenforced(`${at}.${other}`, notSo);
}

const notSo = 'cannot be enforced in the form in which this model writes arguments';

/** A property's schema with the definitions that it may refer to. */
export const propertySchema = (
  property: PropertySchema,
  { $defs, definitions }: ArgumentsSchema,
): PropertySchema =>
  typeof property === 'boolean'
    ? property
    : { ...property, ...($defs && { $defs }), ...(definitions && { definitions }) };

export const constant = (value: string): StructuralFormat => ({ type: 'const_string', value });
export const sequenceOf = (...elements: StructuralFormat[]): StructuralFormat => ({
  type: 'sequence',
  elements,
});
export const oneOf = (...elements: StructuralFormat[]): StructuralFormat => ({ type: 'or', elements });
