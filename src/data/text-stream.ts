/** Bytes to lines of text, in bounded memory. */
import type { ReportProblem } from './problems.ts';

/** Longer lines are not held: they are counted and skipped. In characters. */
export const LINE_LIMIT = 4_000_000;

/** Bytes at the beginning by which text is told from binary data. */
const HEAD = 4096;

/**
 * The first `length` bytes of a stream (fewer where it is shorter), and the whole stream from the beginning.
 */
export async function peek(
  chunks: AsyncIterable<Uint8Array>,
  length: number,
): Promise<{ head: Uint8Array; all: AsyncGenerator<Uint8Array> }> {
  const iterator = chunks[Symbol.asyncIterator]();
  let head = new Uint8Array(0);
  let failure: { error: unknown } | undefined;
  while (head.length < length) {
    try {
      const { done, value } = await iterator.next();
      if (done) break;
      head = Buffer.concat([head, value]);
    } catch (error) {
      // What came before the damage is still read.
      failure = { error };
      break;
    }
  }
  async function* all(): AsyncGenerator<Uint8Array> {
    try {
      if (head.length > 0) yield head;
      if (failure) throw failure.error;
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  }
  return { head: head.subarray(0, length), all: all() };
}

/**
 * Decodes UTF-8 (or UTF-16 with a byte-order mark) chunk by chunk. Bytes that are no UTF-8 become U+FFFD and are
 * counted; a stream with zero bytes near its beginning is no text and ends at once.
 */
export async function* decodeText(
  chunks: AsyncIterable<Uint8Array>,
  source: string,
  report: ReportProblem,
): AsyncGenerator<string> {
  const { head, all } = await peek(chunks, HEAD);
  const mark = head.length < 2 ? 0 : head[0] * 256 + head[1];
  const encoding = mark === 0xfffe ? 'utf-16le' : mark === 0xfeff ? 'utf-16be' : 'utf-8';
  if (encoding === 'utf-8' && head.includes(0)) {
    report({
      source,
      kind: 'not text',
      detail: 'It holds zero bytes, so it is binary data under the name of a text.',
    });
    await all.return(undefined);
    return;
  }
  const decoder = new TextDecoder(encoding);
  let broken = 0;
  try {
    for await (const chunk of all) {
      const text = decoder.decode(chunk, { stream: true });
      broken += replacements(text);
      yield text;
    }
    const rest = decoder.decode();
    broken += replacements(rest);
    if (rest) yield rest;
  } finally {
    if (broken > 0) {
      const detail = `Bytes that are no ${encoding.toUpperCase()} stand as U+FFFD, or stood so before.`;
      report({ source, kind: 'bad UTF-8', detail, count: broken });
    }
  }
}

/** Cuts text into lines without their ends (\n or \r\n). Lines beyond `limit` are reported and left out. */
export async function* splitLines(
  texts: AsyncIterable<string>,
  source: string,
  report: ReportProblem,
  limit = LINE_LIMIT,
): AsyncGenerator<string> {
  // Parts are joined once: a line that comes in many chunks would else be copied at each.
  let parts: string[] = [];
  let length = 0;
  const take = (part: string): string | undefined => {
    length += part.length;
    const line = length > limit ? undefined : parts.concat(part).join('');
    if (line === undefined) {
      const detail = `A line of ${length} characters, more than ${limit}, was left out.`;
      report({ source, kind: 'too long', detail });
    }
    parts = [];
    length = 0;
    return line?.endsWith('\r') ? line.slice(0, -1) : line;
  };
  for await (const text of texts) {
    let from = 0;
    for (let to = text.indexOf('\n'); to >= 0; to = text.indexOf('\n', from)) {
      const line = take(text.slice(from, to));
      from = to + 1;
      if (line !== undefined) yield line;
    }
    length += text.length - from;
    if (length > limit) parts = [];
    else if (from < text.length) parts.push(text.slice(from));
  }
  if (length > 0) {
    const line = take('');
    if (line) yield line;
  }
}

function replacements(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\ufffd'); at >= 0; at = text.indexOf('\ufffd', at + 1)) count++;
  return count;
}
