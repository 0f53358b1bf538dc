import { expect, test } from 'vitest';
import type { StructuralFormat } from '../../../src/generation/constraint/constraint.ts';
import { InvalidInputError } from '../../../src/generation/parameters.ts';
import { shipped, write } from './write.ts';

const grammars: readonly [grammar: string, matches: RegExp][] = [
  ['root ::= "yes" | "no"', /^(yes|no)$/],
  [
    '# arithmetic\nroot ::= expr "="\nexpr ::= term (("+" | "-") term)*\nterm ::= [0-9]+ | "(" expr ")"\n',
    /^[-+()\d]+=$/,
  ],
  ['root   ::= item{2,4}\nitem ::= "- " [^\\n]{1,5} "\\n"', /^(- [^\n]{1,5}\n){2,4}$/u],
  ['root ::= \'a\' b? | b\nb ::= "\\x41\\u00e9" .', /^(a|(a?Aé.))$/su],
  ['root ::=\n  "a"\n  "b" |\n  "c"\nunused ::= "x"', /^(ab|c)$/],
  ['root ::= s\ns ::= "a" s "b" | "a" s "c" | "x"', /^a*x[bc]*$/],
  ['root ::= [a-c\\]-]{3}', /^[abc\]-]{3}$/],
  ['root ::= ("ab"){2} "c"{1,} ([x] | "y"){0,2}', /^ababc+[xy]{0,2}$/],
];

test.each(grammars)('what is written is of the grammar %#', (grammar, matches) => {
  for (let seed = 0; seed < 10; seed++) {
    const { text, complete } = write({ type: 'grammar', grammar }, seed, 60);
    expect(complete, text).toBe(true);
    expect(text).toMatch(matches);
  }
});

test('brackets are closed, however many are open at the limit', () => {
  const grammar = 'root ::= "(" root* ")" | "[" root "]" | "x"';
  for (let seed = 0; seed < 20; seed++) {
    const { text } = write({ type: 'grammar', grammar }, seed, 70);
    let rest = text;
    for (let before = ''; rest !== before; ) {
      before = rest;
      rest = rest.replace(/\(x*\)|\[x\]/g, 'x');
    }
    expect(rest, text).toBe('x');
  }
});

test.each([
  ['', /no rule "root"/],
  ['root', /"::=" is expected/],
  ['root = "a"', /"::=" is expected/],
  ['start ::= "a"', /no rule "root"/],
  ['root ::= other', /line 1, there is no rule "other"/],
  ['root ::= "a"\nroot ::= "b"', /line 2, the rule "root" is there already/],
  ['root ::= root "a" | "a"', /"root" can begin with itself/],
  ['root ::= a\na ::= b? c\nb ::= "x"\nc ::= a "y" | "z"', /can begin with itself/],
  ['root ::= "a" root', /never be met/],
  ['root ::= "a', /no end/],
  ['root ::= [a', /no end/],
  ['root ::= [z-a]', /wrong way round/],
  ['root ::= ("a"', /"\)" is expected/],
  ['root ::= "a" )', /not expected/],
  ['root ::= "a"{3,2}', /wrong way round/],
  ['root ::= "a"{x}', /repetition/],
  ['root ::= "\\ud800"', /no character/],
  ['root ::= "a"{999999}', /too large/],
  [`root ::= ${'('.repeat(60)}"a"${')'.repeat(60)}`, /in one another/],
  [`root ::= "${'a'.repeat(100_001)}"`, /at most/],
  ['\ud800', /well-formed/],
])('is refused: %s', (grammar, sentence) => {
  const refused = () => write({ type: 'grammar', grammar, at: 'grammar' }, 1);
  expect(refused).toThrow(InvalidInputError);
  expect(refused).toThrow(
    expect.objectContaining({ param: 'grammar', message: expect.stringMatching(sentence) }),
  );
});

test('what can be read in too many ways is refused, and others go on', () => {
  const rules = Array.from(
    { length: 1500 },
    (_, i) => `r${i} ::= [a-z] r${(i * 7) % 1500}? r${(i * 13) % 1500}? "${i}"`,
  );
  const grammar = `root ::= ${rules.map((_, i) => `r${i}`).join(' | ')}\n${rules.join('\n')}`;
  expect(() => write({ type: 'grammar', grammar }, 1, 20)).toThrow(/too ambiguous|too large/);
  expect(write({ type: 'regex', pattern: 'ok' }, 1).text).toBe('ok');
});

const call: StructuralFormat = {
  type: 'tag',
  begin: '<call>',
  content: {
    type: 'json_schema',
    json_schema: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] },
  },
  end: '</call>',
};
const calls: readonly [format: StructuralFormat, matches: RegExp][] = [
  [
    { type: 'triggered_tags', triggers: ['<call>'], tags: [call] },
    /^(?:(?!<call>)[\s\S])*(?:<call>\{"n": ?-?\d+\}<\/call>(?:(?!<call>)[\s\S])*)*$/,
  ],
  [
    { type: 'triggered_tags', triggers: ['<c'], tags: [call], at_least_one: true, stop_after_first: true },
    /^<call>\{"n": ?-?\d+\}<\/call>$/,
  ],
  [
    { type: 'tags_with_separator', tags: [call], separator: ', ', at_least_one: true },
    /^<call>[^<]*<\/call>(?:, <call>[^<]*<\/call>)*$/,
  ],
  [
    {
      type: 'sequence',
      elements: [
        { type: 'const_string', value: 'a' },
        { type: 'or', elements: [call, { type: 'regex', pattern: '\\d{2}' }] },
      ],
    },
    /^a(?:<call>[^<]*<\/call>|\d\d)$/,
  ],
  [
    { type: 'tag', begin: '<think>', content: { type: 'any_text' }, end: '</think>' },
    /^<think>(?:(?!<\/think>)[\s\S])*<\/think>$/,
  ],
  [{ type: 'any_text', excludes: ['aab', 'é'] }, /^(?:(?!aab|é)[\s\S])*$/],
  [{ type: 'grammar', grammar: 'root ::= "x"+' }, /^x+$/],
];

test.each(calls)('free text with constrained stretches %#', (format, matches) => {
  for (let seed = 0; seed < 12; seed++) {
    const { text, complete } = write({ type: 'structural_tag', format }, seed, 60);
    expect(complete, text).toBe(true);
    expect(text).toMatch(matches);
  }
});

test('a mark that is shown is part of the text; others are never taken', () => {
  const id = [...shipped.ends][0];
  expect(shipped.tokenizer.spelling(id)).toBeUndefined();
  expect(new TextDecoder().decode(shipped.tokenizer.spelling(id, 'a <end> b'))).toBe('<end>');
});
