/**
 * The tokens of a choice beside its text that is filtered: those of what was found are told as masked, and none is told
 * before that is known.
 */
import type { TokenLogprob } from '../../api/events.ts';
import { followText } from '../../api/text-offsets.ts';
import type { TokenTrace } from '../../api/trace.ts';

/** What is told of tokens: how likely they were, and how they came about. */
export interface ToldTokens {
  logprobs?: TokenLogprob[];
  trace?: TokenTrace[];
}

export interface TokenQueue {
  /** Tokens that were told with a further piece of the text. */
  push(text: string, tokens: ToldTokens): void;
  /** A stretch of the text, in units of what was pushed, for which something else of so many units stands. */
  mask(start: number, end: number, written: number): void;
  /** The tokens that write nothing behind a place. */
  settled(place: number): ToldTokens;
}

interface Entry extends ToldTokens {
  from: number;
  to: number;
  /** Where the tokens of the logprobs begin. */
  offsets: number[];
}

interface Mask {
  start: number;
  end: number;
  written: number;
}

/** Bytes of UTF-8, those of half a surrogate pair being half of the pair's: of a text in pieces they add up. */
function bytesOf(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    bytes += unit < 0x80 ? 1 : unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 2 : 3;
  }
  return bytes;
}
const stars = (text: string): string => '*'.repeat([...text].length);

/**
 * @param aligned whether the tokens write the text that is pushed, and nothing else; where they do not, all are told at
 * the end, and all as masked if anything was
 * @param hides whether a text by itself is one that is not told: alternatives are
 */
export function createTokenQueue(aligned: boolean, hides: (text: string) => boolean): TokenQueue {
  const entries: Entry[] = [];
  const masks: Mask[] = [];
  const follow = followText();
  let read = 0;
  /** Bytes of tokens whose text has not come yet: it may be held back for a stop string, or a part of a character. */
  let owed = 0;

  /** Where a place of the text is in what is told of it. */
  function placeOf(offset: number): number {
    let moved = 0;
    for (const { start, end, written } of masks) {
      if (offset >= end) moved += written - (end - start);
      else if (offset > start) return start + moved;
    }
    return offset + moved;
  }

  function told({ from, to, logprobs, trace, offsets }: Entry): ToldTokens {
    const masked = masks.some(({ start, end }) => start < to && end > from);
    return {
      ...(logprobs && {
        logprobs: logprobs.map((each, i) => ({
          ...(masked ? maskedLogprob(each) : { ...each, top: each.top.map(shown) }),
          ...(masks.length > 0 && aligned && { offset: placeOf(offsets[i]) }),
        })),
      }),
      ...(trace && { trace: trace.map((each) => (masked ? maskedTrace(each) : shownTrace(each))) }),
    };
  }

  const shown = (each: TokenLogprob['top'][number]) =>
    hides(each.text) ? { ...each, text: stars(each.text), bytes: [] } : each;
  const shownTrace = (each: TokenTrace): TokenTrace => ({
    ...each,
    steps: each.steps.map((step) => ({
      ...step,
      candidates: step.candidates.map((one) => (hides(one.text) ? { ...one, text: stars(one.text) } : one)),
    })),
  });

  return {
    push(text, { logprobs, trace }) {
      const tokens = logprobs ?? trace ?? [];
      const from = aligned ? read : 0;
      read += text.length;
      const written = tokens.reduce(
        (sum, each) => sum + ('bytes' in each ? each.bytes.length : bytesOf(each.text)),
        0,
      );
      owed = Math.max(0, owed + written - bytesOf(text));
      const offsets = follow(
        text,
        tokens.map((each) => each.text),
      );
      if (tokens.length === 0) return;
      const to = aligned ? read + owed : Number.POSITIVE_INFINITY;
      entries.push({ from, to, offsets, ...(logprobs && { logprobs }), ...(trace && { trace }) });
    },
    mask: (start, end, written) =>
      void masks.push(aligned ? { start, end, written } : { start: 0, end: Infinity, written }),
    settled(place) {
      const first = entries.findIndex(({ to }) => to > place);
      const done = entries.splice(0, first < 0 ? entries.length : first).map(told);
      const all = <Name extends keyof ToldTokens>(name: Name) => {
        const lists = done.flatMap((each) => (each[name] ? [each[name]] : []));
        return lists.length > 0 ? { [name]: lists.flat() } : {};
      };
      return { ...all('logprobs'), ...all('trace') };
    },
  };
}

/** What stands for a likelihood that is not told; clients want a number. */
const UNTOLD = -9999;

function maskedLogprob({ text }: TokenLogprob): TokenLogprob {
  const masked = stars(text);
  return { id: 0, text: masked, bytes: [...new TextEncoder().encode(masked)], logprob: UNTOLD, top: [] };
}

const maskedTrace = ({ text, milliseconds }: TokenTrace): TokenTrace => ({
  ...{ id: null, text: stars(text), rank: 0, entropy: 0, milliseconds, steps: [] },
});
