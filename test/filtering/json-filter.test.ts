import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createFilterStream } from '../../src/filtering/filter-stream.ts';
import { createJsonFilter, isJson } from '../../src/filtering/json-filter.ts';
import { loadPolicy } from '../../src/filtering/load-policy.ts';
import type { Action } from '../../src/filtering/policy.ts';

const policyOf = (action: Action) =>
  loadPolicy({
    version: 1,
    name: 'test',
    rules: [{ entities: ['*'], action }],
    examples: [{ text: 'no', direction: 'input', gives: 'no' }],
  });
const policies = { mask: policyOf('mask'), replace: policyOf('replace'), refuse: policyOf('refuse') };

async function filtered(pieces: readonly string[], action: keyof typeof policies = 'mask') {
  const stream = createJsonFilter(createFilterStream(policies[action], 'output'));
  let text = '';
  for (const piece of pieces) {
    const told = await stream.push(piece);
    text += told.text;
    if (told.refused) return { text, refused: told.refused };
  }
  const { refused, ...end } = await stream.end();
  return { text: text + end.text, refused };
}

test.each([
  ['{"a": "jo@mail.org", "b": 1}', { a: '***********', b: 1 }],
  ['{"card":"4111\\u00201111\\u00201111\\u00201111"}', { card: '*******************' }],
  ['{"card":"\\u0034111 1111 1111 1111"}', { card: '*******************' }],
  ['{"card": 4111111111111111, "n": 12}', { card: '*'.repeat(16), n: 12 }],
  ['[-4111111111111111]', [`-${'*'.repeat(16)}`]],
  [
    '{"say \\"jo@mail.org\\"": "\\\\\\/\\n\\u00e9 \\ud83d\\ude00"}',
    { 'say "***********"': '\\/\n\u00e9 \u{1f600}' },
  ],
  ['{"a":{"b":["x","jo@mail.org",["ann@mail.org"]]}}', { a: { b: ['x', '***********', ['************']] } }],
])('%s is masked in its strings, and is JSON', async (json, value) => {
  const { text } = await filtered([json]);
  expect(JSON.parse(text)).toEqual(value);
});

test('what nothing is found in stays to the character, JSON or not', async () => {
  for (const text of [
    '{"a" : "\\u00e9\\/ \\ud83d\\ude00", "b":\t[-1.5e3, true]}',
    '{"cut": "\\u00',
    'no JSON: "\\x \\" - ',
    '{"a": "\\',
    '-',
    '',
  ])
    expect((await filtered([text])).text).toBe(text);
});

test('placeholders and refusals', async () => {
  expect((await filtered(['{"to": "jo@mail.org"}'], 'replace')).text).toBe('{"to": "[EMAIL_1]"}');
  expect(await filtered(['{"n": 1, "to": "jo\\u0040mail.org"}'], 'refuse')).toMatchObject({
    text: '{"n": 1, "to": "',
    refused: { type: 'email' },
  });
});

const values = [
  'jo@mail.org',
  '4111 1111 1111 1111',
  'DE89 3704 0044 0532 0130 00',
  'a "word"',
  '\\',
  'é\u{1f600}',
  '',
];
const strings = fc.array(fc.constantFrom(...values), { maxLength: 3 }).map((parts) => parts.join(' '));
const anyJson = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    strings,
    fc.constantFrom(-4111111111111111, 4111111111111111, 3, -1.5, true, null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(strings, tie('value'), { maxKeys: 3 }),
  ),
})).value;
/** Some characters as escapes. */
const escapedJson = fc
  .tuple(anyJson, fc.infiniteStream(fc.boolean()))
  .map(([value, some]) =>
    JSON.stringify(value).replace(/[\w@. ](?=[^"]*"(?:[^"]*"[^"]*")*[^"]*$)/g, (character) =>
      some.next().value && !/[\d-]/.test(character)
        ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
        : character,
    ),
  )
  .filter((text) => {
    try {
      JSON.parse(text);
      return true;
    } catch {
      return false;
    }
  });

test('numbers of a list are found one by one', async () => {
  for (const json of [
    '[1,2,4111111111111111]',
    '[-4111111111111111,4111111111111111]',
    '[5,[4111111111111111,0]]',
  ])
    expect((await filtered([json])).text, json).not.toContain('4111');
  expect((await filtered(['[4111,1111,1111,1111]'])).text).toBe('[4111,1111,1111,1111]');
});

test('any JSON stays JSON of the same shape, without what was found, the same in any pieces', async () => {
  await fc.assert(
    fc.asyncProperty(escapedJson, fc.array(fc.nat({ max: 60 }), { maxLength: 12 }), async (json, cuts) => {
      const whole = (await filtered([json])).text;
      const at = [...new Set(cuts.map((cut) => Math.min(cut, json.length)))].sort((a, b) => a - b);
      const pieces = [0, ...at].map((from, i) => json.slice(from, at[i]));
      expect((await filtered(pieces)).text).toBe(whole);
      expect((await filtered([...json])).text).toBe(whole);
      const [before, after] = [JSON.parse(json), JSON.parse(whole)] as unknown[];
      expect(shape(after)).toEqual(shape(before));
      expect(JSON.stringify(after)).not.toMatch(/4111 ?1111|@mail|DE89/);
    }),
    { numRuns: 300 },
  );
});

/** Lists, objects and what is in none of them; names may be masked to the same one. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shape);
  if (typeof value === 'object' && value !== null) return 'object';
  return typeof value === 'number' && Math.abs(value) > 1e9 ? 'string' : typeof value;
}

test('only objects and lists are taken for JSON', () => {
  expect(['{"a":1}', ' [1]', '"a"', '1', '{', 'text', '[link](x)'].map(isJson)).toEqual([
    ...[true, true, false, false, false, false, false],
  ]);
});
