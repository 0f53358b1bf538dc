/**
 * The events of a drawing as they come off the wire, each image in pieces: an image in base64 can be as large as what
 * an isolate has left, so no line of events is ever held whole.
 */
import { DRAW_LINE_LIMIT, type DrawEvent, drawEvent } from '../../api/draw.ts';

type ImageEvent = Extract<DrawEvent, { type: 'image' | 'partial' }>;

/** Of an image: its `head`, its `base64` in pieces, and then the event itself, in which `b64_json` is empty. */
export type Piece =
  | DrawEvent
  | { type: 'head'; of: ImageEvent['type']; index: number }
  | { type: 'base64'; bytes: Uint8Array };

/** Bytes of a line that are no image. */
const wordsLimit = 200_000;
const marker = new TextEncoder().encode('"b64_json":"');
const code = { newline: 10, quote: 34, backslash: 92 };
const broken = () => new Error('The stream of events has a line that is no event.');

/**
 * Reads a drawing, however it is cut into chunks. Leaving the generator cancels the body.
 * @throws Error if a line is no event, or the stream ends before `done` or `error`
 */
export async function* readDrawing(body: ReadableStream<Uint8Array>): AsyncGenerator<Piece> {
  const reader = body.getReader();
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let rest: Uint8Array = new Uint8Array();
  /** What stands before the image of this line. */
  let before = '';
  /** Characters of the image of this line so far, while and after it passes. */
  let passed: number | undefined;
  let passing = false;
  try {
    for (;;) {
      if (passing) {
        const end = rest.indexOf(code.quote);
        const bytes = end < 0 ? rest : rest.subarray(0, end);
        if (bytes.includes(code.newline) || bytes.includes(code.backslash)) throw broken();
        passed! += bytes.byteLength;
        if (passed! > DRAW_LINE_LIMIT) throw broken();
        rest = rest.subarray(bytes.byteLength);
        passing = end < 0;
        if (bytes.byteLength > 0) yield { type: 'base64', bytes };
        if (!passing) continue;
      } else {
        const newline = rest.indexOf(code.newline);
        const line = newline < 0 ? rest : rest.subarray(0, newline);
        const start = passed === undefined ? indexOf(line, marker) : -1;
        if (start >= 0) {
          before = decoder.decode(line.subarray(0, start + marker.byteLength));
          rest = rest.subarray(start + marker.byteLength);
          passed = 0;
          passing = true;
          yield headOf(before);
          continue;
        }
        if (newline >= 0) {
          rest = rest.subarray(newline + 1);
          const text = before + decoder.decode(line);
          before = '';
          passed = undefined;
          if (text === '') continue;
          const event = parseEvent(text);
          yield event;
          if (event.type === 'done' || event.type === 'error') return;
          continue;
        }
        if (rest.byteLength > wordsLimit) throw broken();
      }
      const { done, value } = await reader.read();
      if (done) throw new Error('The stream of events ended before its last event.');
      rest = rest.byteLength === 0 ? value : joined(rest, value);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** What is known of an image before it passes. */
function headOf(before: string): Piece {
  try {
    const { type, index } = JSON.parse(`${before}"}`) as { type?: unknown; index?: unknown };
    if ((type === 'image' || type === 'partial') && Number.isInteger(index))
      return { type: 'head', of: type, index: index as number };
  } catch {}
  throw broken();
}

function parseEvent(line: string): DrawEvent {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    throw broken();
  }
  const { success, data } = drawEvent.safeParse(json);
  if (!success) throw broken();
  return data;
}

function indexOf(bytes: Uint8Array, wanted: Uint8Array): number {
  const last = bytes.byteLength - wanted.byteLength;
  for (let at = bytes.indexOf(wanted[0]); at >= 0 && at <= last; at = bytes.indexOf(wanted[0], at + 1)) {
    if (wanted.every((byte, offset) => bytes[at + offset] === byte)) return at;
  }
  return -1;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.byteLength + b.byteLength);
  both.set(a);
  both.set(b, a.byteLength);
  return both;
}
