/**
 * The copy of a text that patterns are matched on, and where in the text each of its units stands. Code point by code
 * point, so that a stream gives the same copy as the whole: compatibility forms as their plain ones (NFKD, Unicode
 * Annex 15), digits of every script and look-alikes of ASCII (UTS 39) as ASCII; marks, format characters, tags and
 * other characters that are not seen are left out. Letters keep their case: some checks need it, patterns fold it.
 */
import { confusables } from './confusables.ts';

/** Directions that are overridden show a text backwards. Kept only where they are what is looked for. */
export const RIGHT_TO_LEFT = '\u202e';
export const END_OF_DIRECTION = '\u202c';

const lookalikes = new Map<string, string>(
  confusables.flatMap(([ascii, ...line]) => line.map((character) => [character, ascii] as const)),
);
const plain = /^[\t\n\r -~]$/;
const unseen = /^[\p{M}\p{Cf}\p{Cc}\p{Default_Ignorable_Code_Point}]$/u;
const digit = /^\p{Nd}$/u;

/** What a code point is matched as: a unit or more, or nothing. */
function fold(character: string): string {
  if (plain.test(character)) return character;
  if (/^[\v\f\x85\u2028\u2029]$/.test(character)) return '\n';
  if (unseen.test(character)) return '';
  if (digit.test(character)) return digitValue(character);
  const lookalike = lookalikes.get(character);
  if (lookalike) return lookalike;
  if (/^\p{Zs}$/u.test(character)) return ' ';
  if (/^\p{Pd}$/u.test(character)) return '-';
  if (character === '\u3002') return '.';
  const decomposed = character.normalize('NFKD');
  return decomposed === character ? character : Array.from(decomposed, fold).join('');
}

/** Digits of a script stand in a row from zero on, and rows of ten behind each other. */
function digitValue(character: string): string {
  let row = character.codePointAt(0)!;
  const code = row;
  while (digit.test(String.fromCodePoint(row - 1))) row--;
  return String((code - row) % 10);
}

const folded = new Map<string, string>();
/** More than any text of one script has; a text of all of Unicode is folded anew. */
const MOST_FOLDED = 20_000;

function foldOnce(character: string): string {
  let to = folded.get(character);
  if (to === undefined) {
    to = fold(character);
    if (folded.size >= MOST_FOLDED) folded.clear();
    folded.set(character, to);
  }
  return to;
}

/** A normalised copy that grows at its end and is forgotten from its start. Offsets count UTF-16 units from the first. */
export interface NormalizedText {
  /** The copy, as far as it is remembered. */
  readonly text: string;
  /** How many units of the copy were forgotten: where `text` begins. */
  readonly forgotten: number;
  /** How many units of the original are in the copy. */
  readonly read: number;
  /** Adds a piece. Half a surrogate pair waits for its other half, unless the piece is the last. */
  push(piece: string, last: boolean): void;
  /** Where in the original a unit of the copy begins; for its end, the original's end so far. */
  startOf(at: number): number;
  /** Where in the original a unit of the copy ends. */
  endOf(at: number): number;
  /** Forgets the copy before a unit. */
  forget(before: number): void;
}

/**
 * @param directions whether direction overrides are kept
 * @param from where in the original the first piece stands
 */
export function createNormalizedText({ directions = false, from = 0 } = {}): NormalizedText {
  let [text, forgotten, read, waiting] = ['', 0, from, ''];
  // The copy in stretches: from a unit of the copy on, where in the original it stands. In a stretch of single units
  // each next unit stands one further on (width 0); otherwise all of it is one code point of so many units.
  const ats: number[] = [];
  const origins: number[] = [];
  const widths: number[] = [];

  function place(at: number, origin: number, width: number): void {
    const last = ats.length - 1;
    if (width === 0 && last >= 0 && widths[last] === 0 && origin - origins[last] === at - ats[last]) return;
    ats.push(at);
    origins.push(origin);
    widths.push(width);
  }
  function stretchOf(at: number): number {
    let [low, high] = [0, ats.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (ats[middle] <= at) low = middle;
      else high = middle - 1;
    }
    return low;
  }
  const foldHere = (character: string): string => {
    if (directions && /^[\u202c\u202e\u2069]$/.test(character))
      return character === RIGHT_TO_LEFT ? RIGHT_TO_LEFT : END_OF_DIRECTION;
    return foldOnce(character);
  };
  const view: NormalizedText = {
    get text() {
      return text;
    },
    get forgotten() {
      return forgotten;
    },
    get read() {
      return read;
    },
    push(piece, last) {
      let whole = waiting + piece;
      waiting = '';
      if (!last && /[\ud800-\udbff]$/.test(whole)) {
        waiting = whole.slice(-1);
        whole = whole.slice(0, -1);
      }
      let copy = '';
      let done = 0;
      const end = forgotten + text.length;
      for (const { 0: run, index } of whole.matchAll(/[^\t\n\r -~]+/g)) {
        if (index > done) {
          place(end + copy.length, read + done, 0);
          copy += whole.slice(done, index);
        }
        done = index;
        for (const character of run) {
          const to = foldHere(character);
          const single = character.length === 1 && to.length === 1;
          if (to !== '') place(end + copy.length, read + done, single ? 0 : character.length);
          copy += to;
          done += character.length;
        }
      }
      if (done < whole.length) {
        place(end + copy.length, read + done, 0);
        copy += whole.slice(done);
      }
      text += copy;
      read += whole.length;
    },
    startOf(at) {
      if (at >= forgotten + text.length) return read;
      const stretch = stretchOf(at);
      return origins[stretch] + (widths[stretch] === 0 ? at - ats[stretch] : 0);
    },
    endOf(at) {
      const stretch = stretchOf(at);
      return widths[stretch] === 0
        ? origins[stretch] + at - ats[stretch] + 1
        : origins[stretch] + widths[stretch];
    },
    forget(before) {
      text = text.slice(before - forgotten);
      forgotten = before;
      const stretch = stretchOf(before);
      for (const list of [ats, origins, widths]) list.splice(0, stretch);
    },
  };
  return view;
}
