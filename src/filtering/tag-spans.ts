/** Tags of words, one after the other, made into spans. */

/** Words from `first` up to, not with, `end`. */
export interface WordSpan {
  first: number;
  end: number;
  type: string;
  /** The mean probability that its words are of the type. */
  probability: number;
}

/** Words of a span at most: what goes on is a span of its own. */
export const LONGEST_SPAN = 48;

/** A word is found where it is at least this likely beside not being found: its score says how sure that is. */
const LEAST_ODDS = 1 / 3;
/** Names seldom follow each other without a sign between them: a second one has to be so much likelier than one that goes on. */
const PARTED = 3;

export interface SpanReader {
  /** Where the span begins that is open; the number of words read, if none is. */
  readonly open: number;
  /** Reads the next word's probabilities: of `O`, then of `B` and `I` of each type. Gives the span that ends before it. */
  next(scores: ArrayLike<number>, at?: number): WordSpan | undefined;
  /** Ends the text: gives the span that is open. */
  end(): WordSpan | undefined;
}

/** @param types in the order of the tags */
export function createSpanReader(types: readonly string[]): SpanReader {
  let read = 0;
  let span: { type: number; first: number; sum: number } | undefined;
  const close = (): WordSpan | undefined => {
    if (!span) return undefined;
    const { type, first, sum } = span;
    span = undefined;
    return { first, end: read, type: types[type], probability: sum / (read - first) };
  };
  return {
    get open() {
      return span?.first ?? read;
    },
    next(scores, at = 0) {
      let [type, best] = [0, -1];
      for (const i of types.keys()) {
        const score = scores[at + 1 + 2 * i] + scores[at + 2 + 2 * i];
        if (score > best) [type, best] = [i, score];
      }
      const found = best > LEAST_ODDS * scores[at];
      const goesOn =
        found &&
        span?.type === type &&
        PARTED * scores[at + 2 + 2 * type] >= scores[at + 1 + 2 * type] &&
        read - span.first < LONGEST_SPAN;
      const closed = goesOn ? undefined : close();
      if (found) {
        span ??= { type, first: read, sum: 0 };
        span.sum += best;
      }
      read++;
      return closed;
    },
    end: close,
  };
}
