/**
 * How a backtracking engine's work grows with a text, by the ambiguity of the pattern's automaton (Weber & Seidl, 1991;
 * Wüstholz et al., 2017): exponentially, where a word leads from a state back to itself in two ways; as a power, where a
 * word leads from a state to itself, from it to another, and from that to itself; else in proportion.
 */
import { JS } from 'refa';

export type Growth = 'linear' | 'polynomial' | 'exponential';

type Expression = ReturnType<JS.Parser['parse']>['expression'];
type Element = Expression['alternatives'][number]['elements'][number];
type Characters = Extract<Element, { type: 'CharacterClass' }>['characters'];

/** Where characters stand in a pattern, and which may follow on each other, as often as there are ways to it. */
interface Automaton {
  characters: Characters[];
  follow: Map<number, number>[];
}

/** The first and the last positions of a part, each with the number of ways to it, and the ways to match nothing. */
interface Part {
  first: Map<number, number>;
  last: Map<number, number>;
  empty: number;
}

/**
 * @param pattern what it looks around for is left out: that only adds ways
 * @param many from so many repetitions on there is no limit to them
 */
export function growth(pattern: RegExp, many = 16): Growth {
  const automaton = automatonOf(pattern, many);
  if (isExponential(automaton)) return 'exponential';
  return isPolynomial(automaton) ? 'polynomial' : 'linear';
}

/** The positions of a pattern (Glushkov, 1961). */
function automatonOf(pattern: RegExp, many: number): Automaton {
  const { expression } = JS.Parser.fromLiteral(pattern).parse({
    assertions: 'ignore',
    backreferences: 'disable',
  });
  const characters: Characters[] = [];
  const follow: Automaton['follow'] = [];
  const connect = (from: Part, to: Part): void => {
    for (const [a, ways] of from.last)
      for (const [b, more] of to.first) follow[a].set(b, (follow[a].get(b) ?? 0) + ways * more);
  };
  const nothing: Part = { first: new Map(), last: new Map(), empty: 1 };
  const add = (one: Map<number, number>, other: Map<number, number>, times = 1) => {
    const sum = new Map(one);
    if (times > 0) for (const [at, ways] of other) sum.set(at, (sum.get(at) ?? 0) + ways * times);
    return sum;
  };
  const joined = (one: Part, other: Part): Part => {
    connect(one, other);
    return {
      first: add(one.first, other.first, one.empty),
      last: add(other.last, one.last, other.empty),
      empty: one.empty * other.empty,
    };
  };
  const any = (parts: Part[]): Part => ({
    first: parts.reduce((sum, { first }) => add(sum, first), new Map<number, number>()),
    last: parts.reduce((sum, { last }) => add(sum, last), new Map<number, number>()),
    empty: parts.reduce((sum, { empty }) => sum + empty, 0),
  });
  const sequence = (elements: readonly Element[]): Part =>
    elements.reduce((part, element) => joined(part, partOf(element)), nothing);
  const alternatives = (element: { alternatives: readonly { elements: readonly Element[] }[] }): Part =>
    any(element.alternatives.map(({ elements }) => sequence(elements)));
  function partOf(element: Element): Part {
    switch (element.type) {
      case 'CharacterClass': {
        const at = characters.push(element.characters) - 1;
        follow.push(new Map());
        return { first: new Map([[at, 1]]), last: new Map([[at, 1]]), empty: 0 };
      }
      case 'Alternation':
        return alternatives(element);
      case 'Quantifier': {
        // Engines do not go on from a repetition that is empty.
        const once = (): Part => ({ ...alternatives(element), empty: 0 });
        const { min, max } = element;
        if (max === 0) return nothing;
        let part = nothing;
        for (let i = 0; i < min - 1; i++) part = joined(part, alternatives(element));
        // One character so many times is read in one way.
        const [only, ...others] = element.alternatives.flatMap(({ elements }) => elements);
        const counted = min === max && others.length === 0 && only?.type === 'CharacterClass';
        if (!counted && max >= many) {
          const loop = once();
          connect(loop, loop);
          return joined(part, min === 0 ? { ...loop, empty: 1 } : loop);
        }
        if (min > 0) part = joined(part, alternatives(element));
        let rest = nothing;
        for (let i = min; i < max; i++) rest = { ...joined(once(), rest), empty: 1 };
        return joined(part, rest);
      }
      default:
        throw new Error(`The pattern ${pattern} has what is not known: ${element.type}.`);
    }
  }
  alternatives(expression);
  return { characters, follow };
}

/** For each position the loop that it is in: strongly connected positions, undefined for those in none. */
function loopsOf(follow: Automaton['follow']): (number | undefined)[] {
  const reach = follow.map((next) => {
    const seen = new Set<number>();
    const open = [...next.keys()];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      open.push(...follow[at].keys());
    }
    return seen;
  });
  return follow.map((_, at) => {
    if (!reach[at].has(at)) return undefined;
    return Math.min(...[...reach[at]].filter((other) => reach[other].has(at)));
  });
}

/** Whether a word takes positions, each on a way of its own that is allowed, to where all have arrived. */
function leadsTo(
  { characters, follow }: Automaton,
  from: readonly number[],
  allowed: (place: number, at: number) => boolean,
  arrived: (tuple: readonly number[]) => boolean,
): boolean {
  const seen = new Set<string>();
  const open = [from];
  /** Every step that all of a tuple can take by one character. */
  function* steps(tuple: readonly number[], common?: Characters): Generator<number[]> {
    const place = from.length - tuple.length;
    if (tuple.length === 0) return yield [];
    for (const at of follow[tuple[0]].keys()) {
      if (!allowed(place, at)) continue;
      const both = common ? common.intersect(characters[at]) : characters[at];
      if (!both.isEmpty) for (const rest of steps(tuple.slice(1), both)) yield [at, ...rest];
    }
  }
  for (let tuple = open.pop(); tuple; tuple = open.pop()) {
    for (const next of steps(tuple)) {
      if (seen.has(next.join())) continue;
      if (arrived(next)) return true;
      seen.add(next.join());
      open.push(next);
    }
  }
  return false;
}

/** Whether a word leads from a position to itself in two ways: apart, and together again. */
function isExponential(automaton: Automaton): boolean {
  const { follow } = automaton;
  const loops = loopsOf(follow);
  return follow.some((next, at) => {
    const loop = loops[at];
    if (loop === undefined) return false;
    if ([...next].some(([to, ways]) => ways > 1 && loops[to] === loop)) return true;
    const inside = (_: number, to: number) => loops[to] === loop;
    const home = ([a, b]: readonly number[]) => a === at && b === at;
    return leadsTo(
      automaton,
      [at, at],
      inside,
      ([a, b]) => a !== b && leadsTo(automaton, [a, b], inside, home),
    );
  });
}

/** Whether a word leads from a position to itself, from it to another, and from that to itself. */
function isPolynomial(automaton: Automaton): boolean {
  const loops = loopsOf(automaton.follow);
  const within = loops.map((loop, at) => ({ loop, at })).filter(({ loop }) => loop !== undefined);
  return within.some(({ at: p, loop: ofP }) =>
    within.some(({ at: q, loop: ofQ }) => {
      if (ofP === ofQ) return false;
      const allowed = (place: number, at: number) =>
        place === 0 ? loops[at] === ofP : place === 2 ? loops[at] === ofQ : true;
      return leadsTo(automaton, [p, p, q], allowed, ([a, b, c]) => a === p && b === q && c === q);
    }),
  );
}
