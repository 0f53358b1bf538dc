/** How well spans of texts are found. */
import type { TextSpan } from '../../../data/tags/tagged-text.ts';

/** How a type fares. */
export interface SpanFigures {
  /** How many are there, and how many are found. */
  there: number;
  found: number;
  /** Beginning, end and type being right. */
  precision: number;
  recall: number;
  f1: number;
  /** Where it is enough that a span overlaps one of the type. */
  overlap_precision: number;
  overlap_recall: number;
}

interface Counts {
  there: number;
  found: number;
  right: number;
  foundNear: number;
  thereNear: number;
}

/** Counts what is found in one text after the other. */
export function createSpanCounter() {
  const byType = new Map<string, Counts>();
  const of = (type: string): Counts => {
    const known = byType.get(type) ?? { there: 0, found: 0, right: 0, foundNear: 0, thereNear: 0 };
    byType.set(type, known);
    return known;
  };
  const meets = (a: TextSpan, b: TextSpan) => a.type === b.type && a.start < b.end && b.start < a.end;
  return {
    /** @param unknown parts of which it is not known what they are: what is found there counts neither way */
    add(
      there: readonly TextSpan[],
      found: readonly TextSpan[],
      unknown: readonly Omit<TextSpan, 'type'>[] = [],
    ) {
      const told = found.filter(
        (span) =>
          there.some((each) => meets(each, span)) ||
          !unknown.some(({ start, end }) => start < span.end && span.start < end),
      );
      for (const span of there) {
        of(span.type).there++;
        if (told.some((each) => meets(each, span))) of(span.type).thereNear++;
      }
      for (const span of told) {
        const counts = of(span.type);
        counts.found++;
        const near = there.filter((each) => meets(each, span));
        if (near.length > 0) counts.foundNear++;
        if (near.some(({ start, end }) => start === span.start && end === span.end)) counts.right++;
      }
    },
    /** The types that are there at least once: of others it is not known whether they were looked for. */
    figures(): Record<string, SpanFigures> {
      return Object.fromEntries(
        [...byType]
          .filter(([, { there }]) => there > 0)
          .map(([type, { there, found, right, foundNear, thereNear }]) => [
            type,
            {
              ...{ there, found, precision: right / found, recall: right / there },
              f1: (2 * right) / (there + found),
              ...{ overlap_precision: foundNear / found, overlap_recall: thereNear / there },
            },
          ]),
      );
    },
  };
}
