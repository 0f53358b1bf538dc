import { expect, test } from 'vitest';
import { InvalidInputError } from '../../../src/generation/parameters.ts';
import { sentencePiece, shipped, write } from './write.ts';

const patterns = [
  'yes|no|maybe',
  '^(yes|no)$',
  '[A-Z][a-z]{2,6}( [A-Z][a-z]{2,6}){0,2}',
  '\\d{3}-\\d{4}',
  '[^\\d\\s]{4}',
  '(?:a|b)*?c+?',
  '(?<year>[0-9]{4})-(?:0[1-9]|1[0-2])',
  '.{5,9}!',
  '\\p{Script=Greek}{3}\\P{L}{2}',
  '[\\w.-]+@[\\w-]+\\.com',
  '"[^"\\\\]{0,5}(\\\\["n])?"',
  '\\x41\\u00e9\\u{1F600}\\ud83d\\ude01\\cJ\\t\\0',
  '[\\x00-\\x1f\\b]{2}',
  '\\{"a": \\d+\\}',
  '(((a?){3})?){3}x',
  'é|ü|漢字',
];

test.each(patterns)('what is written matches %s', (pattern) => {
  const whole = new RegExp(`^(?:${pattern})$`, 'u');
  for (const vocabulary of [shipped, sentencePiece]) {
    for (let seed = 0; seed < 8; seed++) {
      const { text, complete } = write({ type: 'regex', pattern }, seed, 60, vocabulary);
      expect(complete, text).toBe(true);
      expect(text).toMatch(whole);
    }
  }
});

test.each([
  '(a*)*b',
  '(a|a)*b',
  '(a*a*a*a*)*b',
  '((a{1,200}){1,200}){1,20}b',
  '(.*.*.*)*x',
  `${'a?'.repeat(200)}${'a'.repeat(200)}`,
  '(x+x+)+y',
])('what makes other engines run for ever is written: %s', (pattern) => {
  const { text, tokens } = write({ type: 'regex', pattern }, 1, 40);
  expect(tokens).toBeGreaterThan(0);
  expect(text.length).toBeGreaterThan(0);
});

test.each([
  ['', /never|regular/],
  ['(', /not a regular expression/],
  ['a{3,2}', /not a regular expression/],
  ['a(?!b)', /cannot be enforced/],
  ['(?<=a)b', /cannot be enforced/],
  ['\\bword', /word boundary/],
  ['(a)\\1', /back reference/],
  ['a^b', /anchor/],
  ['(a$)b', /anchor/],
  ['\\p{Script=Klingon}', /./],
  ['a{9999999}', /million/],
  ['(ab){200000}', /too large/],
  ['[\\p{L}-\\p{N}'.repeat(10), /not a regular expression/],
  ['('.repeat(60) + ')'.repeat(60), /in one another/],
  ['a'.repeat(10_001), /at most/],
  ['[^\\s\\S]', /never be met/],
])('is refused: %s', (pattern, sentence) => {
  const refused = () => write({ type: 'regex', pattern, at: 'regex' }, 1);
  if (pattern === '') expect(write({ type: 'regex', pattern }, 1).text).toBe('');
  else {
    expect(refused).toThrow(InvalidInputError);
    expect(refused).toThrow(
      expect.objectContaining({ param: 'regex', message: expect.stringMatching(sentence) }),
    );
  }
});
