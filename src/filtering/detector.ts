/** What finds one type of entity: a pattern, and what tells the real from the similar. */

/** What a policy can name together. */
export type EntityGroup =
  | 'contact'
  | 'financial'
  | 'network'
  | 'national_id'
  | 'personal'
  | 'identity'
  | 'secret';

export interface Detector {
  /** The name of what it finds, as a policy and a span have it. */
  type: string;
  group: EntityGroup;
  /** Global and bounded (see open-match.ts); matched on the normalised copy. */
  pattern: RegExp;
  /** What every match has in it (the start of it, at least), and most texts have not: looked for before the pattern. */
  hint: string | RegExp;
  /** How sure its form alone makes, 0 to 1. */
  score: number;
  /** Tells the real from the similar: whether it is one, or how many of its units are. */
  check?: ((match: string) => boolean | number) | undefined;
  /** A way of writing it that nothing else has: raises the score by RAISE. */
  written?: RegExp | undefined;
  /** Words before it that speak for it: raise the score by CONTEXT. */
  context?: RegExp | undefined;
  /** Nothing is found without one of the words. */
  needsContext?: boolean | undefined;
  /** Words before it that speak against it: lower the score by CONTEXT. */
  against?: RegExp | undefined;
}

/** Hints that detectors share, so that a text is searched for each once: two digits near each other, and three. */
export const twoDigits = /\d[^\w]{0,4}\d/g;
export const threeDigits = /\d\W?\d\W?\d/g;

export const RAISE = 0.3;
export const CONTEXT = 0.5;
/** How many units before a match are searched for words. */
export const CONTEXT_LENGTH = 64;

/** The score of what words before it alone tell. */
export const NO_FORM = 0.05;

/** What is less sure than this is not told, nor checked. */
export const FLOOR = 0.35;

/** How sure a match is that passes its check, from what stands before it, and why; nothing if it is not sure enough. */
function judge(
  detector: Detector,
  match: string,
  before: string,
): { score: number; why: string[] } | undefined {
  const why = [`its form${detector.check ? ' and its check' : ''}`];
  let score = detector.score;
  if (detector.written?.test(match)) {
    score += RAISE;
    why.push('the way it is written');
  }
  const word = detector.context?.exec(before)?.[0];
  if (word) {
    score += CONTEXT;
    why.push(`"${word.trim()}" before it`);
  } else if (detector.needsContext) return undefined;
  const doubt = detector.against?.exec(before)?.[0];
  if (doubt) {
    score -= CONTEXT;
    why.push(`"${doubt.trim()}" before it speaks against it`);
  }
  return score < FLOOR ? undefined : { score: Math.round(Math.min(1, score) * 100) / 100, why };
}

/**
 * What of a match is what a detector looks for, how sure, and why; nothing if it is none.
 * @param check in the place of the detector's own
 */
export function recognize(
  detector: Detector,
  match: string,
  before: string,
  check: (match: string) => boolean | number = detector.check ?? (() => true),
): { value: string; score: number; why: string[] } | undefined {
  // Words are looked at first: checks take longer, and most numbers are nobody's.
  if (!judge(detector, match, before)) return undefined;
  const length = check(match);
  if (length === false) return undefined;
  const value = length === true ? match : match.slice(0, length);
  const judged = judge(detector, value, before);
  return judged && { value, ...judged };
}

/**
 * A pattern for what stands by itself: nothing of `inside` (the inside of a character class) before it, nor of `behind`
 * behind it. What an escape in JSON ends, as the n of `\n`, is not before it.
 */
export function alone(inside: string, body: string, flags = '', behind = inside): RegExp {
  return new RegExp(`(?:(?<![${inside}\\\\])|(?<=\\\\[bfnrt]))(?:${body})(?![${behind}])`, `g${flags}`);
}

/**
 * A pattern for a number that is no part of a longer one, nor of a word. Within digits that are written apart it does
 * not begin anew at each.
 */
export function aloneNumber(body: string, flags = ''): RegExp {
  return new RegExp(
    `(?:(?<!\\w|\\d[.,-]|\\\\|(?<!\\w)\\d[ .-]\\d[ .-])|(?<=\\\\[bfnrt]))(?:${body})(?!\\w|[.,-]\\d)`,
    `g${flags}`,
  );
}

/** So many digits (or what `each` says), with at most one sign between two. */
export const spaced = (least: number, most = least, each = '\\d'): string =>
  `${each}(?:[ .-]?${each}){${least - 1},${most - 1}}`;

/** The longest beginning that is valid and ends where a group of signs does; how long it is, or false. */
export function validBeginning(text: string, valid: (text: string) => boolean): number | false {
  for (let end = text.length; end > 0; end = text.slice(0, end).search(/[ .-]+[^ .-]*$/)) {
    if (valid(text.slice(0, end))) return end;
  }
  return false;
}

/** A text without the signs that are written between digits. */
export const compact = (text: string): string => text.replace(/[ .\-/]/g, '');

/** Words for numbers that are nobody's. */
export const otherNumbers =
  /\b(?:order|invoice|tracking|ticket|isbn|issn|serial|version|part|sku|case|reference|ref|article|model|batch|transaction)\b[^.!?\n]{0,24}$/i;

/** Whether a text has what a hint looks for. */
export const holds = (text: string, hint: string | RegExp): boolean =>
  typeof hint === 'string' ? text.includes(hint) : text.search(hint) >= 0;
