/**
 * What the rules of a policy on safety make of a text that comes in pieces: it is judged sentence by sentence, each with
 * some of what stands before it, and sent on when it is judged. Whatever the pieces are, the sentences are the same.
 */
import {
  checkSafety,
  type Judge,
  type SafetyPolicy,
  type SafetyScope,
  type SafetyVerdict,
} from './safety.ts';

export interface SafetyPiece {
  /** What may be sent on. */
  text: string;
  /** Why nothing more is. */
  refused?: SafetyVerdict['refused'];
}

export interface SafetyStream {
  push(text: string): Promise<SafetyPiece>;
  /** Ends the text: judges what was held back. */
  end(): Promise<SafetyPiece>;
}

/** Units of a sentence at most: what is longer is judged in parts. No more is ever held back. */
export const LONGEST_SENTENCE = 400;
/** Units before a sentence that are judged with it. */
const CONTEXT = 200;
/** Behind the signs that end a sentence, or a line. */
const sentenceEnd = /[.!?\u2026\u3002\uff01\uff1f]["'\u2019\u201d)\]]{0,3}\s|\n/;

export function createSafetyStream(
  policy: SafetyPolicy,
  scope: SafetyScope,
  judge: Judge | Promise<Judge>,
  signal?: AbortSignal,
): SafetyStream {
  let held = '';
  let before = '';
  let refused: SafetyVerdict['refused'];

  async function step(piece: string, last: boolean): Promise<SafetyPiece> {
    held += piece;
    let text = '';
    while (!refused) {
      const length = nextSentence(held, last);
      if (length === 0) break;
      const sentence = held.slice(0, length);
      if (/[\p{L}\p{N}]/u.test(sentence)) {
        // By itself, too: beside much that is harmless it would count for less.
        for (const whole of before ? [sentence, before + sentence] : [sentence]) {
          refused ??= (await checkSafety(whole, policy, scope, judge, signal)).refused;
          if (refused) break;
        }
      }
      if (refused) break;
      text += sentence;
      before = (before + sentence).slice(-CONTEXT);
      held = held.slice(length);
    }
    return { text, ...(refused && { refused }) };
  }

  return { push: (text) => step(text, false), end: () => step('', true) };
}

/** Units of the next sentence; 0 while it is not known where it ends. */
function nextSentence(text: string, last: boolean): number {
  const end = sentenceEnd.exec(text.slice(0, LONGEST_SENTENCE));
  if (end) return end.index + end[0].length;
  if (text.length < LONGEST_SENTENCE) return last ? text.length : 0;
  // Not in the middle of a character.
  return /[\ud800-\udbff]/.test(text[LONGEST_SENTENCE - 1]) ? LONGEST_SENTENCE - 1 : LONGEST_SENTENCE;
}
