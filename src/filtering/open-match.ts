/**
 * Where a match may still begin when more text comes. From a pattern another is made that matches wherever the first,
 * on its way through a match, comes to the end of the text: there, and only there, more text can change what it finds.
 *
 * For that a pattern has to be bounded: characters, classes, groups, alternatives, lookaround, and quantifiers with an
 * upper limit. Then it is also as long as its longest match at most, and takes linear time with a bounded factor.
 */

type Node =
  | { kind: 'character'; source: string }
  | { kind: 'group'; open: string; alternatives: Node[][] }
  | { kind: 'ahead' | 'behind'; open: string; alternatives: Node[][] }
  | { kind: 'repeat'; of: Node; least: number; most: number; lazy: string };

/**
 * The pattern that matches from where a match of `pattern` is open at the end of the text.
 * @throws Error if the pattern is not bounded, or has what is not known here
 */
export function openPattern(pattern: RegExp): RegExp {
  return new RegExp(openOf({ kind: 'group', open: '(?:', alternatives: parse(pattern) })!, pattern.flags);
}

/** How many units a match has at most, what it looks ahead at included. */
export function longestMatch(pattern: RegExp): number {
  return longest({ kind: 'group', open: '(?:', alternatives: parse(pattern) });
}

function parse({ source, flags }: RegExp): Node[][] {
  let at = 0;
  const refuse = (why: string): never => {
    throw new Error(`The pattern /${source}/${flags} ${why} (at ${at}).`);
  };
  const take = (pattern: RegExp): string | undefined => {
    const sticky = new RegExp(pattern.source, 'y');
    sticky.lastIndex = at;
    const found = sticky.exec(source)?.[0];
    at += found?.length ?? 0;
    return found;
  };
  function alternatives(): Node[][] {
    const all: Node[][] = [[]];
    while (at < source.length && source[at] !== ')') {
      if (source[at] === '|') {
        at++;
        all.push([]);
      } else all.at(-1)!.push(repeated(one()));
    }
    return all;
  }
  function one(): Node {
    const open = take(/\((?:\?(?:[:=!]|<[=!]))?/);
    if (open) {
      const inside = alternatives();
      if (source[at++] !== ')') refuse('has a group without an end');
      const kind = open.startsWith('(?<') ? 'behind' : /[=!]/.test(open) ? 'ahead' : 'group';
      return { kind, open, alternatives: inside };
    }
    const character = take(
      /\[(?:\\.|[^\]\\])*\]|\\p\{[^}]*\}|\\u\{?[\da-fA-F]{4,6}\}?|\\x[\da-fA-F]{2}|\\[^bBk1-9]|[^\\^$*+?()[\]{}|]/,
    );
    return character ? { kind: 'character', source: character } : refuse('has what is not known');
  }
  function repeated(of: Node): Node {
    const mark = take(/\?|[*+]|\{\d+(?:,\d*)?\}/);
    if (!mark) return of;
    const [least, most = least] = mark === '?' ? [0, 1] : mark.slice(1, -1).split(',').map(Number);
    if (/^[*+]|,\}/.test(mark)) refuse('is not bounded');
    return { kind: 'repeat', of, least, most, lazy: take(/\?/) ?? '' };
  }
  const all = alternatives();
  if (at < source.length) refuse('has an end without its group');
  return all;
}

function sourceOf(node: Node): string {
  if (node.kind === 'character') return node.source;
  if (node.kind === 'repeat') return `${sourceOf(node.of)}{${node.least},${node.most}}${node.lazy}`;
  return `${node.open}${node.alternatives.map((each) => each.map(sourceOf).join('')).join('|')})`;
}

/** What matches if the end of the text is reached within a node; nothing if it never is. */
function openOf(node: Node): string | undefined {
  switch (node.kind) {
    case 'character':
      return '$';
    case 'behind':
      return undefined;
    case 'repeat': {
      const open = openOf(node.of);
      if (open === undefined || node.most === 0) return undefined;
      return node.most === 1 ? open : `${sourceOf(node.of)}{0,${node.most - 1}}${open}`;
    }
    default: {
      const open = node.alternatives.map(openOfSequence).filter((each) => each !== undefined);
      if (open.length === 0) return undefined;
      return `${node.kind === 'ahead' ? '(?=' : '(?:'}${open.join('|')})`;
    }
  }
}

/** Within the first; or behind the first, within the rest. */
function openOfSequence([first, ...rest]: Node[]): string | undefined {
  if (!first) return undefined;
  const [here, later] = [openOf(first), openOfSequence(rest)];
  if (later === undefined) return here;
  const behind = `${sourceOf(first)}(?:${later})`;
  return here === undefined ? behind : `${here}|${behind}`;
}

function longest(node: Node): number {
  if (node.kind === 'character') return /^\\[pu]|[^\0-\uffff]/u.test(node.source) ? 2 : 1;
  if (node.kind === 'behind') return 0;
  if (node.kind === 'repeat') return node.most * longest(node.of);
  return Math.max(...node.alternatives.map((each) => each.reduce((sum, part) => sum + longest(part), 0)));
}
