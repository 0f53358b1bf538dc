import { describe, expect, test } from 'vitest';
import { taggedTypes, types } from '../../src/filtering/detectors.ts';
import { filterText } from '../../src/filtering/filter-stream.ts';
import { loadPolicy } from '../../src/filtering/load-policy.ts';
import { longestMatch, openPattern } from '../../src/filtering/open-match.ts';
import { createRandom, type Random, type Sample, samples } from './samples.ts';

const all = loadPolicy({
  version: 1,
  name: 'all',
  rules: [{ entities: ['*'], action: 'mask' }],
  examples: [{ text: 'a', direction: 'input', gives: 'a' }],
});
const spansOf = (text: string) => filterText(text, all, 'input').spans;

const sentences = [
  (label: string, value: string) => `Hello, my ${label} is ${value}, thank you.`,
  (label: string, value: string) => `${label}: ${value}`,
  (label: string, value: string) => `She wrote down the ${label} ${value} and went home.`,
  (label: string, value: string) => `{"${label}": "${value}", "ok": true}`,
  (label: string, value: string) => `Is ${value} a ${label}? My ${label} is ${value}!`,
];

/** Numbers that are nobody's, as prose has them. */
const others: ((random: Random) => string)[] = [
  ({ two }) =>
    `On 20${two(10, 25)}-${two(1, 12)}-${two(1, 28)} at ${two(0, 23)}:${two(0, 59)}:${two(0, 59)} it rained.`,
  ({ many }) => `Order ${many(9, '0123456789')} and invoice ${many(11, '0123456789')} were sent.`,
  ({ below }) => `It costs ${below(900)},${100 + below(900)},${100 + below(900)}.${10 + below(90)} dollars.`,
  ({ below }) =>
    `Version ${below(20)}.${below(20)}.${below(20)}.${below(20)} is out, from ${1900 + below(100)}-${2000 + below(25)}.`,
  ({ many }) =>
    `commit ${many(40, '0123456789abcdef')} of ${many(8, '0123456789abcdef')}-${many(4, '0123456789abcdef')}-4${many(3, '0123456789abcdef')}`,
  ({ many }) => `The constant is 3.${many(15, '0123456789')}, or 0x${many(8, '0123456789abcdef')}.`,
];

/** One digit other than it was, where the value has its last but two. */
function nearMiss(value: string, { below }: Random): string {
  const places = [...value.matchAll(/\d/g)].map(({ index }) => index).slice(2);
  const at = places[below(places.length)];
  return `${value.slice(0, at)}${(Number(value[at]) + 1 + below(8)) % 10}${value.slice(at + 1)}`;
}

/** How many of the values are found, and how much of what is told as its type is one. */
function measure({ type, label, make, checked }: Sample, count: number) {
  const random = createRandom(5);
  let [found, told, right] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const value = make(random);
    const text = sentences[i % sentences.length](label, value);
    const spans = spansOf(text);
    const at = text.lastIndexOf(value);
    if (spans.some((span) => span.type === type && span.start <= at && span.end >= at + value.length))
      found++;
    for (const span of spans.filter((span) => span.type === type)) {
      told++;
      if (text.slice(span.start, span.end).includes(value)) right++;
    }
    const wrong = [...others.map((other) => other(random))];
    if (checked) wrong.push(sentences[i % sentences.length](label, nearMiss(value, random)));
    told += wrong.flatMap(spansOf).filter((span) => span.type === type).length;
  }
  return { recall: found / count, precision: told === 0 ? 0 : right / told };
}

test('every type has its samples', () => {
  expect(new Set(samples.map(({ type }) => type))).toEqual(
    new Set(types.filter((type) => !taggedTypes.some((tagged) => tagged === type))),
  );
});

describe('recall and precision', () => {
  test.each(samples)('$type', (sample) => {
    const { recall, precision } = measure(sample, 60);
    expect({ recall: recall >= 0.98, precision: precision >= 0.98 }, `${recall}, ${precision}`).toEqual({
      recall: true,
      precision: true,
    });
  });
});

describe('numbers that issuers and standards have published', () => {
  test.each([
    ['iban', 'GB82 WEST 1234 5698 7654 32'],
    ['iban', 'FR14 2004 1010 0505 0001 3M02 606'],
    ['card', '3782 822463 10005'],
    ['ethereum_address', '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed'],
    ['bitcoin_address', '1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2'],
    ['bitcoin_address', 'bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq'],
    ['bitcoin_address', 'bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0'],
    ['uk_nhs', 'NHS 943 476 5919'],
    ['fi_hetu', '131052-308T'],
    ['es_dni', '12345678Z'],
    ['nl_bsn', 'BSN 111222333'],
    ['pl_pesel', 'PESEL 44051401359'],
    ['be_national_number', '85.07.30-033.28'],
    ['it_codice_fiscale', 'RSSMRA85T10A562S'],
    ['ip_address', '2001:db8::8a2e:370:7334'],
    ['ip_address', '::ffff:93.184.216.34'],
  ])('%s %s', (type, text) => {
    expect(spansOf(`of ${text}.`).map((span) => span.type)).toEqual([type]);
  });
  test.each([
    '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD',
    '1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3',
    'std::vector::size',
    'at 10:30:15',
    'logo@2x.png',
    'in 1999-2004 he sold 12,345,678 hats',
    'I work at the dot point',
    '127.0.0.1',
    'meet me at 5 or at 12',
  ])('nothing in %s', (text) => {
    expect(spansOf(text)).toEqual([]);
  });
});

test('offsets count UTF-16 units of what was sent, whatever is seen of it', () => {
  const text = '😀 Ｊｏ＠ｍａｉｌ．ｏｒｇ, 4️⃣111\u200b1111\u00ad11111111 и jо@mаil.org';
  const card = text.slice(text.indexOf('4'), text.indexOf(' и'));
  expect(spansOf(`${text} ok`).map(({ start, end }) => text.slice(start, end))).toEqual([
    'Ｊｏ＠ｍａｉｌ．ｏｒｇ',
    card,
    'jо@mаil.org',
  ]);
});

test('a pattern without a bound is refused, and the open one matches where more could come', () => {
  expect(() => openPattern(/a+/g)).toThrow('is not bounded');
  expect(longestMatch(/a{2,5}(?:bc|d)?/g)).toBe(7);
  const open = openPattern(/(?<!\w)\d{2}(?:-\d{2}){1,2}(?!\w)/g);
  const openAt = (text: string) => text.search(open);
  expect(['1', '12-3', '12-34', '12-34-56', '12-34 ', 'x1', 'ab 12-'].map(openAt)).toEqual([
    0, 0, 0, 0, 6, -1, 3,
  ]);
});

test('a megabyte made against the patterns is read to its end', () => {
  for (const unit of [
    'a',
    'a@',
    'a@a.',
    '1',
    '-----BEGIN PRIVATE KEY-----',
    'eyJabcdefgh.',
    'eyJabcdefgh-',
    '%41',
    'a ',
    '\u202e',
    'a://b:c',
    '0x',
    'GB82',
    'aB3+',
    ':',
    '&#',
  ])
    expect(spansOf(unit.repeat(1e6 / unit.length)).length).toBeGreaterThanOrEqual(0);
});

describe('telephone numbers as people write them', () => {
  const phonesIn = (text: string) =>
    spansOf(text).flatMap(({ type, start, end }) => (type === 'phone' ? [text.slice(start, end)] : []));

  test.each([
    ['call me at 555-123-4567 or 001-541-754-3010x123', '555-123-4567', '001-541-754-3010x123'],
    ['on (541)754-3010x0123 or 541.754.3010', '(541)754-3010x0123', '541.754.3010'],
    ['+1-555-010-2000 ext. 44, or +44 20 7946 0018', '+1-555-010-2000 ext. 44', '+44 20 7946 0018'],
    ['Phone number is: 555 01 99 22 1. Reach me at 7654321.', '555 01 99 22 1', '7654321'],
    ['Telefon 030 / 1234567', '030 / 1234567'],
  ])('%s', (text, ...found) => {
    expect(phonesIn(text)).toEqual(found);
  });

  test.each([
    'She scored 123 456 7890 points in 2010-2015, on 10.12.2015, and paid 1,234,567.',
    '| 101 | Smart Phone | 2020-01-01 | 1 | Electronics |',
    'His phone has 12000000 transistors.',
    'Ticket 555-123-456 of order 100-200-3000.',
  ])('none: %s', (text) => {
    expect(phonesIn(text)).toEqual([]);
  });
});
