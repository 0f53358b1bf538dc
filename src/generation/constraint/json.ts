/** JSON as expressions: compact, with at most one space behind commas and colons, so that white space comes to an end. */
import {
  anyCharacter,
  type CodeRange,
  choice,
  type Expression,
  intersectionOf,
  oneOf,
  optional,
  repeat,
  rule,
  sequence,
  text,
} from './expression.ts';

export const comma = sequence(text(','), optional(text(' ')));
export const colon = sequence(text(':'), optional(text(' ')));

/** Characters that stand for themselves between quotes. */
export const plain: CodeRange[] = [
  [0x20, 0x21],
  [0x23, 0x5b],
  [0x5d, 0xd7ff],
  [0xe000, 0x10ffff],
];

/** One character of these ranges as it stands in a JSON string. */
export function stringCharacter(ranges: readonly CodeRange[]): Expression {
  const options: Expression[] = [oneOf(...intersectionOf(ranges, plain))];
  for (const [first, last] of intersectionOf(ranges, [
    [0, 0x1f],
    [0x22, 0x22],
    [0x5c, 0x5c],
  ])) {
    for (let code = first; code <= last; code++)
      options.push(text(JSON.stringify(String.fromCharCode(code)).slice(1, -1)));
  }
  return options.length === 1 ? options[0] : choice(...options);
}

const hex: CodeRange[] = [
  [0x30, 0x39],
  [0x41, 0x46],
  [0x61, 0x66],
];
/** Any character, also by its number; numbers of halves of surrogate pairs are left out. */
const anyStringCharacter = rule('a character', () =>
  choice(
    stringCharacter(anyCharacter),
    text('\\/'),
    sequence(
      text('\\u'),
      choice(
        sequence(oneOf([0x30, 0x39], [0x41, 0x43], [0x45, 0x46], [0x61, 0x63], [0x65, 0x66]), oneOf(...hex)),
        sequence(oneOf([0x44, 0x44], [0x64, 0x64]), oneOf([0x30, 0x37])),
      ),
      repeat(oneOf(...hex), 2, 2),
    ),
  ),
);

export const quoted = (content: Expression): Expression => sequence(text('"'), content, text('"'));
/** A string by its length in characters. */
export const anyString = (min = 0, max = Infinity): Expression =>
  quoted(repeat(anyStringCharacter, min, max));

const digits = oneOf([0x30, 0x39]);
/** Fifteen digits: every such number has a double of its own, and no exponent leads to Infinity. */
const wholeNumber = choice(text('0'), sequence(oneOf([0x31, 0x39]), repeat(digits, 0, 14)));
export const anyNumber = sequence(
  optional(text('-')),
  wholeNumber,
  optional(sequence(text('.'), repeat(digits, 1, 15))),
  optional(
    sequence(choice(text('e'), text('E')), optional(choice(text('+'), text('-'))), repeat(digits, 1, 2)),
  ),
);

/** `open`, parts with commas between them, `close`. */
export const list = (open: string, part: Expression, close: string): Expression =>
  sequence(text(open), optional(sequence(part, repeat(sequence(comma, part), 0))), text(close));

export const anyValue: Expression = rule('a value', (value) =>
  choice(
    list('{', sequence(anyString(), colon, value), '}'),
    list('[', value, ']'),
    anyString(),
    anyNumber,
    text('true'),
    text('false'),
    text('null'),
  ),
);
export const anyObject = list('{', sequence(anyString(), colon, anyValue), '}');

/** A value written out. */
export const literal = (value: unknown): Expression => text(JSON.stringify(value));
