/**
 * Arguments as Qwen3-Coder and its successors write them: each an element of its own, a text as it is and anything else
 * as JSON.
 *
 *     <parameter=city>
 *     Oslo
 *     </parameter>
 */
import type { StructuralFormat } from '../constraint/constraint.ts';
import { formats } from '../constraint/json-formats.ts';
import {
  type ArgumentForm,
  type ArgumentsSchema,
  constant,
  oneOf,
  type PropertySchema,
  propertiesOf,
  propertySchema,
  refuseOthers,
  sequenceOf,
} from './argument-form.ts';

const [BEGIN, END, CLOSE] = ['<parameter=', '</parameter>', '</function>'];

const begin = (key: string) => `${BEGIN}${key}>\n`;
const end = `\n${END}\n`;

export const xmlArguments: ArgumentForm = {
  write: (given) =>
    Object.entries(given)
      .map(
        ([key, value]) => `${begin(key)}${typeof value === 'string' ? value : JSON.stringify(value)}${end}`,
      )
      .join(''),

  hold(schema, at) {
    const elements = propertiesOf(schema, at, /^[^<>\s]+$/)?.map(({ key, property, needed }) => {
      const content = heldValue(property, schema, `${at}.properties.${key}`);
      const element: StructuralFormat = { type: 'tag', begin: begin(key), content, end };
      return needed ? element : oneOf(constant(''), element);
    });
    return elements ? sequenceOf(...elements) : anyElements;
  },

  *read(text, schema, take) {
    yield* text.space();
    while (yield* text.literal(BEGIN)) {
      const key = yield* text.until('>');
      const value = yield* text.until(END);
      take(key, readValue(value.replace(/^\n/, '').replace(/\n$/, ''), schema?.properties?.[key]));
      yield* text.space();
    }
    yield* text.expect(CLOSE);
  },
};

const anyElements: StructuralFormat = {
  type: 'tags_with_separator',
  tags: [
    {
      type: 'tag',
      begin: BEGIN,
      content: sequenceOf({ type: 'regex', pattern: '^[^<>\\s]{1,64}$' }, constant('>\n'), {
        type: 'any_text',
        excludes: [END],
      }),
      end,
    },
  ],
  separator: '',
};

/** A text stands as it is: its end is where the element's is. What matches a pattern does so as a whole. */
function heldValue(property: PropertySchema, schema: ArgumentsSchema, at: string): StructuralFormat {
  if (!isText(property)) return { type: 'json_schema', json_schema: propertySchema(property, schema) };
  const { enum: values, const: value, pattern, format, minLength = 0, maxLength } = property as TextSchema;
  if (value !== undefined) return constant(value);
  if (values) return oneOf(...values.filter((each) => typeof each === 'string').map(constant));
  const source = pattern ?? (format === undefined ? undefined : `^(?:${formats[format]})$`);
  const lengths = minLength > 0 || maxLength !== undefined;
  const held =
    source === undefined ? ['minLength', 'maxLength'] : [pattern === undefined ? 'format' : 'pattern'];
  refuseOthers(property as TextSchema, ['type', ...held], at);
  if (source !== undefined) return { type: 'regex', pattern: source };
  // Characters can be counted where none of them may begin the end.
  if (lengths) return { type: 'regex', pattern: `^[^<]{${minLength},${maxLength ?? ''}}$` };
  return { type: 'any_text', excludes: [END] };
}

interface TextSchema {
  enum?: unknown[];
  const?: string;
  pattern?: string;
  format?: string;
  minLength?: number;
  maxLength?: number;
}

/** Whether a schema allows texts and nothing else. */
function isText(property: PropertySchema | undefined): boolean {
  if (typeof property !== 'object') return false;
  const { type, enum: values, const: value } = property;
  if (type !== undefined) return type === 'string';
  return (
    typeof value === 'string' || (Array.isArray(values) && values.every((each) => typeof each === 'string'))
  );
}

/** What is no JSON is the text that it is. */
function readValue(text: string, property: PropertySchema | undefined): unknown {
  if (isText(property)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
