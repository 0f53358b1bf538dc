/**
 * Grammars in the notation that llama.cpp (GBNF) and xgrammar (EBNF) share: `name ::= "text" [a-z]+ (other | .){2,3}`,
 * with comments behind `#`. The rule `root` is the answer.
 */
import { InvalidInputError } from '../parameters.ts';
import {
  anyCharacter,
  type CodeRange,
  choice,
  complementOf,
  type Expression,
  nothing,
  oneOf,
  type Rule,
  repeat,
  sequence,
  text,
  unionOf,
} from './expression.ts';

/** Characters of a grammar, and groups in one another, at most. */
const LENGTH = 100_000;
const DEPTH = 50;

const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t', f: '\f', v: '\v', b: '\b', 0: '\0' };

interface Named {
  rule: Rule;
  line: number;
  defined: boolean;
}

/** @throws InvalidInputError saying what is not right, and in which line */
export function parseGrammar(source: string): Expression {
  if (typeof source !== 'string' || source.length > LENGTH)
    throw new InvalidInputError(`A grammar is a text of at most ${LENGTH} characters.`);
  if (!source.isWellFormed())
    throw new InvalidInputError('The grammar is not well-formed Unicode: it holds half of a surrogate pair.');
  const rules = new Map<string, Named>();
  let at = 0;
  skip();
  while (at < source.length) {
    const name = read(/[A-Za-z_][\w-]*/y) ?? fail('here the name of a rule is expected');
    skip();
    read(/::=/y) ?? fail(`behind the name "${name}" here "::=" is expected`);
    const named = ruleOf(name);
    if (named.defined) fail(`the rule "${name}" is there already`);
    named.defined = true;
    named.rule.body = alternatives(0);
    if (at < source.length && !/[A-Za-z_]/.test(source[at]))
      fail(`here "${String.fromCodePoint(source.codePointAt(at)!)}" is not expected`);
  }
  for (const [name, { defined, line }] of rules) if (!defined) fail(`there is no rule "${name}"`, line);
  const root = rules.get('root');
  if (!root) throw new InvalidInputError('The grammar has no rule "root", with which an answer begins.');
  return { kind: 'rule', rule: root.rule };

  function ruleOf(name: string): Named {
    let named = rules.get(name);
    if (!named) {
      named = { rule: { name, body: nothing }, line: lineOf(at), defined: false };
      rules.set(name, named);
    }
    return named;
  }

  function alternatives(depth: number): Expression {
    if (depth > DEPTH) fail(`there are more than ${DEPTH} groups in one another`);
    const options = [items(depth)];
    while (source[at] === '|') {
      at++;
      options.push(items(depth));
    }
    return options.length === 1 ? options[0] : choice(...options);
  }

  function items(depth: number): Expression {
    const parts: Expression[] = [];
    for (;;) {
      skip();
      const part = item(depth);
      if (!part) return sequence(...parts);
      parts.push(quantified(part));
    }
  }

  function item(depth: number): Expression | undefined {
    const sign = source[at];
    if (sign === '"' || sign === "'") return literal(sign);
    if (sign === '[') return characterClass();
    if (sign === '.') {
      at++;
      return oneOf(...anyCharacter);
    }
    if (sign === '(') {
      at++;
      const inner = alternatives(depth + 1);
      if (source[at] !== ')') fail('here ")" is expected');
      at++;
      return inner;
    }
    const before = at;
    const name = read(/[A-Za-z_][\w-]*/y);
    if (name === undefined) return undefined;
    // The name of the next rule ends this one.
    const behind = at;
    skip();
    if (source.startsWith('::=', at)) {
      at = before;
      return undefined;
    }
    at = behind;
    return { kind: 'rule', rule: ruleOf(name).rule };
  }

  function quantified(part: Expression): Expression {
    let whole = part;
    for (;;) {
      const found = read(/[*+?]|\{\s*\d{1,6}\s*(?:,\s*\d{0,6}\s*)?\}/y);
      if (found === undefined) {
        if (source[at] === '{')
          fail('here a repetition such as {2,3} of numbers below a million is expected');
        return whole;
      }
      const [least, most] = found.replace(/[{}\s]/g, '').split(',');
      if (found === '*') whole = repeat(whole, 0);
      else if (found === '+') whole = repeat(whole, 1);
      else if (found === '?') whole = repeat(whole, 0, 1);
      else if (most !== undefined && most !== '' && Number(most) < Number(least))
        fail(`here the numbers of {${least},${most}} stand the wrong way round`);
      else
        whole = repeat(
          whole,
          Number(least),
          most === undefined ? Number(least) : most ? Number(most) : Infinity,
        );
    }
  }

  function literal(quote: string): Expression {
    at++;
    let value = '';
    while (source[at] !== quote) {
      if (at >= source.length || source[at] === '\n') fail('here the text has no end');
      value += character();
    }
    at++;
    return text(value);
  }

  function characterClass(): Expression {
    at++;
    const negated = source[at] === '^';
    if (negated) at++;
    const ranges: CodeRange[] = [];
    while (source[at] !== ']') {
      if (at >= source.length || source[at] === '\n') fail('here the class of characters has no end');
      const first = character().codePointAt(0)!;
      let last = first;
      if (source[at] === '-' && source[at + 1] !== ']') {
        at++;
        last = character().codePointAt(0)!;
      }
      if (last < first) fail('here a range of characters stands the wrong way round');
      ranges.push([first, last]);
    }
    at++;
    return oneOf(...(negated ? complementOf(ranges) : unionOf(ranges)));
  }

  /** One character, behind a backslash or not. */
  function character(): string {
    if (at >= source.length) fail('here the grammar ends too soon');
    if (source[at] !== '\\') {
      const sign = String.fromCodePoint(source.codePointAt(at)!);
      at += sign.length;
      return sign;
    }
    at++;
    const code = read(/x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|u\{[0-9a-fA-F]{1,6}\}/y);
    if (code !== undefined) {
      const value = Number.parseInt(code.replace(/[xuU{}]/g, ''), 16);
      if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) fail('here a number is no character');
      return String.fromCodePoint(value);
    }
    const sign = source[at++] ?? fail('here the grammar ends too soon');
    return escapes[sign] ?? sign;
  }

  function skip(): void {
    read(/(?:\s|#[^\n]*)+/y);
  }

  function read(pattern: RegExp): string | undefined {
    pattern.lastIndex = at;
    const found = pattern.exec(source)?.[0];
    at += found?.length ?? 0;
    return found;
  }

  function lineOf(place: number): number {
    return source.slice(0, place).split('\n').length;
  }

  function fail(what: string, line = lineOf(at)): never {
    throw new InvalidInputError(`The grammar is not right: in line ${line}, ${what}.`);
  }
}
