/**
 * Where a text may stand in an automaton, byte by byte. A position is the set of all places in which the text so far
 * may have arrived, each with the rules that are open there; calls of one rule from several places share their stack
 * (a graph-structured stack, Tomita 1985), so that ambiguity costs no more than it has to. Positions and the steps
 * between them are worked out when first needed, and kept.
 */
import { InvalidInputError } from '../parameters.ts';
import { type Automaton, END } from './automaton.ts';

export interface Position {
  /** Whether the text may end here. */
  readonly accepting: boolean;
  /** Bytes to the nearest end. */
  readonly toEnd: number;
  /** Whether nothing may follow. */
  readonly final: boolean;
}

export interface Matcher {
  readonly start: Position;
  /** Where a byte leads; null if it may not follow. */
  step(position: Position, byte: number): Position | null;
  /** The first byte on the way to the nearest end. */
  closingByte(position: Position): number;
  /** Begins a new allowance of work, as for each token; what is over it throws. */
  allow(): void;
}

/** Places of one position at most, and places looked at for one token. A hostile grammar ends here. */
const PLACES = 2_000;
const WORK = 400_000;
/** Positions that are kept. */
const KEPT = 400;

/** The open rules: for each, where it returns to and what was open there. The root has no entries. */
interface Stack {
  id: number;
  entries: readonly { state: number; below: Stack }[];
  toEnd: number;
}

interface Place {
  state: number;
  stack: Stack;
}

interface Known extends Position {
  places: readonly Place[];
  /** By class of bytes; what is not there is not known yet. */
  next: (Known | null | undefined)[];
}

export function createMatcher(automaton: Automaton): Matcher {
  const { bytes, jumps, calls, starts, nullable, rank, toEnd } = automaton;
  const { classOf, sample } = byteClasses(bytes);
  const root: Stack = { id: 0, entries: [], toEnd: 0 };
  let stacks = new Map<string, Stack>();
  let positions = new Map<string, Known>();
  let [nextStack, work] = [1, 0];
  const start = positionOf([{ state: automaton.start, stack: root }])!;

  return {
    start,
    step(position, byte) {
      return follow(position as Known, classOf[byte]);
    },
    closingByte(position) {
      for (const { state, stack } of (position as Known).places) {
        const edges = bytes[state];
        for (let i = 0; i < edges.length; i += 3) {
          if (1 + toEnd[edges[i + 2]] + stack.toEnd > position.toEnd) continue;
          const fitting = sample.slice(classOf[edges[i]], classOf[edges[i + 1]] + 1);
          return fitting.find(isAlphanumeric) ?? fitting[0];
        }
      }
      throw new Error('The text ends here already.');
    },
    allow() {
      work = 0;
      if (positions.size <= KEPT) return;
      // The links between positions would keep them all alive.
      for (const position of positions.values()) position.next = [];
      start.next = [];
      [stacks, positions] = [new Map(), new Map()];
    },
  };

  function follow(position: Known, kind: number): Known | null {
    let next = position.next[kind];
    if (next === undefined) {
      const byte = sample[kind];
      const reached: Place[] = [];
      for (const { state, stack } of position.places) {
        const edges = bytes[state];
        for (let i = 0; i < edges.length; i += 3)
          if (edges[i] <= byte && byte <= edges[i + 1]) reached.push({ state: edges[i + 2], stack });
      }
      next = reached.length > 0 ? positionOf(reached) : null;
      position.next[kind] = next;
    }
    return next;
  }

  /** The position of all places that these lead to without a byte. */
  function positionOf(from: readonly Place[]): Known | null {
    /** Pairs of stack and state, each as one number. */
    const seen = new Set<number>();
    const places: Place[] = [];
    const called = new Map<number, Map<string, { state: number; below: Stack }>>();
    let [accepting, looked] = [false, 0];

    /** `completed`: whether a rule that ends has been gone through with at least one byte. */
    const spread = (first: readonly Place[], completed: boolean): void => {
      const waiting = [...first];
      for (let place = waiting.pop(); place; place = waiting.pop()) {
        const { state, stack } = place;
        if (toEnd[state] === Infinity) continue;
        const pair = stack.id * bytes.length + state;
        if (seen.has(pair)) continue;
        seen.add(pair);
        if (++work > WORK || ++looked > 10 * PLACES) throw tooAmbiguous();
        if (state === END) {
          // The empty text of a rule that has just been called is followed where it is called.
          if (!completed && stack !== root) continue;
          if (stack === root) accepting = true;
          for (const { state: back, below } of stack.entries) waiting.push({ state: back, stack: below });
          continue;
        }
        if (bytes[state].length > 0) places.push(place);
        for (const target of jumps[state]) waiting.push({ state: target, stack });
        for (let i = 0; i < calls[state].length; i += 2) {
          const [callee, back] = [calls[state][i], calls[state][i + 1]];
          let callers = called.get(callee);
          if (!callers) {
            callers = new Map();
            called.set(callee, callers);
          }
          // A call that nothing follows returns at once to where its caller does.
          const entries =
            back === END && stack !== root ? stack.entries : [{ state: back, below: stack } as const];
          for (const entry of entries) callers.set(`${entry.state} ${entry.below.id}`, entry);
          if (nullable[callee]) waiting.push({ state: back, stack });
        }
      }
    };

    spread(from, true);
    while (called.size > 0) {
      const callee = [...called.keys()].reduce((a, b) => (rank[b] < rank[a] ? b : a));
      const stack = stackOf(called.get(callee)!);
      called.delete(callee);
      spread([{ state: starts[callee], stack }], false);
    }
    if (places.length > PLACES) throw tooAmbiguous();
    return known(places, accepting);
  }

  function stackOf(callers: ReadonlyMap<string, { state: number; below: Stack }>): Stack {
    const key = [...callers.keys()].sort().join();
    let stack = stacks.get(key);
    if (!stack) {
      const entries = [...callers.values()];
      const least = Math.min(...entries.map(({ state, below }) => toEnd[state] + below.toEnd));
      stack = { id: nextStack++, entries, toEnd: least };
      stacks.set(key, stack);
    }
    return stack;
  }

  function known(places: Place[], accepting: boolean): Known | null {
    if (places.length === 0 && !accepting) return null;
    places.sort((a, b) => a.state - b.state || a.stack.id - b.stack.id);
    let key = accepting ? '!' : '';
    for (const { state, stack } of places) key += `${state} ${stack.id},`;
    let position = positions.get(key);
    if (!position) {
      const least = accepting
        ? 0
        : places.reduce((min, { state, stack }) => Math.min(min, toEnd[state] + stack.toEnd), Infinity);
      position = { accepting, places, toEnd: least, final: places.length === 0, next: [] };
      positions.set(key, position);
    }
    return position;
  }
}

/**
 * Tells of texts whether they match an automaton.
 * @throws InvalidInputError (what it gives) if there are too many ways to read them
 */
export function createTextMatcher(automaton: Automaton): (text: string) => boolean {
  const matcher = createMatcher(automaton);
  return (text) => {
    let position: Position | null = matcher.start;
    for (const byte of new TextEncoder().encode(text)) if (position) position = matcher.step(position, byte);
    return position?.accepting ?? false;
  };
}

const tooAmbiguous = (): InvalidInputError =>
  new InvalidInputError(
    'The constraint is too ambiguous: the text so far can be read in too many ways at once.',
  );

const isAlphanumeric = (byte: number): boolean => /[a-z0-9]/i.test(String.fromCharCode(byte));

/** Bytes that no edge tells apart are of one class. */
function byteClasses(bytes: Automaton['bytes']): { classOf: Uint8Array; sample: number[] } {
  const border = new Uint8Array(257);
  for (const edges of bytes) {
    for (let i = 0; i < edges.length; i += 3) {
      border[edges[i]] = 1;
      border[edges[i + 1] + 1] = 1;
    }
  }
  const classOf = new Uint8Array(256);
  const sample = [0];
  for (let byte = 1; byte < 256; byte++) {
    if (border[byte]) sample.push(byte);
    classOf[byte] = sample.length - 1;
    // Of the bytes of a class, a letter or digit stands for it: an answer's end is written with them.
    if (isAlphanumeric(byte) && !isAlphanumeric(sample.at(-1)!)) sample[sample.length - 1] = byte;
  }
  return { classOf, sample };
}
