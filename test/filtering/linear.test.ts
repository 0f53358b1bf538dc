/** No text takes the filter long: by the patterns' automata, and by texts that are made to. */
import { describe, expect, test } from 'vitest';
import { carriers, rightToLeft } from '../../src/filtering/carriers.ts';
import { detectors } from '../../src/filtering/detectors.ts';
import { injectionRules } from '../../src/filtering/injection.ts';
import { openPattern } from '../../src/filtering/open-match.ts';
import { createScan } from '../../src/filtering/scan.ts';
import { growth } from './ambiguity.ts';
import { createRandom, samples } from './samples.ts';

/** All that the filter runs over a text, by its source. */
const patterns = new Map(
  [
    ...detectors.flatMap(({ type, pattern, hint, written, context, against }) =>
      [pattern, openPattern(pattern), hint, written, context, against].map((each) => [type, each] as const),
    ),
    ...injectionRules.map(({ why, pattern }) => [why, pattern] as const),
    ...[...carriers, rightToLeft].flatMap(({ name, pattern, hint }) =>
      [pattern, openPattern(pattern), hint].map((each) => [name, each] as const),
    ),
  ].flatMap(([name, each]) => (each instanceof RegExp ? [[String(each), { name, pattern: each }]] : [])),
);

describe('the work of a pattern', () => {
  test.each([
    [/(?:a|a)*b/, 'exponential'],
    [/(?:a{1,64}){1,64}b/, 'exponential'],
    [/(?:\w+\s?)*$/, 'exponential'],
    [/(?<!x)(?:ab|a|b){0,99}c/i, 'exponential'],
    [/(?:a?b?){20}c/, 'exponential'],
    [/a*a*b/, 'polynomial'],
    [/[\w.]{1,64}(?:\.\w{1,63}){1,20}@/, 'polynomial'],
    [/(?:[a-z]\d?)+[a-z]+!/, 'polynomial'],
    [/\d*\w{20}/, 'linear'],
    [/x+yx+z/, 'linear'],
    [/(?:[a-z]\d)+[a-z]+!/, 'linear'],
    [/(?:\w+\s)*$/, 'linear'],
    [/[\w.]{1,64}@(?:\w{1,63}\.){1,20}com/, 'linear'],
  ] as const)('%s: %s', (pattern, expected) => {
    expect(growth(pattern)).toBe(expected);
  });

  test('is in proportion to the text, with each that the filter has', () => {
    const others = [...patterns.values()].filter(({ pattern }) => growth(pattern) !== 'linear');
    expect(others).toEqual([]);
    const few = [...patterns.values()].filter(({ pattern }) => growth(pattern, 4) === 'exponential');
    expect(few).toEqual([]);
    expect(patterns.size).toBeGreaterThan(100);
  });
});

/** Beginnings, ends and almost-matches of every type, each again and again. */
const hostile = [
  ...samples.flatMap(({ type, make }) => {
    const value = make(createRandom(3));
    const head = value.slice(0, Math.ceil(value.length / 2));
    return [
      [`${type} without its end`, value.slice(0, -1)],
      [`${type}, its first half`, head],
      [`${type} after itself`, `${value}${value.at(-1)}`],
    ] as const;
  }),
  ...[
    '1',
    '1 ',
    '1-',
    'a',
    'a.',
    'a@',
    '@',
    '%41',
    '&#',
    '\\u00',
    'A',
    ':',
    'a:',
    '0x',
    '\u202e',
    'a b ',
    '(',
  ].map((unit) => [JSON.stringify(unit), unit] as const),
];

test('a text four times as long takes about four times as long, whatever is in it', {
  timeout: 120_000,
}, () => {
  /** In milliseconds of the processor, whatever else it does. */
  const time = (text: string) => {
    const began = process.cpuUsage();
    createScan().push(text, true);
    return process.cpuUsage(began).user / 1000;
  };
  const slow = hostile.filter(([, unit]) => {
    const text = (length: number) => unit.repeat(Math.ceil(length / unit.length));
    // Work that grows as the square takes 16 times as long.
    const grows = (length: number) => time(text(4 * length)) >= 10 * time(text(length)) + 50;
    // Short units have the most places at which a match may begin.
    const length = unit.length < 5 ? 60_000 : 2_500;
    return [1, 2, 3].every(() => grows(length));
  });
  expect(slow.map(([name]) => name)).toEqual([]);
});
