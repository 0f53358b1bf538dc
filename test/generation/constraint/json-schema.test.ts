import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { describe, expect, test } from 'vitest';
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
  ['byte-level', shipped],
  ['SentencePiece', sentencePiece],
])('with tokens that are %s', (_, vocabulary) => {
  test.each(named)('all that is written is valid: %s', (_, schema) => {
    for (let seed = 1; seed <= 12; seed++) {
      const { text, complete } = write(
        { type: 'json_schema', schema },
        seed,
        seed % 3 === 0 ? 400 : 120,
        vocabulary,
      );
      expect(complete, text).toBe(true);
      expect(fault(schema, text)).toBeUndefined();
    }
  });
});
