/** Two schemas as the one that is met where both are. */
import { isObject, refusal, type Schema, type SchemaObject, unenforced } from './schema-keywords.ts';

type Combine = (a: never, b: never, at: string) => unknown;

/** Alternatives that two lists of them may make at most. */
const PAIRS = 64;

const larger = (a: number, b: number) => Math.max(a, b);
const smaller = (a: number, b: number) => Math.min(a, b);
const both = (a: Schema, b: Schema): Schema => (a === b ? a : { allOf: [a, b] });
const same: Combine = (a: unknown, b: unknown, at) => {
  if (JSON.stringify(a) === JSON.stringify(b)) return a;
  throw unenforced(
    at,
    'cannot be enforced together with another of its name (by way of allOf, anyOf or $ref)',
  );
};

/** How each keyword is met together with another of its name. */
const rules: Readonly<Record<string, Combine>> = {
  type: (a: string | string[], b: string | string[], at) => {
    const [left, right] = [[a].flat(), [b].flat()];
    const common = [...new Set([...left, ...right])].filter(
      (type) => meets(type, left) && meets(type, right),
    );
    if (common.length === 0) throw refusal(at, 'can never be met: the types exclude one another');
    return common;
  },
  enum: (a: unknown[], b: unknown[]) => a.filter((value) => b.some((other) => equal(value, other))),
  required: (a: string[], b: string[]) => [...new Set([...a, ...b])],
  anyOf: (a: Schema[], b: Schema[], at) => {
    if (a.length * b.length > PAIRS) throw unenforced(at, `makes more than ${PAIRS} alternatives`);
    return a.flatMap((left) => b.map((right) => both(left, right)));
  },
  allOf: (a: Schema[], b: Schema[]) => [...a, ...b],
  propertyNames: both,
  additionalItems: both,
  minProperties: larger,
  maxProperties: smaller,
  minItems: larger,
  maxItems: smaller,
  minLength: larger,
  maxLength: smaller,
  minimum: larger,
  maximum: smaller,
  exclusiveMinimum: larger,
  exclusiveMaximum: smaller,
};

const meets = (type: string, list: readonly string[]) =>
  list.includes(type) || (type === 'integer' && list.includes('number'));

/** The same values as JSON, whatever the order of their properties. */
export function equal(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((value, i) => equal(value, b[i]));
  if (!isObject(a) || !isObject(b)) return a === b;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && equal(a[name], b[name]))
  );
}

/**
 * Whether no value can meet both: they name types, or values, of which none is common, or need a property that is
 * such. False where that cannot be told.
 * @param flat a schema in one of them, with what it refers to put in
 */
export function areDisjoint(
  a: SchemaObject,
  b: SchemaObject,
  flat: (schema: Schema) => SchemaObject | undefined,
  depth = 0,
): boolean {
  const [left, right] = [a, b].map(({ type, enum: values }) => ({
    types: type as string | string[] | undefined,
    values: values as unknown[] | undefined,
  }));
  if (left.values && right.values)
    return !left.values.some((value) => right.values!.some((other) => equal(value, other)));
  if (left.types !== undefined && right.types !== undefined) {
    const [those, these] = [[left.types].flat(), [right.types].flat()];
    if (!those.some((type) => meets(type, these)) && !these.some((type) => meets(type, those))) return true;
    const objects = [those, these].every((list) => list.length === 1 && list[0] === 'object');
    if (!objects || depth > 4) return false;
    const [first, second] = [a, b].map(({ properties }) => (properties ?? {}) as Record<string, Schema>);
    const needed = [a, b].map(({ required }) => (required ?? []) as string[]);
    return needed[0].some((name) => {
      if (!needed[1].includes(name) || !Object.hasOwn(first, name) || !Object.hasOwn(second, name))
        return false;
      const [one, two] = [flat(first[name]), flat(second[name])];
      return !one || !two || areDisjoint(one, two, flat, depth + 1);
    });
  }
  return false;
}

/**
 * A schema that is met where both are, annotations left out. Neither has `$ref` or `const`.
 * @throws InvalidInputError where the two cannot be put together
 */
export function mergeSchemas(a: SchemaObject, b: SchemaObject, at: string): SchemaObject {
  const merged: [string, unknown][] = [];
  const apart = ['properties', 'additionalProperties', 'items', 'prefixItems'];
  for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
    if (apart.includes(name)) continue;
    const combine: Combine = Object.hasOwn(rules, name) ? rules[name] : same;
    if (!Object.hasOwn(b, name)) merged.push([name, a[name]]);
    else if (!Object.hasOwn(a, name)) merged.push([name, b[name]]);
    else merged.push([name, combine(a[name] as never, b[name] as never, `${at}.${name}`)]);
  }
  return { ...Object.fromEntries(merged), ...mergeProperties(a, b), ...mergeItems(a, b, at) };
}

/** What one says of properties that it does not name holds for those that only the other names. */
function mergeProperties(a: SchemaObject, b: SchemaObject): SchemaObject {
  const [left, right] = [a, b].map(({ properties }) => (properties ?? {}) as Record<string, Schema>);
  const named = [...new Set([...Object.keys(left), ...Object.keys(right)])].map((name) => {
    const rulings = [
      [left, a.additionalProperties],
      [right, b.additionalProperties],
    ] as const;
    const schemas = rulings.flatMap(([own, others]) =>
      Object.hasOwn(own, name) ? [own[name]] : others === undefined ? [] : [others as Schema],
    );
    return [name, schemas.length === 1 ? schemas[0] : both(schemas[0], schemas[1])] as const;
  });
  const others = [a, b].flatMap(({ additionalProperties: each }) =>
    each === undefined ? [] : [each as Schema],
  );
  return {
    ...(named.length > 0 && { properties: Object.fromEntries(named) }),
    ...(others.length > 0 && {
      additionalProperties: others.length === 1 ? others[0] : both(others[0], others[1]),
    }),
  };
}

function mergeItems(a: SchemaObject, b: SchemaObject, at: string): SchemaObject {
  const tuple = [a, b].some(({ items, prefixItems }) => prefixItems !== undefined || Array.isArray(items));
  const [first, second] = [a, b].map(({ items, prefixItems }) => ({ items, prefixItems }));
  const isEmpty = (each: typeof first) => each.items === undefined && each.prefixItems === undefined;
  const given = (each: typeof first) =>
    Object.fromEntries(Object.entries(each).filter(([, value]) => value !== undefined));
  if (isEmpty(first) || isEmpty(second)) return given(isEmpty(first) ? second : first);
  if (tuple) return same(given(first) as never, given(second) as never, `${at}.items`) as SchemaObject;
  return { items: both(first.items as Schema, second.items as Schema) };
}
