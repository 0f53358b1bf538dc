/** What a constrained answer may look like, as an expression over Unicode text: every kind of constraint becomes one. */

export type Expression =
  | { kind: 'text'; text: string }
  /** One character of these ranges of code points. */
  | { kind: 'class'; ranges: readonly CodeRange[] }
  | { kind: 'sequence'; parts: readonly Expression[] }
  | { kind: 'choice'; options: readonly Expression[] }
  | { kind: 'repeat'; part: Expression; min: number; max: number }
  /** Any text in which none of these texts stands. */
  | { kind: 'without'; texts: readonly string[] }
  | { kind: 'rule'; rule: Rule };

/** An expression with a name, which may stand in itself. */
export interface Rule {
  name: string;
  body: Expression;
}

/** Code points from the first to the last, both included. */
export type CodeRange = readonly [first: number, last: number];

export const text = (value: string): Expression => ({ kind: 'text', text: value });
export const oneOf = (...ranges: CodeRange[]): Expression => ({ kind: 'class', ranges });
export const sequence = (...parts: Expression[]): Expression => ({ kind: 'sequence', parts });
export const choice = (...options: Expression[]): Expression => ({ kind: 'choice', options });
export const repeat = (part: Expression, min: number, max = Infinity): Expression => ({
  kind: 'repeat',
  part,
  min,
  max,
});
export const optional = (part: Expression): Expression => repeat(part, 0, 1);
export const empty: Expression = { kind: 'sequence', parts: [] };
/** What no text matches. */
export const nothing: Expression = { kind: 'choice', options: [] };

/** A rule whose body may refer to it. */
export function rule(name: string, body: (self: Expression) => Expression): Expression {
  const made: Rule = { name, body: nothing };
  const self: Expression = { kind: 'rule', rule: made };
  made.body = body(self);
  return self;
}

/** All code points but the halves of surrogate pairs, which are no characters. */
export const anyCharacter: readonly CodeRange[] = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
];

/** Sorted ranges that neither touch nor overlap. */
export function unionOf(ranges: readonly CodeRange[]): CodeRange[] {
  const sorted = [...ranges].sort((a, b) => a[0] - b[0]);
  const union: [number, number][] = [];
  for (const [first, last] of sorted) {
    const before = union.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else union.push([first, last]);
  }
  return union;
}

/** All characters that are in none of the ranges. */
export function complementOf(ranges: readonly CodeRange[]): CodeRange[] {
  return intersectionOf(gapsOf(ranges), anyCharacter);
}

export function intersectionOf(a: readonly CodeRange[], b: readonly CodeRange[]): CodeRange[] {
  return a.flatMap(([first, last]) =>
    b.flatMap(([from, to]): CodeRange[] => {
      const both: CodeRange = [Math.max(first, from), Math.min(last, to)];
      return both[0] <= both[1] ? [both] : [];
    }),
  );
}

function gapsOf(ranges: readonly CodeRange[]): CodeRange[] {
  const gaps: CodeRange[] = [];
  let from = 0;
  for (const [first, last] of unionOf(ranges)) {
    if (first > from) gaps.push([from, first - 1]);
    from = last + 1;
  }
  if (from <= 0x10ffff) gaps.push([from, 0x10ffff]);
  return gaps;
}

/** The lengths in characters of the texts that match, of an expression without rules. */
export function lengthsOf(expression: Expression): [least: number, most: number] {
  switch (expression.kind) {
    case 'text': {
      const { length } = [...expression.text];
      return [length, length];
    }
    case 'class':
      return [1, 1];
    case 'sequence': {
      const parts = expression.parts.map(lengthsOf);
      return [parts.reduce((sum, [least]) => sum + least, 0), parts.reduce((sum, [, most]) => sum + most, 0)];
    }
    case 'choice': {
      const options = expression.options.map(lengthsOf);
      return [Math.min(...options.map(([least]) => least)), Math.max(...options.map(([, most]) => most))];
    }
    case 'repeat': {
      const [least, most] = lengthsOf(expression.part);
      return [least * expression.min, most === 0 || expression.max === 0 ? 0 : most * expression.max];
    }
    default:
      return [0, Infinity];
  }
}
