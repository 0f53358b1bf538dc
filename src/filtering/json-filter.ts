/**
 * A policy on JSON that comes in pieces, an answer's or a tool call's: what is looked at is the text with its escapes
 * resolved, and what comes out is JSON where that was. Where nothing is found each character stays as it was written.
 */
import type { FilterPiece } from './filter-stream.ts';

/** A filter of one text; what it gives may take its time. */
export interface TextFilter {
  push(text: string): FilterPiece | Promise<FilterPiece>;
  end(): FilterPiece | Promise<FilterPiece>;
}

/** A unit of the text that is looked at. */
interface Unit {
  /** As it was written. */
  raw: string;
  /** Whether it stands within a string, and not round one. */
  inside: boolean;
}

const escapes: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
const escaped = (text: string): string => JSON.stringify(text).slice(1, -1);

/**
 * Filters JSON. Within a string what stands for a finding is escaped; a number that is one becomes a string; quotation
 * marks and what else holds the JSON together stay. What is no JSON is read as far as it looks like it.
 * @param filter gets the text without escapes; the spans that come out are of that text
 */
export function createJsonFilter(filter: TextFilter): TextFilter {
  /** What was read and not yet sent, and how many units were sent before it. */
  let units: Unit[] = [];
  let sent = 0;
  let inString = false;
  /** The beginning of an escape, and a sign that may belong to a number that becomes a string. */
  let escaping = '';
  let sign = '';

  /** Takes characters; gives the text that is looked at. */
  function read(text: string): string {
    let plain = '';
    const take = (character: string, raw = character, inside = inString) => {
      plain += character;
      units.push({ raw, inside });
    };
    for (let i = 0; i < text.length; i++) {
      const character = text[i];
      if (escaping) {
        escaping += character;
        const whole = escaping[1] === 'u' ? /^\\u[\da-f]{4}$/i : /^\\[^u]$/;
        if (whole.test(escaping)) {
          const [, kind] = escaping;
          take(
            kind === 'u'
              ? String.fromCharCode(Number.parseInt(escaping.slice(2), 16))
              : (escapes[kind] ?? kind),
            escaping,
          );
          escaping = '';
        } else if (!/^\\u[\da-f]{0,3}$/i.test(escaping)) {
          // It is none: its characters stand for themselves.
          const [backslash, ...rest] = escaping;
          escaping = '';
          take(backslash);
          plain += read(rest.join(''));
        }
      } else if (inString && character === '\\') escaping = character;
      else if (character === '"') {
        take(character, character, false);
        inString = !inString;
      } else if (character === ',' && !inString) {
        // Here it stands between two values, and within no number.
        take(';', character);
      } else take(character);
    }
    return plain;
  }

  /** The next units as they were written. */
  function verbatim(count: number): string {
    let raw = '';
    for (const { raw: each, inside } of units.slice(0, count)) {
      raw += sign + each;
      sign = '';
      if (each !== '-' || inside) continue;
      sign = each;
      raw = raw.slice(0, -1);
    }
    units = units.slice(count);
    sent += count;
    return raw;
  }

  /** What stands for the units of a finding. */
  function replaced(count: number, written: string): string {
    const found = units.slice(0, count);
    const first = found.findIndex(({ inside }) => inside);
    units = units.slice(count);
    sent += count;
    const before = sign;
    sign = '';
    if (first < 0) return `"${escaped(before + written)}"`;
    return (
      before +
      found.map(({ raw, inside }, i) => (!inside ? raw : i === first ? escaped(written) : '')).join('')
    );
  }

  function rewritten({ text, spans, refused }: FilterPiece): FilterPiece {
    let out = '';
    /** Units of the piece's own text that are told. */
    let told = 0;
    for (const { start, end, action, written = '' } of spans) {
      if (action === 'allow') continue;
      const before = start - sent;
      out += verbatim(before);
      told += before + written.length;
      if (action !== 'refuse') out += replaced(end - start, written);
    }
    return { text: out + verbatim(text.length - told), spans, ...(refused && { refused }) };
  }

  return {
    async push(text) {
      return rewritten(await filter.push(read(text)));
    },
    async end() {
      // What is cut off stands for itself.
      const rest = escaping;
      escaping = '';
      const first = await filter.push(rest);
      for (const raw of rest) units.push({ raw, inside: inString });
      const before = rewritten(first);
      const { text, spans, ...ending } = rewritten(await filter.end());
      return { text: before.text + text + sign, spans: [...before.spans, ...spans], ...ending };
    },
  };
}

/** Whether a text is JSON that holds others: an object or a list. */
export function isJson(text: string): boolean {
  if (!/^\s*[[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
