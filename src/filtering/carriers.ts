/** Ways of writing in which a text hides another: each finds a stretch, and reads what is in it. */
import { type Detector, NO_FORM } from './detector.ts';
import { END_OF_DIRECTION, RIGHT_TO_LEFT } from './normalize.ts';

/** What is read, and of each of its units where in the stretch it stands; of none, that it is in the whole. */
export interface Decoded {
  text: string;
  starts?: number[];
  ends?: number[];
}

export interface Carrier {
  name: string;
  /** Global and bounded (see open-match.ts); matched on the normalised copy. */
  pattern: RegExp;
  hint: string | RegExp;
  decode(stretch: string): Decoded | undefined;
  /** What is looked for in it; all, if it says nothing. */
  types?: (detector: Detector) => boolean;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });
const readable = (text: string) => /[^\p{Cc}\ufffd]/u.test(text) && !/[^\P{Cc}\s]/u.test(text);

/** Reads a stretch by parts, each found by `part`; what stands between them is itself. */
function decodeParts(stretch: string, part: RegExp, read: (part: string) => string): Decoded {
  let text = '';
  const starts: number[] = [];
  const ends: number[] = [];
  const add = (what: string, from: number, to: number, wide: boolean): void => {
    for (let i = 0; i < what.length; i++) {
      starts.push(wide ? from : from + i);
      ends.push(wide ? to : from + i + 1);
    }
    text += what;
  };
  let done = 0;
  for (const { 0: found, index } of stretch.matchAll(part)) {
    add(stretch.slice(done, index), done, index, false);
    done = index + found.length;
    add(read(found), index, done, true);
  }
  add(stretch.slice(done), done, stretch.length, false);
  return { text, starts, ends };
}

/** The reading of each kind of escape: of a URL, of HTML, of JSON. */
function readEscape(written: string): string {
  const code = (digits: string, radix: number): string => {
    const value = Number.parseInt(digits, radix);
    return value <= 0x10ffff ? String.fromCodePoint(value) : '\ufffd';
  };
  if (written.startsWith('%')) {
    const bytes = written
      .split('%')
      .slice(1)
      .map((hex) => Number.parseInt(hex, 16));
    try {
      return utf8.decode(Uint8Array.from(bytes));
    } catch {
      return String.fromCharCode(...bytes);
    }
  }
  if (written.startsWith('\\')) return code(written.slice(2), 16);
  return /^&#x/i.test(written) ? code(written.slice(3), 16) : code(written.slice(2), 10);
}
const escapes = /(?:%[\da-f]{2})+|\\u[\da-f]{4}|&#x[\da-f]{1,6};|&#\d{1,7};/gi;

function decodeBase64(stretch: string): Decoded | undefined {
  // Words of one case alone are words.
  if (!/[A-Z]/.test(stretch) || !/[a-z]/.test(stretch)) return undefined;
  const body = stretch.replace(/=+$/, '').replaceAll('-', '+').replaceAll('_', '/');
  if (body.length % 4 === 1) return undefined;
  try {
    const text = utf8.decode(Uint8Array.from(atob(body), (character) => character.charCodeAt(0)));
    return readable(text) ? { text } : undefined;
  } catch {
    return undefined;
  }
}

/** Letters that stand for digits; and digits for letters where a name's end has none. */
const digitOf: Record<string, string> = { o: '0', l: '1', i: '1', '|': '1', z: '2', s: '5', b: '8' };
const letterOf: Record<string, string> = { 0: 'o', 1: 'l', 3: 'e', 4: 'a', 5: 's', 7: 't' };

const host = '[\\w-]{1,63}';

export const carriers: readonly Carrier[] = [
  {
    name: 'escapes',
    hint: /%[\da-f]{2}|\\u[\da-f]{4}|&#/gi,
    pattern:
      /(?<![\w.~!*'+\-@:/?=#&;%\\])(?:%[\da-f]{2}|\\u[\da-f]{4}|&#x[\da-f]{1,6};|&#\d{1,7};|[\w.~!*'+\-@:/?=#]|&(?!#)){6,2048}/gi,
    decode: (stretch) =>
      stretch.search(escapes) < 0 ? undefined : decodeParts(stretch, escapes, readEscape),
  },
  {
    name: 'base64',
    hint: /[A-Za-z\d+/_-]{12}/g,
    pattern: /(?<![\w+/=-])[A-Za-z\d+/_-]{11,4096}={0,2}(?![\w+/=-])/g,
    decode: decodeBase64,
  },
  {
    name: 'spaced letters',
    hint: /\S {1,3}\S {1,3}\S {1,3}\S/g,
    pattern: /(?<!\S)[!-~](?: {1,3}[!-~]){5,255}(?!\S)/g,
    // A space of the text is itself between two.
    decode: (stretch) => decodeParts(stretch, / +/g, (spaces) => (spaces.length > 2 ? ' ' : '')),
  },
  {
    name: 'letters with signs between',
    hint: /\w[-_*|]\w[-_*|]\w[-_*|]/g,
    pattern: /(?<![!-~])[!-~](?:[-_*|][!-~]){5,255}(?![!-~])/g,
    decode: (stretch) => decodeParts(stretch, /(?<=^(?:..)*.)[-_*|]/g, () => ''),
  },
  {
    name: 'letters for digits',
    hint: /\d[ .\-/()]{0,2}[oliszb|]|[oliszb|][ .\-/()]{0,2}\d/gi,
    pattern: /(?<![\w|])[+(]{0,2}[\doliszb|](?:[ .\-/()]{0,2}[\doliszb|]){7,22}(?![\w|])/gi,
    decode: (stretch) =>
      /\d/.test(stretch)
        ? decodeParts(stretch, /[oliszb|]/gi, (letter) => digitOf[letter.toLowerCase()])
        : undefined,
    // What has no form of its own would be found in any words.
    types: ({ type, group, score }) =>
      score > NO_FORM &&
      (group === 'national_id' || ['card', 'phone', 'ip_address', 'date_of_birth'].includes(type)),
  },
  {
    name: 'digits for letters',
    hint: '@',
    pattern:
      /(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,5}(?:c[0o]m|[0o]rg|d[e3]|n[e3]t|[e3]du|inf[0o]|i[o0])(?!\w)/gi,
    decode: (stretch) => decodeParts(stretch, /\d(?=\w*$)/g, (digit) => letterOf[digit] ?? digit),
    types: ({ type }) => type === 'email',
  },
  {
    name: 'spelled signs',
    hint: /[[({<] ?(?:at|@)|\b(?:dot|punkt|punto)\b/gi,
    // Without brackets these are words as others are: only before the end of a name that is no word.
    pattern: new RegExp(
      `(?<![\\w.+-])[\\w.+-]{1,64}(?: ?[[({<] ?(?:at|@) ?[\\])}>] ?${host}(?: ?(?:\\.|[[({<] ?(?:dot|\\.) ?[\\])}>]|dot ) ?${host}){1,5}| at ${host}(?: (?:dot|punkt|punto) ${host}){0,4} (?:dot|punkt|punto) (?:com|org|net|edu|gov|info|io|dev|de|fr|uk|nl|eu|ch|br|pl))(?![\\w-])`,
      'gi',
    ),
    decode: (stretch) =>
      decodeParts(stretch, / ?[[({<] ?(?:at|@|dot|\.) ?[\])}>] ?| (?:at|dot|punkt|punto) | /gi, (sign) =>
        /at|@/i.test(sign) ? '@' : sign === ' ' ? '' : '.',
      ),
    types: ({ type }) => type === 'email',
  },
];

/** Looked for on a copy that keeps directions, and only where there is one. */
export const rightToLeft: Carrier = {
  name: 'right-to-left override',
  hint: RIGHT_TO_LEFT,
  pattern: new RegExp(`${RIGHT_TO_LEFT}[^${END_OF_DIRECTION}\\n]{1,512}`, 'g'),
  decode: (stretch) => {
    const starts = Array.from(stretch, (_, i) => stretch.length - 1 - i);
    return { text: [...stretch.slice(1)].reverse().join(''), starts, ends: starts.map((start) => start + 1) };
  },
};
