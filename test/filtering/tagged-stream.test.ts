import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadPolicy } from '../../src/filtering/load-policy.ts';
import { needsTagger, type Policy } from '../../src/filtering/policy.ts';
import type { Tagger } from '../../src/filtering/tag.ts';
import { wordsIn, wordsOfText } from '../../src/filtering/tag-features.ts';
import { createSpanReader } from '../../src/filtering/tag-spans.ts';
import { createTaggedStream, filterTaggedText } from '../../src/filtering/tagged-stream.ts';
import { randomTagger } from '../fixtures/random-tagger.ts';

const policyOf = (...rules: object[]): Policy =>
  loadPolicy({
    ...{ version: 1, name: 'test', min_score: 0, rules, callers: { a: 'a'.repeat(64) } },
    examples: [{ text: 'no', direction: 'input', gives: 'no' }],
  });
const replacing = policyOf({ entities: ['*'], action: 'replace' });

let tagger: Tagger;
beforeAll(async () => {
  tagger = await randomTagger(3);
});

const fragments = [
  ...[
    'Maria',
    'O’Brien',
    'van',
    'der',
    'Straße',
    'STREET',
    '12b',
    '62704',
    'a',
    'é',
    'Ｍａｒｉａ',
    '\u200bMa\u00adria',
  ],
  ...[
    ' ',
    ' ',
    ' ',
    ' ',
    '\n',
    '\n\n ',
    '\t',
    ', ',
    '. ',
    '-',
    '"',
    '😀',
    '👩‍👩‍👧',
    'हिन्दी',
    '\ud83d',
    '\\n',
    '日本',
  ],
  ...[
    'jo@mail.org',
    '4111 1111 1111 1111',
    'x'.repeat(90),
    '7'.repeat(45),
    ' '.repeat(60),
    'e\u0301'.repeat(3),
  ],
];

describe('a stream with a tagger', () => {
  test('gives what the whole gives, whatever its pieces', async () => {
    const texts = fc.array(fc.constantFrom(...fragments), { maxLength: 60 }).map((parts) => parts.join(''));
    await fc.assert(
      fc.asyncProperty(
        texts,
        fc.array(fc.integer({ min: 0, max: 25 }), { maxLength: 40 }),
        async (text, sizes) => {
          const whole = await filterTaggedText(text, replacing, 'input', tagger);
          const stream = createTaggedStream(replacing, 'input', tagger);
          const pieces = [];
          let at = 0;
          for (const size of sizes) {
            pieces.push(await stream.push(text.slice(at, at + size)));
            at += size;
          }
          for (const unit of text.slice(at).split('')) pieces.push(await stream.push(unit));
          pieces.push(await stream.end());
          expect(pieces.map((piece) => piece.text).join('')).toBe(whole.text);
          expect(pieces.flatMap(({ spans }) => spans)).toEqual(whole.spans);
        },
      ),
      { numRuns: 250 },
    );
  });

  test('finds something everywhere, at places that are words of what was sent', async () => {
    const text = 'Ｍａｒｉａ\u200b Gonzalez lives at 12 Oak\u00ad Street, Springfield. '.repeat(30);
    const { spans } = await filterTaggedText(text, replacing, 'input', tagger);
    const found = spans.filter(({ type }) => type === 'person_name' || type === 'street_address');
    expect(found.length).toBeGreaterThan(10);
    const words = wordsOfText(text);
    for (const { start, end } of found) {
      expect(words.some(({ from }) => from === start)).toBe(true);
      expect(words.some(({ to }) => to === end)).toBe(true);
    }
  });

  test('holds back no more than the span that is open and the words that are still to be seen', async () => {
    const stream = createTaggedStream(replacing, 'input', tagger);
    let [sent, most] = [0, 0];
    const words =
      'Maria Gonzalez lives at 12 Oak Street , Springfield and we do not know why she moved there . '.repeat(
        20,
      );
    let got = 0;
    for (const word of words.match(/\S+ /g)!) {
      sent += word.length;
      const { spans } = await stream.push(word);
      for (const { end } of spans) got = Math.max(got, end);
      most = Math.max(most, sent - got);
    }
    // 48 words of a span at most, three behind it, and the last one.
    expect(most).toBeLessThan(52 * 12);
  });

  test('is given pieces without waiting, and answers in order', async () => {
    const text = 'Maria Gonzalez, 12 Oak Street, Springfield, IL 62704. '.repeat(5);
    const whole = await filterTaggedText(text, replacing, 'input', tagger);
    const stream = createTaggedStream(replacing, 'input', tagger);
    const pieces = await Promise.all([
      ...text.match(/.{1,7}/gs)!.map((piece) => stream.push(piece)),
      stream.end(),
    ]);
    expect(pieces.map((piece) => piece.text).join('')).toBe(whole.text);
  });

  test('refuses what could not be tagged, or took too long', async () => {
    const broken: Tagger = {
      ...tagger,
      tag: () => Promise.reject(new Error('Maria Gonzalez')),
    };
    const { refused, text } = await filterTaggedText('Maria Gonzalez', replacing, 'input', broken);
    expect([text, refused]).toEqual(['', { message: expect.not.stringContaining('Maria') }]);
    let time = 0;
    const slow = await filterTaggedText('word '.repeat(1000), replacing, 'input', tagger, {
      now: () => (time += 3000),
    });
    expect(slow.refused?.message).toContain('could not be made');
  });

  test('is asked only where a policy acts on what it finds', async () => {
    const masking = policyOf({ entities: ['identity'], action: 'mask', directions: ['output'], keys: ['a'] });
    expect([
      needsTagger(masking, 'output', 'a'),
      needsTagger(masking, 'output', 'b'),
      needsTagger(masking, 'input', 'a'),
    ]).toEqual([true, false, false]);
    const { text } = await filterTaggedText('jo@mail.org', replacing, 'input', undefined);
    expect(text).toBe('[EMAIL_1]');
  });
});

test('words are letters, digits, single signs and ends of lines, the longest cut', () => {
  const words = wordsIn('O’Neil 12b,\n\n  x');
  expect(words.map(({ text }) => text)).toEqual(['O', '’', 'Neil', '12', 'b', ',', '\n\n  ', 'x']);
  expect(words.map(({ apart }) => apart)).toEqual([true, false, false, true, false, false, false, false]);
  expect(wordsIn('a'.repeat(90)).map(({ text }) => text.length)).toEqual([40, 40, 10]);
});

test('spans begin at B, go on with I, and end at O, another type, or after 48 words', () => {
  const reader = createSpanReader(['name', 'place']);
  const tagged = (tag: number) => Array.from({ length: 5 }, (_, i) => (i === tag ? 0.8 : 0.05));
  const spans = [1, 2, 0, 2, 4, 3, 4, 4].map((tag) => reader.next(tagged(tag)));
  const told = [...spans, reader.end()].flatMap((span) => (span ? [[span.type, span.first, span.end]] : []));
  expect(told).toEqual([
    ['name', 0, 2],
    ['name', 3, 4],
    ['place', 4, 5],
    ['place', 5, 8],
  ]);
  // A word that is less likely of a name than not, and one that may well begin another, go on with one.
  const unsure = createSpanReader(['name']);
  const scores = [
    [0.1, 0.8, 0.1],
    [0.6, 0.1, 0.3],
    [0.1, 0.6, 0.3],
    [0.8, 0.1, 0.1],
  ];
  const ended = scores.map((each) => unsure.next(each)).filter(Boolean);
  expect(ended).toEqual([{ type: 'name', first: 0, end: 3, probability: expect.closeTo(2.2 / 3) }]);
  const long = createSpanReader(['name']);
  const ends = Array.from({ length: 60 }, () => long.next([0, 0, 1])?.end);
  expect(ends.filter(Boolean)).toEqual([48]);
});
