/** Regular expressions, in JavaScript's syntax with its flag `u` where the two differ, as expressions. */
import { InvalidInputError } from '../parameters.ts';
import {
  anyCharacter,
  type CodeRange,
  choice,
  complementOf,
  type Expression,
  repeat,
  sequence,
  unionOf,
} from './expression.ts';

export interface RegexOptions {
  /** Whether the pattern may stand anywhere in the text, as JavaScript's `test` has it; else it is the whole text. */
  anywhere?: boolean;
  /** What stands for a character of these ranges. */
  character?: (ranges: readonly CodeRange[]) => Expression;
}

/** Characters of a pattern, and groups in one another, at most. */
const LENGTH = 10_000;
const DEPTH = 50;

const digit: CodeRange[] = [[0x30, 0x39]];
const word: CodeRange[] = [...digit, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
const lineEnds: CodeRange[] = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const space: CodeRange[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const classes: Record<string, readonly CodeRange[]> = {
  d: digit,
  D: complementOf(digit),
  w: word,
  W: complementOf(word),
  s: space,
  S: complementOf(space),
};
const controls: Record<string, number> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };

/**
 * A pattern as an expression.
 * @throws InvalidInputError if it is none, or has what cannot be enforced: looking around, back references, word
 * boundaries, and anchors elsewhere than at the beginning and the end
 */
export function parseRegex(
  pattern: string,
  { anywhere = false, character = (ranges) => ({ kind: 'class', ranges }) }: RegexOptions = {},
): Expression {
  if (typeof pattern !== 'string' || pattern.length > LENGTH)
    throw new InvalidInputError(`A pattern is a text of at most ${LENGTH} characters.`);
  if (!isRegex(pattern)) throw new InvalidInputError('The pattern is not a regular expression.');
  const signs = [...pattern];
  const any = repeat(character(anyCharacter), 0);
  let at = 0;
  const whole = alternatives(0);
  if (at < signs.length) throw unenforced(`the sign "${signs[at]}" at place ${at}`);
  return whole;

  function alternatives(depth: number): Expression {
    if (depth > DEPTH)
      throw new InvalidInputError(`The pattern has more than ${DEPTH} groups in one another.`);
    const options = [alternative(depth)];
    while (signs[at] === '|') {
      at++;
      options.push(alternative(depth));
    }
    return options.length === 1 ? options[0] : choice(...options);
  }

  function alternative(depth: number): Expression {
    const parts: Expression[] = [];
    const anchoredAtStart = signs[at] === '^';
    if (anchoredAtStart) at++;
    let anchoredAtEnd = false;
    while (at < signs.length && signs[at] !== '|' && signs[at] !== ')') {
      if (signs[at] === '$') {
        anchoredAtEnd = true;
        at++;
        break;
      }
      parts.push(quantified(atom(depth)));
    }
    const over = at >= signs.length || signs[at] === '|' || signs[at] === ')';
    if (!over || (depth > 0 && (anchoredAtStart || anchoredAtEnd)))
      throw unenforced('an anchor that is neither at the beginning nor at the end');
    if (!anywhere || depth > 0) return sequence(...parts);
    return sequence(...(anchoredAtStart ? [] : [any]), ...parts, ...(anchoredAtEnd ? [] : [any]));
  }

  function atom(depth: number): Expression {
    const sign = signs[at++];
    if (sign === '(') {
      if (signs[at] === '?') group();
      const inner = alternatives(depth + 1);
      at++;
      return inner;
    }
    if (sign === '[') return character(characterClass());
    if (sign === '.') return character(complementOf(lineEnds));
    if (sign === '\\') return character(escaped(false));
    if (sign === '^') throw unenforced('an anchor that is neither at the beginning nor at the end');
    return character(single(sign));
  }

  /** Goes past what a group begins with. */
  function group(): void {
    const rest = signs.slice(at, at + 40).join('');
    const plain = /^\?(?::|<[\p{L}_$][\p{L}\p{N}_$]*>)/u.exec(rest)?.[0];
    if (!plain) throw unenforced(`a group that begins with "(${rest.slice(0, 3)}"`);
    at += [...plain].length;
  }

  function quantified(part: Expression): Expression {
    const rest = signs.slice(at, at + 20).join('');
    const found = /^(?:[*+?]|\{(\d{1,6})(,(\d{0,6}))?\})/.exec(rest);
    if (!found) {
      if (/^\{\d+(,\d*)?\}/.test(rest)) throw unenforced('a repetition of a million times or more');
      return part;
    }
    const [whole, least, upTo, most] = found;
    at += whole.length;
    // Whether a repetition is greedy changes what is found first, and not what matches.
    if (signs[at] === '?') at++;
    if (whole === '*') return repeat(part, 0);
    if (whole === '+') return repeat(part, 1);
    if (whole === '?') return repeat(part, 0, 1);
    return repeat(part, Number(least), upTo ? (most ? Number(most) : Infinity) : Number(least));
  }

  function characterClass(): readonly CodeRange[] {
    const negated = signs[at] === '^';
    if (negated) at++;
    const ranges: CodeRange[] = [];
    while (signs[at] !== ']') {
      const first = classMember();
      const isRange = signs[at] === '-' && signs[at + 1] !== ']';
      if (!isRange) {
        ranges.push(...first);
        continue;
      }
      at++;
      const last = classMember();
      const [[from], [to]] = [first[0], last[0]];
      // A class has no order: `[\w-.]` holds the three of them.
      if (isSingle(first) && isSingle(last)) ranges.push([from, to]);
      else ranges.push(...first, ...last, [0x2d, 0x2d]);
    }
    at++;
    return negated ? complementOf(ranges) : unionOf(ranges);
  }

  function classMember(): readonly CodeRange[] {
    const sign = signs[at++];
    return sign === '\\' ? escaped(true) : single(sign);
  }

  /** What stands behind a backslash. */
  function escaped(inClass: boolean): readonly CodeRange[] {
    const sign = signs[at++];
    if (Object.hasOwn(classes, sign)) return classes[sign];
    if (sign === 'p' || sign === 'P') return property(sign);
    if (inClass && sign === 'b') return [[8, 8]];
    if (sign === 'b' || sign === 'B') throw unenforced('a word boundary');
    if (/[1-9k]/.test(sign)) throw unenforced('a back reference');
    if (Object.hasOwn(controls, sign)) return [[controls[sign], controls[sign]]];
    const rest = signs.slice(at, at + 12).join('');
    const code =
      (sign === 'x' && /^[0-9a-f]{2}/i.exec(rest)) ||
      (sign === 'u' &&
        (/^d[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}/i.exec(rest) || /^[0-9a-f]{4}/i.exec(rest))) ||
      (sign === 'u' && /^\{([0-9a-f]{1,6})\}/i.exec(rest)) ||
      (sign === 'c' && /^[a-z]/i.exec(rest));
    if (!code) return single(sign);
    at += code[0].length;
    if (sign === 'c') return single(String.fromCharCode(code[0].charCodeAt(0) % 32));
    const halves = code[0].split('\\u').map((digits) => Number.parseInt(digits.replace(/[{}]/g, ''), 16));
    const value = halves.length === 2 ? String.fromCharCode(...halves).codePointAt(0)! : halves[0];
    return [[value, value]];
  }

  function property(sign: string): readonly CodeRange[] {
    const [whole, name] = /^\{([\w=]{1,60})\}/.exec(signs.slice(at, at + 62).join('')) ?? [''];
    if (name === undefined || !known.has(name)) throw unenforced(`\\${sign}${whole}`);
    at += whole.length;
    return sign === 'p' ? charactersOf(name) : complementOf(charactersOf(name));
  }
}

function isRegex(pattern: string): boolean {
  for (const flags of ['u', '']) {
    try {
      new RegExp(pattern, flags);
      return true;
    } catch {
      // Without the flag more is a pattern.
    }
  }
  return false;
}

const single = (sign: string): CodeRange[] => [[sign.codePointAt(0)!, sign.codePointAt(0)!]];
const isSingle = (ranges: readonly CodeRange[]): boolean =>
  ranges.length === 1 && ranges[0][0] === ranges[0][1];

/** Unicode's properties that are looked up: going through all characters takes a while, and is done once for each. */
const categories =
  'L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp C Cc Cf';
const others =
  'Letter Uppercase_Letter Lowercase_Letter Number Punctuation Symbol Alphabetic Uppercase Lowercase';
const scripts = 'Latin Greek Cyrillic Han Hiragana Katakana Hangul Arabic Hebrew Thai Devanagari';
const known = new Set([
  ...`${categories} ${others} White_Space Emoji`.split(' '),
  ...scripts.split(' ').flatMap((name) => [`Script=${name}`, `sc=${name}`]),
]);
const lookedUp = new Map<string, CodeRange[]>();

/** The characters with a Unicode property. */
function charactersOf(property: string): CodeRange[] {
  const before = lookedUp.get(property);
  if (before) return before;
  const ranges: CodeRange[] = [];
  // By the thousand, so that the engine goes through them and we do not.
  for (let from = 0; from < 0x110000; from += 0x800) {
    if (from === 0xd800) continue;
    const signs = String.fromCodePoint(...Array.from({ length: 0x800 }, (_, i) => from + i));
    for (const [found] of signs.matchAll(new RegExp(`\\p{${property}}+`, 'gu'))) {
      const first = found.codePointAt(0)!;
      ranges.push([first, first + [...found].length - 1]);
    }
  }
  const union = unionOf(ranges);
  lookedUp.set(property, union);
  return union;
}

const unenforced = (what: string): InvalidInputError =>
  new InvalidInputError(`The pattern has ${what}, which cannot be enforced.`, {
    code: 'unsupported_value',
  });
