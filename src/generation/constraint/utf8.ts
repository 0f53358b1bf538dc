/** Ranges of characters as ranges of the bytes of their UTF-8 (the method of RE2 and of Rust's utf8-ranges). */
import { anyCharacter, type CodeRange, intersectionOf, unionOf } from './expression.ts';

/** One to four ranges of bytes, one for each place. */
export type ByteSequence = readonly (readonly [first: number, last: number])[];

/** Code points up to which a character has one, two, three, four bytes. */
const lasts = [0x7f, 0x7ff, 0xffff, 0x10ffff];

/** Sequences that together match exactly the characters in the ranges. */
export function utf8Sequences(ranges: readonly CodeRange[]): ByteSequence[] {
  return intersectionOf(unionOf(ranges), anyCharacter).flatMap(([first, last]) => split(first, last));
}

function split(first: number, last: number): ByteSequence[] {
  for (const border of lasts)
    if (first <= border && border < last) return [...split(first, border), ...split(border + 1, last)];
  if (last <= 0x7f) return [[[first, last]]];
  // Wherever the leading bits differ, the six bits behind them have to run over all of their values.
  for (let bits = 6; bits <= 18; bits += 6) {
    const mask = (1 << bits) - 1;
    if (first >> bits === last >> bits) continue;
    if ((first & mask) !== 0) return [...split(first, first | mask), ...split((first | mask) + 1, last)];
    if ((last & mask) !== mask) return [...split(first, (last & ~mask) - 1), ...split(last & ~mask, last)];
  }
  const encoder = new TextEncoder();
  const [from, to] = [first, last].map((code) => encoder.encode(String.fromCodePoint(code)));
  return [Array.from(from, (byte, i) => [byte, to[i]] as const)];
}
