/** Finds what a tagger tags in a text that comes in pieces, the same as in the whole. */
import { createNormalizedText } from './normalize.ts';
import type { Finding } from './scan.ts';
import type { Tagger } from './tag.ts';
import { shapeOf, type Word, wordsIn } from './tag-features.ts';
import { createSpanReader, LONGEST_SPAN, type WordSpan } from './tag-spans.ts';

export interface TagScan {
  /**
   * Reads a further piece; gives what is found for certain, and up to where all is decided.
   * @param between called now and then: what it throws ends the scan
   */
  push(piece: string, last: boolean, between?: () => void): Promise<{ findings: Finding[]; settled: number }>;
}

/** A word with its place in what was sent; `start` is its place in the copy. */
interface PlacedWord extends Word {
  from: number;
  to: number;
}

/** Words before a finding that are told to people. */
const TOLD = 3;

export function createTagScan(tagger: Tagger): TagScan {
  const view = createNormalizedText();
  const reader = createSpanReader(tagger.types);
  const { before, behind } = tagger.reach;
  /** The words that are remembered, and their features; `forgotten` words were before them. */
  let words: PlacedWord[] = [];
  let features: number[][] = [];
  let forgotten = 0;
  /** How many words have tags. */
  let tagged = 0;
  /** Up to where in the copy words are known. */
  let read = 0;

  /** The words of what is new in the copy. The last one may go on. */
  function readWords(last: boolean): void {
    const text = view.text.slice(read - view.forgotten);
    const found = wordsIn(text, read === 0);
    const open = found.at(-1);
    if (open && !last && open.start + open.text.length === text.length) found.pop();
    const begun = read;
    for (const word of found) {
      const start = begun + word.start;
      read = start + word.text.length;
      words.push({ ...word, start, from: view.startOf(start), to: view.endOf(read - 1) });
      features.push(tagger.featuresOf(word));
    }
  }

  function findingOf(span: WordSpan): Finding {
    const own = words.slice(span.first - forgotten, span.end - forgotten);
    const first = span.first - forgotten;
    const told = words.slice(Math.max(0, first - TOLD), first).map(({ text }) => text.trim());
    const [start, last] = [own[0], own.at(-1)!];
    return {
      start: start.from,
      end: last.to,
      type: span.type,
      score: tagger.score(span),
      why: [
        told.length > 0 ? `the tagger, after "${told.join(' ').trim()}"` : 'the tagger, at the beginning',
        `written ${own.map(shapeOf).join('').replace(/_/g, ' ').trim()}`,
      ],
      via: [],
      value: view.text.slice(start.start - view.forgotten, last.start + last.text.length - view.forgotten),
    };
  }

  /** Forgets what is no more told, tagged or looked back at. */
  function forget(): void {
    const keep = Math.min(tagged - before, reader.open - TOLD);
    if (keep - forgotten < LONGEST_SPAN) return;
    words = words.slice(keep - forgotten);
    features = features.slice(keep - forgotten);
    forgotten = keep;
    view.forget(words[0]?.start ?? read);
  }

  return {
    async push(piece, last, between) {
      view.push(piece, last);
      readWords(last);
      const known = forgotten + words.length;
      const to = last ? known : Math.max(tagged, known - behind);
      const scores = await tagger.tag(features, tagged - forgotten, to - forgotten, between);
      const tags = 1 + 2 * tagger.types.length;
      const spans: (WordSpan | undefined)[] = [];
      for (let i = 0; tagged < to; i++, tagged++) spans.push(reader.next(scores, i * tags));
      if (last) spans.push(reader.end());
      const findings = spans.flatMap((span) => (span ? [findingOf(span)] : []));
      const settled = words[reader.open - forgotten]?.from ?? view.startOf(read);
      forget();
      return { findings, settled };
    },
  };
}
