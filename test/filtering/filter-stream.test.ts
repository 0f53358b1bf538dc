import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createFilterStream, type FilterSpan, filterText } from '../../src/filtering/filter-stream.ts';
import { defaultPolicy, loadPolicy } from '../../src/filtering/load-policy.ts';
import { createPlaceholders, createRestoreStream } from '../../src/filtering/placeholders.ts';
import type { Action } from '../../src/filtering/policy.ts';
import { createRandom, samples } from './samples.ts';

const policyOf = (
  ...rules: { entities: string[]; action: Action; keys?: string[]; directions?: string[] }[]
) =>
  loadPolicy({
    version: 1,
    name: 'test',
    callers: { staff: 'a'.repeat(64) },
    rules,
    examples: [{ text: 'no', direction: 'input', gives: 'no' }],
  });
const replacing = policyOf({ entities: ['*'], action: 'replace' });

const random = createRandom(11);
const values = samples.flatMap(({ make }) => [make(random), make(random)]);
const fragments = [
  ...values,
  ...values.map((value) => value.slice(0, value.length >> 1)),
  ...values.map((value) => value.slice(value.length >> 1)),
  ...values.map((value) => [...value].join(' ')),
  ...values.slice(0, 20).map((value) => Buffer.from(`my mail jo@mail.org ${value}`).toString('base64')),
  ...values.map((value) => `\u202e${[...value].reverse().join('')}\u202c`),
  ...values.map((value) =>
    encodeURIComponent(value).replace(/[a-e]/g, (c) => `%${c.charCodeAt(0).toString(16)}`),
  ),
  ...[
    ' ',
    ' ',
    '.',
    '\n',
    '@',
    ' at ',
    ' dot ',
    '-',
    '+49 ',
    '\u200b',
    '\u00ad',
    'é',
    '👩‍👩‍👧',
    '😀',
    'हिन्दी',
    'می‌خواهم',
    '４',
    '\ud83d',
    '\\n',
    '[',
    'x',
    '7',
  ],
  ...samples.map(({ label }) => ` ${label} `),
];

describe('a stream', () => {
  test('gives what the whole gives, whatever its pieces', () => {
    const policies = [
      replacing,
      defaultPolicy(),
      policyOf({ entities: ['card', 'email'], action: 'refuse' }, { entities: ['*'], action: 'mask' }),
    ];
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            { weight: 4, arbitrary: fc.constantFrom(...fragments) },
            fc.string({ unit: 'binary', maxLength: 4 }),
          ),
          { maxLength: 5 },
        ),
        fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 6 }),
        fc.constantFrom(...policies),
        (parts, lengths, policy) => {
          const text = parts.join('');
          const whole = filterText(text, policy, 'output');
          const stream = createFilterStream(policy, 'output');
          let given = '';
          const spans: FilterSpan[] = [];
          let refused: unknown;
          const take = (piece: ReturnType<typeof stream.end>) => {
            given += piece.text;
            spans.push(...piece.spans);
            refused = piece.refused;
          };
          for (let at = 0, i = 0; at < text.length; i++) {
            // Single units, mostly; some pieces are longer, some are empty.
            const length =
              lengths[i % lengths.length] > 6
                ? lengths[i % lengths.length] * 3
                : lengths[i % lengths.length] === 0 && i % 7 === 0
                  ? 0
                  : 1;
            take(stream.push(text.slice(at, at + length)));
            at += length;
          }
          take(stream.end());
          expect({ text: given, spans, refused }).toEqual({
            text: whole.text,
            spans: whole.spans,
            refused: whole.refused,
          });
        },
      ),
      { numRuns: Number(process.env.WICK_STREAM_CASES ?? 10_000) },
    );
  }, 600_000);

  test('gives what the whole gives where the signs that speak for a match come behind others', () => {
    const text = '763-52-4464604109149\u202e042 886 098 78\u202c0-930S';
    const whole = filterText(text, replacing, 'output');
    for (let cut = 1; cut < text.length; cut++) {
      const stream = createFilterStream(replacing, 'output');
      const pieces = [stream.push(text.slice(0, cut)), stream.push(text.slice(cut)), stream.end()];
      expect(pieces.flatMap(({ spans }) => spans)).toEqual(whole.spans);
    }
  });

  test('holds back no more than may become a match', () => {
    const stream = createFilterStream(replacing, 'output');
    expect(stream.push('Dear reader, this is ').text).toBe('Dear reader, this ');
    expect(stream.push('a test, ').text).toBe('is a test, ');
    expect(stream.push('jo@ma').text).toBe('');
    expect(stream.push('il.org').text).toBe('');
    expect(stream.push(' yes').text).toBe('[EMAIL_1] ');
    expect(stream.end().text).toBe('yes');
  });

  test('changes nothing where nothing is found', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('हिन्दी में', 'می‌خواهم', '👩‍👩‍👧', '🏴󠁧󠁢󠁥󠁮󠁧󠁿', 'שלום', 'e\u0301', 'ﬁne', ' ')),
        (words) => {
          expect(filterText(words.join(''), replacing, 'input').text).toBe(words.join(''));
        },
      ),
    );
  });
});

describe('actions', () => {
  const text = 'Write to jo@mail.org or JO@mail.org, not ka@mail.org.';
  test.each([
    ['allow', text],
    ['mask', 'Write to *********** or ***********, not ***********.'],
    ['replace', 'Write to [EMAIL_1] or [EMAIL_1], not [EMAIL_2].'],
    ['refuse', 'Write to '],
  ] as const)('%s', (action, gives) => {
    const result = filterText(text, policyOf({ entities: ['email'], action }), 'input');
    expect(result.text).toBe(gives);
    expect(result.refused?.type).toBe(action === 'refuse' ? 'email' : undefined);
  });

  test('a hash is the same for the same value and secret, and needs one', () => {
    const hashing = loadPolicy({
      version: 1,
      name: 'h',
      rules: [{ entities: ['email'], action: 'hash' }],
      examples: [{ text: 'a', direction: 'input', gives: 'a' }],
    });
    const by = (secret: string) => filterText('jo@mail.org jo@mail.org', hashing, 'input', { secret }).text;
    expect(by('one')).toMatch(/^(\[EMAIL:[\da-f]{16}\]) \1$/);
    expect(by('one')).not.toBe(by('two'));
    expect(() => createFilterStream(hashing, 'input')).toThrow('needs a secret');
  });

  test('rules are for entities or groups, directions and keys; the first that fits decides', () => {
    const policy = policyOf(
      { entities: ['email'], action: 'allow', keys: ['staff'] },
      { entities: ['contact'], action: 'mask', directions: ['output'] },
    );
    const by = (direction: 'input' | 'output', key?: string) =>
      filterText('jo@mail.org', policy, direction, { key }).text;
    expect([by('input'), by('output'), by('output', 'staff')]).toEqual([
      'jo@mail.org',
      '***********',
      'jo@mail.org',
    ]);
  });

  test('values come back where their placeholders stand, in any pieces', () => {
    const placeholders = createPlaceholders();
    const sent = filterText('I am jo@mail.org, card 4111 1111 1111 1111', replacing, 'input', {
      placeholders,
    }).text;
    expect(sent).toBe('I am [EMAIL_1], card [CARD_1]');
    const restore = createRestoreStream(placeholders);
    const answer =
      [...`Hello [EMAIL_1] [1] [CARD_1] [CARD_9] [EMAIL`].map((unit) => restore.push(unit)).join('') +
      restore.end();
    expect(answer).toBe('Hello jo@mail.org [1] 4111 1111 1111 1111 [CARD_9] [EMAIL');
  });

  test('a check that throws, or takes too long, refuses and says so, without the text', () => {
    const throwing = () => ({
      push(): never {
        throw new Error('secret text');
      },
    });
    const failed = filterText('secret text', replacing, 'input', { scans: [throwing] });
    expect(failed).toEqual({
      text: '',
      spans: [],
      refused: { message: 'A check of the text could not be made, so it is refused.' },
    });
    let clock = 0;
    const slow = filterText('a text', replacing, 'input', { now: () => (clock += 4000) });
    expect(slow.refused?.message).toContain('could not be made');
  });
});

describe('a broken policy does not load', () => {
  const good = {
    version: 1,
    name: 'p',
    rules: [{ entities: ['email'], action: 'mask' }],
    examples: [{ text: 'a@b.de', direction: 'input', gives: '******' }],
  };
  test.each([
    ['{', 'The policy is not JSON'],
    [{ ...good, version: 2 }, 'broken at version'],
    [{ ...good, rules: [{ entities: ['emial'], action: 'mask' }] }, '"emial" is no type of entity'],
    [{ ...good, rules: [{ entities: ['email'], action: 'hide' }] }, 'broken at rules.0.action'],
    [{ ...good, examples: [] }, 'broken at examples'],
    [{ ...good, extra: 1 }, 'broken at its top'],
    [
      { ...good, examples: [{ text: 'a@b.de', direction: 'input', gives: 'a@b.de' }] },
      'Example 1 of the policy "p" does not come true: it gives "******", not "a@b.de"',
    ],
    [
      { ...good, examples: [{ text: 'a@b.de', direction: 'input', gives: '******', refused: 'email' }] },
      'refused for nothing, not for email',
    ],
  ])('%j', (policy, message) => {
    expect(() => loadPolicy(policy)).toThrow(message);
    expect(loadPolicy(good).name).toBe('p');
  });
});
