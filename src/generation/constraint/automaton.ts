/**
 * Expressions as automata over bytes: a recursive transition network (Woods, 1970). A state goes on by a byte, by
 * nothing at all, or by way of a rule, which returns to where it was called.
 */
import { InvalidInputError } from '../parameters.ts';
import type { CodeRange, Expression, Rule } from './expression.ts';
import { complementOf, intersectionOf } from './expression.ts';
import { type ByteSequence, utf8Sequences } from './utf8.ts';

/** The state in which every rule ends. */
export const END = 0;

export interface Automaton {
  start: number;
  /** Of each state: first byte, last byte, target, one after the other. */
  bytes: readonly (readonly number[])[];
  /** States that are reached by nothing. */
  jumps: readonly (readonly number[])[];
  /** Rule and the state behind it, one after the other. */
  calls: readonly (readonly number[])[];
  /** Of each rule, the state it begins in. */
  starts: readonly number[];
  /** Whether a rule matches the empty text. */
  nullable: readonly boolean[];
  /** A place in an order in which each rule stands before those that it can begin with. */
  rank: readonly number[];
  /** Bytes from each state to the end of its rule, at the least; Infinity where there is no way. */
  toEnd: Float64Array;
}

/** States at most: what a constraint may cost in memory, about 200 bytes each. */
const STATES = 30_000;

/**
 * @throws InvalidInputError if the automaton would be too large, if a rule can begin with itself (left recursion), or if
 * no text at all matches
 */
export function compileAutomaton(root: Expression): Automaton {
  const bytes: number[][] = [none];
  const jumps: number[][] = [none];
  const calls: number[][] = [none];
  const rules: Rule[] = [];
  const numbers = new Map<Rule, number>();
  const shared = new Map<Expression, Rule>();

  const start = compile(root, END);
  const starts: number[] = [];
  // A rule's body may name further rules: the list grows while it is gone through.
  for (let i = 0; i < rules.length; i++) starts.push(compile(rules[i].body, END));

  const parts = { start, bytes, jumps, calls, starts };
  const toEnd = shortestWays(parts);
  if (toEnd[start] === Infinity)
    throw new InvalidInputError('The constraint can never be met: no text of any length matches it.');
  const nullable = starts.map((state) => toEnd[state] === 0);
  return { ...parts, toEnd, nullable, rank: ranks(parts, nullable, rules) };

  function state(): number {
    if (bytes.length >= STATES) {
      throw new InvalidInputError(
        `The constraint is too large: it needs more than ${STATES} states. Smaller bounds on lengths and counts help.`,
      );
    }
    bytes.push(none);
    jumps.push(none);
    calls.push(none);
    return bytes.length - 1;
  }

  /** The state from which the expression leads to `next`. */
  function compile(expression: Expression, next: number): number {
    switch (expression.kind) {
      case 'text': {
        const encoded = new TextEncoder().encode(expression.text);
        let at = next;
        for (let i = encoded.length - 1; i >= 0; i--) {
          const before = state();
          add(bytes, before, encoded[i], encoded[i], at);
          at = before;
        }
        return at;
      }
      case 'class':
        return character([[expression.ranges, next]]);
      case 'sequence': {
        let at = next;
        for (let i = expression.parts.length - 1; i >= 0; i--) at = compile(expression.parts[i], at);
        return at;
      }
      case 'choice': {
        const { options } = expression;
        if (options.every((option) => option.kind === 'text')) return tree(options, next);
        const fork = state();
        for (const option of options) add(jumps, fork, compile(option, next));
        return fork;
      }
      case 'repeat':
        return repetition(expression, next);
      case 'without':
        return withoutTexts(expression.texts, next);
      case 'rule': {
        const before = state();
        add(calls, before, ruleNumber(expression.rule), next);
        return before;
      }
    }
  }

  /** A state from which each of the texts leads to `next`, what they begin with in common being gone through once. */
  function tree(texts: readonly { text: string }[], next: number): number {
    const root = state();
    const children = new Map<number, Map<number, number>>();
    for (const { text } of texts) {
      let at = root;
      for (const byte of new TextEncoder().encode(text)) {
        let of = children.get(at);
        if (!of) {
          of = new Map();
          children.set(at, of);
        }
        let child = of.get(byte);
        if (child === undefined) {
          child = state();
          of.set(byte, child);
          add(bytes, at, byte, byte, child);
        }
        at = child;
      }
      add(jumps, at, next);
    }
    return root;
  }

  function ruleNumber(rule: Rule): number {
    let number = numbers.get(rule);
    if (number === undefined) {
      number = rules.push(rule) - 1;
      numbers.set(rule, number);
    }
    return number;
  }

  /** A state that goes on by a character of some ranges to the state beside them. */
  function character(ways: readonly (readonly [ranges: readonly CodeRange[], next: number])[]): number {
    const before = state();
    for (const [ranges, next] of ways) {
      /** States behind the first bytes, by the bytes that follow. */
      const tails = new Map<string, number>();
      for (const way of utf8Sequences(ranges)) add(bytes, before, ...way[0], tail(way.slice(1), next, tails));
    }
    return before;
  }

  function tail(rest: ByteSequence, next: number, tails: Map<string, number>): number {
    if (rest.length === 0) return next;
    const key = rest.join(' ');
    let at = tails.get(key);
    if (at === undefined) {
      const behind = tail(rest.slice(1), next, tails);
      at = state();
      add(bytes, at, ...rest[0], behind);
      tails.set(key, at);
    }
    return at;
  }

  function repetition({ part, min, max }: Extract<Expression, { kind: 'repeat' }>, next: number): number {
    const copied = max === Infinity ? min : max;
    const each = copied > 1 && !isSmall(part) ? ({ kind: 'rule', rule: ruleFor(part) } as const) : part;
    let at = next;
    if (max === Infinity) {
      at = state();
      add(jumps, at, next, compile(each, at));
    } else {
      for (let i = min; i < max; i++) {
        const fork = state();
        add(jumps, fork, next);
        // A rule is called from the fork itself: there may be thousands of them.
        if (each.kind === 'rule') add(calls, fork, ruleNumber(each.rule), at);
        else add(jumps, fork, compile(each, at));
        at = fork;
      }
    }
    for (let i = 0; i < min; i++) at = compile(each, at);
    return at;
  }

  /** A rule for what is repeated, so that each copy is one state. */
  function ruleFor(part: Expression): Rule {
    let made = shared.get(part);
    if (!made) {
      made = { name: 'a repeated part', body: part };
      shared.set(part, made);
    }
    return made;
  }

  /** The machine of Aho and Corasick (1975) over characters, without its states in which a text has been found. */
  function withoutTexts(texts: readonly string[], next: number): number {
    const sought = texts.map((each) => [...each]);
    const prefixes = new Map<string, number>();
    const spelled: string[][] = [[]];
    for (const characters of sought) {
      for (let length = 0; length < characters.length; length++) {
        const prefix = characters.slice(0, length);
        if (!prefixes.has(prefix.join(''))) prefixes.set(prefix.join(''), prefixes.size);
        spelled[prefixes.get(prefix.join(''))!] = prefix;
      }
    }
    if (prefixes.size === 0) prefixes.set('', 0);
    const states = spelled.map(() => state());
    const alphabet = [...new Set(sought.flat())];
    const others = complementOf(alphabet.map((sign) => [sign.codePointAt(0)!, sign.codePointAt(0)!]));
    for (const [prefix, at] of prefixes) {
      add(jumps, states[at], next);
      const ways: [CodeRange[], number][] = [[others, states[0]]];
      for (const sign of alphabet) {
        let seen = [...prefix, sign];
        if (texts.some((each) => seen.join('').endsWith(each))) continue;
        while (!prefixes.has(seen.join(''))) seen = seen.slice(1);
        const code = sign.codePointAt(0)!;
        ways.push([intersectionOf([[code, code]], [[0, 0x10ffff]]), states[prefixes.get(seen.join(''))!]]);
      }
      add(jumps, states[at], character(ways));
    }
    return states[0];
  }
}

/** What most states share: it is never added to. */
const none: number[] = [];

function add(lists: number[][], state: number, ...values: number[]): void {
  if (lists[state] === none) lists[state] = values;
  else lists[state].push(...values);
}

/** Whether a copy of it costs about as little as a call. */
function isSmall(part: Expression): boolean {
  return (
    part.kind === 'rule' ||
    (part.kind === 'text' && part.text.length === 1) ||
    (part.kind === 'class' && part.ranges.every(([, last]) => last < 0x80))
  );
}

type Parts = Pick<Automaton, 'start' | 'bytes' | 'jumps' | 'calls' | 'starts'>;

/** The least bytes from each state to the end of its rule: relaxed along the edges' reverse until nothing changes. */
function shortestWays({ bytes, jumps, calls, starts }: Parts): Float64Array {
  const edges: (visit: (from: number, to: number) => void) => void = (visit) => {
    for (let state = 0; state < bytes.length; state++) {
      for (let i = 2; i < bytes[state].length; i += 3) visit(state, bytes[state][i]);
      for (const target of jumps[state]) visit(state, target);
      for (let i = 0; i < calls[state].length; i += 2) {
        visit(state, calls[state][i + 1]);
        visit(state, starts[calls[state][i]]);
      }
    }
  };
  // The states before each, one list behind the other: a list for each would be thousands of arrays.
  const behind = new Int32Array(bytes.length + 1);
  edges((_, to) => behind[to + 1]++);
  for (let state = 0; state < bytes.length; state++) behind[state + 1] += behind[state];
  const sources = new Int32Array(behind[bytes.length]);
  const filled = behind.slice();
  edges((from, to) => {
    sources[filled[to]++] = from;
  });
  const before = (state: number) => sources.subarray(behind[state], behind[state + 1]);
  const toEnd = new Float64Array(bytes.length).fill(Infinity);
  toEnd[END] = 0;
  const waiting = [...before(END)];
  for (let i = 0; i < waiting.length; i++) {
    const state = waiting[i];
    let least = Infinity;
    for (let j = 2; j < bytes[state].length; j += 3) least = Math.min(least, 1 + toEnd[bytes[state][j]]);
    for (const target of jumps[state]) least = Math.min(least, toEnd[target]);
    for (let j = 0; j < calls[state].length; j += 2)
      least = Math.min(least, toEnd[starts[calls[state][j]]] + toEnd[calls[state][j + 1]]);
    if (least < toEnd[state]) {
      toEnd[state] = least;
      for (const each of before(state)) waiting.push(each);
    }
  }
  return toEnd;
}

/**
 * Orders the rules so that each stands before those that it can begin with.
 * @throws InvalidInputError if there is no such order
 */
function ranks(
  { jumps, calls, starts }: Parts,
  nullable: readonly boolean[],
  rules: readonly Rule[],
): number[] {
  const begins = starts.map((start) => {
    const found = new Set<number>();
    const seen = new Set([start]);
    // A set that grows is gone through to its end.
    for (const state of seen) {
      for (const target of jumps[state]) seen.add(target);
      for (let i = 0; i < calls[state].length; i += 2) {
        found.add(calls[state][i]);
        if (nullable[calls[state][i]]) seen.add(calls[state][i + 1]);
      }
    }
    return [...found];
  });
  const mark = new Uint8Array(rules.length);
  const order: number[] = [];
  for (let root = 0; root < rules.length; root++) {
    const path: { rule: number; at: number }[] = mark[root] === 0 ? [{ rule: root, at: 0 }] : [];
    while (path.length > 0) {
      const top = path[path.length - 1];
      mark[top.rule] = 1;
      const child = begins[top.rule][top.at++];
      if (child === undefined) {
        mark[top.rule] = 2;
        order.push(top.rule);
        path.pop();
      } else if (mark[child] === 1) {
        throw new InvalidInputError(
          `The rule "${rules[child].name}" can begin with itself, before it has written anything (left recursion). Put what comes first first, and repeat what follows.`,
        );
      } else if (mark[child] === 0) path.push({ rule: child, at: 0 });
    }
  }
  const rank: number[] = [];
  for (const [place, number] of order.reverse().entries()) rank[number] = place;
  return rank;
}
