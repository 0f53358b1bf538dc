/** Answers that end at a sentence also where they are cut. */
import type { TextStream } from './format.ts';

/** What tells that a sentence is over and another has begun: before a letter has come, a mark may still be within one. */
const letter = /\p{L}/u;

/**
 * Holds back a sentence until its end is certain, by Unicode's rules (UAX 29). Where the text is cut, the part of a
 * sentence at its end is left out, unless it is all that there is.
 * @param locale of the text, BCP 47
 */
export function createSentenceStream(locale?: string): TextStream {
  const segmenter = new Intl.Segmenter(locale, { granularity: 'sentence' });
  let held = '';
  let begun = false;
  return {
    push(piece) {
      held += piece;
      const starts = [...segmenter.segment(held)].map(({ index }) => index);
      // A break is certain once there are letters behind it.
      const settled = starts.findLast((start) => start > 0 && letter.test(held.slice(start))) ?? 0;
      const out = held.slice(0, settled);
      held = held.slice(settled);
      begun ||= out !== '';
      return out;
    },
    end(cut) {
      const rest = held;
      held = '';
      const whole = !cut || /[.!?…。！？]["'”’»)\]]*\s*$/u.test(rest);
      return whole || !begun ? rest : '';
    },
  };
}
