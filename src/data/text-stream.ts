/** Bytes to lines of text, in bounded memory. */
import type { Problem } from './problems.ts';

/** Longer lines are not held: they are counted and skipped. In characters. */
export const LINE_LIMIT = 4_000_000;

type Report = (problem: Problem) => void;

/**
 * Decodes UTF-8 (or UTF-16 with a byte-order mark) chunk by chunk. Bytes that are no UTF-8 become U+FFFD and are
 * counted; a stream with zero bytes near its beginning is no text and ends at once.
 */
export async function* decodeText(chunks: AsyncIterable<Uint8Array>, source: string, report: Report): AsyncGenerator<string> {
  let decoder: InstanceType<typeof TextDecoder> | undefined;
  let broken = 0;
  for await (const chunk of chunks) {
    if (!decoder) {
      const encoding = chunk[0] === 0xff && chunk[1] === 0xfe ? 'utf-16le' : chunk[0] === 0xfe && chunk[1] === 0xff ? 'utf-16be' : 'utf-8';
      if (encoding === 'utf-8' && chunk.subarray(0, 4096).includes(0)) {
        report({ source, kind: 'not text', detail: 'It holds zero bytes, so it is binary data under the name of a text.' });
        return;
      }
      decoder = new TextDecoder(encoding);
    }
    const text = decoder.decode(chunk, { stream: true });
    broken += replacements(text);
    yield text;
  }
  const rest = decoder?.decode() ?? '';
  broken += replacements(rest);
  if (rest) yield rest;
  if (broken > 0) {
    report({ source, kind: 'bad UTF-8', detail: 'Bytes that are no UTF-8 were replaced by U+FFFD.', count: broken });
  }
}

/** Cuts text into lines without their ends (\n or \r\n). Lines beyond `limit` are reported and left out. */
export async function* splitLines(
  texts: AsyncIterable<string>,
  source: string,
  report: Report,
  limit = LINE_LIMIT,
): AsyncGenerator<string> {
  let line = '';
  let skipped = 0;
  for await (const text of texts) {
    let from = 0;
    for (let to = text.indexOf('\n'); to >= 0; to = text.indexOf('\n', from)) {
      const part = text.slice(from, to);
      from = to + 1;
      if (skipped + line.length + part.length > limit) tooLong(skipped + line.length + part.length);
      else yield trimReturn(line + part);
      line = '';
      skipped = 0;
    }
    line += text.slice(from);
    if (line.length > limit) {
      skipped += line.length;
      line = '';
    }
  }
  if (skipped > 0) tooLong(skipped + line.length);
  else if (line) yield trimReturn(line);

  function tooLong(length: number): void {
    report({ source, kind: 'line too long', detail: `A line of ${length} characters, more than ${limit}, was left out.` });
  }
}

const trimReturn = (line: string) => (line.endsWith('\r') ? line.slice(0, -1) : line);

function replacements(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\ufffd'); at >= 0; at = text.indexOf('\ufffd', at + 1)) count++;
  return count;
}
