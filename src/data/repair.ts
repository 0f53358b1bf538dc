/** Repairs: rules that change a text and keep it. Each leaves a text alone that needs nothing. */

export interface Repair {
  name: string;
  why: string;
  apply(text: string): string;
}

// Bytes 0x80 to 0x9f as Windows-1252 shows them; what UTF-8 text looks like when it was once read as that.
const windows1252 = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';
const byteOf = new Map<string, number>([
  ...Array.from({ length: 128 }, (_, i): [string, number] => [String.fromCharCode(128 + i), 128 + i]),
  ...[...windows1252].map((sign, i): [string, number] => [sign, 128 + i]),
]);
const lead = '[\u00c2-\u00f4]';
const trail = `[\u0080-\u00bf${windows1252}]`;
const mojibake = new RegExp(`${lead}${trail}{1,3}`, 'gu');

/** Stretches that are UTF-8 read as Windows-1252 (`â€™` for ’), turned back where they decode whole. */
function undoMojibake(text: string): string {
  return text.replace(mojibake, (match) => {
    const first = byteOf.get(match[0])!;
    const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (match.length < length) return match;
    const bytes = Uint8Array.from(match.slice(0, length), (sign) => byteOf.get(sign)!);
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes) + match.slice(length);
    } catch {
      return match;
    }
  });
}

/** Closing remarks of a writing model that are about its answer, not part of it. */
const modelNotes: readonly RegExp[] = [
  /^\(?\**(?:please )?note(?: that)?\**:/i,
  /^(?:i hope (?:this|you|that)|let me know if|feel free to|would you like me to|is there anything else)\b/i,
  /^(?:word count|character count|total words)\s*:/i,
  /^(?:this (?:story|poem|response|answer|text|revised version|version) (?:is|has|was|meets|follows|uses|aims)\b.*\b(?:words?|characters?|audience|tone|instructions?|prompt|request)\b)/i,
];

function dropModelNotes(text: string): string {
  const paragraphs = text.split(/\n{2,}/);
  while (paragraphs.length > 1 && modelNotes.some((note) => note.test(paragraphs.at(-1)!.trim()))) {
    paragraphs.pop();
    // A rule drawn above the note goes with it.
    if (paragraphs.length > 1 && /^\s*[-*_]{3,}\s*$/.test(paragraphs.at(-1)!)) paragraphs.pop();
  }
  return paragraphs.join('\n\n');
}

const preambles: readonly RegExp[] = [
  /^(?:sure|certainly|of course|absolutely)[!,.]? (?:here(?:'s| is| are)|i(?:'d| would|'ll| will))[^\n]{0,200}[:.!]\n+(?=\S)/i,
  /^here(?:'s| is) (?:a|an|the|your) (?:revised|rewritten|short|possible)?[^\n]{0,120}:\n+(?=\S)/i,
];

const dropPreamble = (text: string) => preambles.reduce((rest, preamble) => rest.replace(preamble, ''), text);

/** In the order they are applied. */
export const repairs: readonly Repair[] = [
  { name: 'mojibake', why: 'UTF-8 that was read as Windows-1252 is turned back.', apply: undoMojibake },
  { name: 'lone surrogates', why: 'Halves of a character are no Unicode text.', apply: (text) => text.toWellFormed().replaceAll('\ufffd', '') },
  { name: 'NFC', why: 'One spelling for each character (Unicode Annex 15).', apply: (text) => text.normalize('NFC') },
  {
    name: 'control characters',
    why: 'Control and invisible characters carry no text; joiners of emoji and scripts stay.',
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what the rule removes
    apply: (text) => text.replace(/\r\n?/g, '\n').replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b\u2028\u2029\u2060\ufeff]/g, ''),
  },
  {
    name: 'white space',
    why: 'Spaces at the end of lines and runs of empty lines say nothing.',
    apply: (text) =>
      text
        .replace(/[\u00a0\u2000-\u200a\u202f\u3000]/g, ' ')
        .replace(/[ \t]+$/gm, '')
        .replace(/\n{3,}/g, '\n\n')
        .trim(),
  },
  { name: 'preamble', why: "A writing model's opening remark is no part of the answer.", apply: dropPreamble },
  { name: 'model notes', why: "A writing model's closing remark is no part of the answer.", apply: dropModelNotes },
];

/** All repairs in order, and the names of those that changed something. */
export function repair(text: string): { text: string; changed: string[] } {
  const changed: string[] = [];
  let current = text;
  for (const { name, apply } of repairs) {
    const next = apply(current);
    if (next !== current) changed.push(name);
    current = next;
  }
  return { text: current.trim(), changed };
}
