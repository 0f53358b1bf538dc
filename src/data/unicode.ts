/** Repairs of text as a sequence of characters. Each takes any string, never throws, and is idempotent. */

/** The characters that Windows-1252 has at 0x80 to 0x9f, by byte; its five holes stand for themselves. */
const windows1252 = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ';
const byteOf = new Map<string, number>([...windows1252].map((character, i) => [character, 0x80 + i]));
for (let byte = 0x80; byte < 0x100; byte++) {
  const character = String.fromCharCode(byte);
  if (!byteOf.has(character)) byteOf.set(character, byte);
}
const trail = `[\\x80-\\xbf${windows1252}]`;
// Only the lead bytes of Latin letters, punctuation, symbols and emoji: É» and the like stand in real French.
const misread = new RegExp(`[ÂÃ]${trail}|[âï]${trail}{2}|ð${trail}{3}`, 'g');
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** UTF-8 that was read as Windows-1252 is read again: `donâ€™t` becomes `don’t`, also where it happened twice. */
export function repairMojibake(text: string): string {
  for (let before = ''; before !== text; ) {
    before = text;
    text = text.replace(misread, (match) => {
      try {
        return strictUtf8.decode(Uint8Array.from(match, (character) => byteOf.get(character)!));
      } catch {
        return match;
      }
    });
  }
  return text;
}

/** Lone surrogates become U+FFFD, and the rest is composed (Unicode normalisation form C). */
export function composeUnicode(text: string): string {
  return text.toWellFormed().normalize('NFC');
}

/** Spans of code points that are not seen: controls, soft hyphen, direction and format marks, byte-order mark. */
const unseenSpans = '0-8 e-1f 7f-84 86-9f ad 180e 200b 200e-200f 202a-202e 2060-2064 2066-206f feff fff9-fffb'
  .split(' ')
  .map((span) => span.replace(/[\da-f]+/g, (code) => `\\u{${code}}`))
  .join('');
const unseen = new RegExp(
  [
    `[${unseenSpans}\\p{Noncharacter_Code_Point}]`,
    // Zero-width joiners make emoji and the letters of many scripts; between Latin letters they only hide.
    '(?<=[\\p{Script=Latin}\\s.,;:!?]|^)[\\u200c\\u200d]|[\\u200c\\u200d](?=[\\p{Script=Latin}\\s.,;:!?]|$)',
    // Tags are unseen letters, but those behind a black flag make the flags of regions.
    '(?<![\\u{1f3f4}\\u{e0020}-\\u{e007f}])[\\u{e0001}-\\u{e007f}]',
  ].join('|'),
  'gu',
);

/** Control characters, byte-order marks, soft hyphens, direction marks and zero-width characters go. */
export function removeUnseen(text: string): string {
  for (let before = ''; before !== text; ) {
    before = text;
    text = text.replace(unseen, '');
  }
  return text;
}

/**
 * Line ends become `\n`, every space character a space, three or more line ends two; space at the ends of lines and
 * of the text goes. Quotes, dashes and markdown stay as they are.
 */
export function normalizeSpace(text: string): string {
  return text
    .replace(/\r\n?|[\v\f\x85\u2028\u2029]/g, '\n')
    .replace(/[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/g, ' ')
    .replace(/[ \t]+(?=\n|$)/g, '')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}

/** The share of characters that are U+FFFD: what could not be read. */
export function unreadableShare(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\ufffd'); at >= 0; at = text.indexOf('\ufffd', at + 1)) count++;
  return text.length === 0 ? 0 : count / text.length;
}
