/** How likely a model finds a text. */
import { floats, graphInputs } from './graph-io.ts';
import type { TextModel } from './model.ts';

export interface Score {
  /** Bits for each byte of the text's UTF-8. */
  bits_per_byte: number;
  /** Tokens scored. */
  tokens: number;
  /** Bytes of the text. */
  bytes: number;
  nats_per_token: number;
}

/** Windows computed at once: bounds the logits held to this many times context times vocabulary. */
const BATCH = 4;

/**
 * The bits a model needs for a text, every byte counted. Texts longer than the context are read in windows that
 * overlap by half, so that each token is given at least half a context of what stands before it, or the text's
 * beginning. A first token with nothing before it (where the tokenizer puts no beginning mark) costs log2(vocab).
 *
 * @throws InvalidInputError if the text is not well-formed Unicode; Error if it is empty
 */
export async function bitsPerByte(model: TextModel, text: string, signal?: AbortSignal): Promise<Score> {
  const plain = model.tokenizer.encode(text);
  if (plain.length === 0) throw new Error('An empty text has no bits per byte.');
  const ids = model.tokenizer.encode(text, { special: true });
  // Marks the tokenizer puts behind a text (</s>) are not the text's.
  const marks = ids.length - plain.length;
  const lead = marks > 0 && ids[0] !== plain[0] ? 1 : 0;
  const sequence = ids.slice(0, lead + plain.length);
  const windows = scoringWindows(sequence.length, model.contextLength);
  let nats = lead === 0 ? Math.log(model.vocabSize) : 0;
  for (let i = 0; i < windows.length; ) {
    signal?.throwIfAborted();
    // Windows of one length stand in one batch; only the last may be shorter.
    const length = windows[i].end - windows[i].start;
    const batch = windows.slice(i, i + BATCH).filter(({ start, end }) => end - start === length);
    nats += await scoreBatch(model, sequence, batch);
    i += batch.length;
  }
  const bytes = new TextEncoder().encode(text).length;
  return {
    bits_per_byte: nats / Math.LN2 / bytes,
    tokens: plain.length,
    bytes,
    nats_per_token: nats / plain.length,
  };
}

interface Window {
  start: number;
  end: number;
  /** The first position of the sequence whose token this window scores. */
  from: number;
}

/** Windows over a sequence: together they score each token but the first once. */
export function scoringWindows(length: number, context: number): Window[] {
  const stride = Math.max(1, Math.floor(context / 2));
  const windows: Window[] = [{ start: 0, end: Math.min(length, context), from: 1 }];
  for (let last = windows[0]; last.end < length; last = windows.at(-1)!) {
    const start = last.start + stride;
    windows.push({
      start,
      end: Math.min(length, start + context),
      from: last.end,
    });
  }
  return windows;
}

/** The nats of all tokens that a batch of windows scores. */
async function scoreBatch(
  model: TextModel,
  sequence: readonly number[],
  windows: readonly Window[],
): Promise<number> {
  const { session, vocabSize } = model;
  const rows = windows.map(({ start, end }) => sequence.slice(start, end));
  const { logits } = await session.run(graphInputs(model)({ rows }), ['logits']);
  const { length } = rows[0];
  let nats = 0;
  for (const [row, { start, end, from }] of windows.entries()) {
    for (let position = from; position < end; position++) {
      const at = (row * length + (position - 1 - start)) * vocabSize;
      nats += surprise(floats(logits, at, at + vocabSize), sequence[position]);
    }
  }
  return nats;
}

/** -ln p of a token under softmax(logits). */
function surprise(logits: Float32Array, token: number): number {
  let largest = -Infinity;
  for (let i = 0; i < logits.length; i++) if (logits[i] > largest) largest = logits[i];
  let total = 0;
  for (let i = 0; i < logits.length; i++) total += Math.exp(logits[i] - largest);
  return largest + Math.log(total) - logits[token];
}
