/**
 * Limits of quality, in one table. They follow the rules of Gopher (Rae et al., 2021, "Scaling Language Models",
 * appendix A.1.1) and FineWeb (Penedo et al., 2024, section 3.5), and for code those of Codex (Chen et al., 2021,
 * section 3.1). Those rules were made for web pages; a limit of our own stands beside the published one where texts
 * of other kinds, answers, songs and stories for small children, would have been lost.
 */
import type { Measures } from './measures.ts';

export const kinds = ['prose', 'code', 'any'] as const;
export type Kind = (typeof kinds)[number];

export interface Limit {
  name: string;
  why: string;
  value: (measures: Measures) => number;
  min?: number;
  max?: number;
  /** The limits for songs and poems; `null` where the rule does not hold for them. */
  verse?: { min?: number; max?: number } | null;
  /** The limits for answers to an instruction; `null` where the rule does not hold for them. */
  answer?: { min?: number; max?: number } | null;
  kind: Exclude<Kind, 'any'>;
  /** Only where the text is in English. */
  english?: boolean;
}

export const limits: readonly Limit[] = [
  {
    name: 'too few words',
    why: 'Gopher asks for 50 words; a story for small children has fewer, an answer may be one word.',
    value: (m) => m.words,
    min: 20,
    answer: { min: 1 },
    kind: 'prose',
  },
  {
    name: 'too many words',
    why: 'Gopher: at most 100,000 words.',
    value: (m) => m.words,
    max: 100_000,
    kind: 'prose',
  },
  {
    name: 'word length',
    why: "Gopher asks for a mean of 3 to 10 characters; simple children's English reaches 2.8.",
    value: (m) => m.meanWordLength,
    min: 2.5,
    max: 10,
    answer: { min: 1.5, max: 14 },
    kind: 'prose',
  },
  {
    name: 'symbols',
    why: 'Gopher: at most one # or ellipsis for ten words.',
    value: (m) => m.symbolsPerWord,
    max: 0.1,
    answer: { max: 0.2 },
    kind: 'prose',
  },
  {
    name: 'bullets',
    why: 'Gopher: at most 90% of lines are points of a list.',
    value: (m) => m.bulletLineShare,
    max: 0.9,
    answer: null,
    kind: 'prose',
  },
  {
    name: 'ellipses',
    why: 'Gopher: at most 30% of lines end in an ellipsis; a teller of ghost stories ends more so.',
    value: (m) => m.ellipsisLineShare,
    max: 0.3,
    verse: { max: 0.5 },
    answer: null,
    kind: 'prose',
  },
  {
    name: 'words without letters',
    why: 'Gopher: at least 80% of words hold a letter; text of numbers and signs teaches no language.',
    value: (m) => m.alphabeticShare,
    min: 0.8,
    answer: { min: 0.5 },
    kind: 'prose',
  },
  {
    name: 'no common words',
    why: 'Gopher: at least two of the commonest English words.',
    value: (m) => m.stopWords,
    min: 2,
    answer: null,
    kind: 'prose',
    english: true,
  },
  {
    name: 'repeated lines',
    why: 'Gopher: at most 30% of lines stood there before; a chorus may.',
    value: (m) => m.duplicateLineShare,
    max: 0.3,
    verse: { max: 0.6 },
    kind: 'prose',
  },
  {
    name: 'repeated line characters',
    why: 'Gopher: at most 20% of characters in repeated lines.',
    value: (m) => m.duplicateLineCharacters,
    max: 0.2,
    verse: { max: 0.6 },
    kind: 'prose',
  },
  {
    name: 'repeated paragraphs',
    why: 'Gopher: at most 30% of paragraphs stood there before.',
    value: (m) => m.duplicateParagraphShare,
    max: 0.3,
    verse: { max: 0.6 },
    kind: 'prose',
  },
  {
    name: 'repeated paragraph characters',
    why: 'Gopher: at most 20% of characters in repeated paragraphs.',
    value: (m) => m.duplicateParagraphCharacters,
    max: 0.2,
    verse: { max: 0.6 },
    kind: 'prose',
  },
  ...(
    [
      [2, 0.2],
      [3, 0.18],
      [4, 0.16],
    ] as const
  ).map(
    ([n, max]): Limit => ({
      name: `one sequence of ${n} words`,
      why: `Gopher: at most ${max * 100}% of characters in the most frequent sequence of ${n} words; not asked of picture books under 100 words.`,
      value: (m) => (m.words < 100 ? 0 : m.topNgram[n]),
      max,
      verse: { max: 2 * max },
      kind: 'prose',
    }),
  ),
  ...(
    [
      [5, 0.15],
      [6, 0.14],
      [7, 0.13],
      [8, 0.12],
      [9, 0.11],
      [10, 0.1],
    ] as const
  ).map(
    ([n, max]): Limit => ({
      name: `repeated sequences of ${n} words`,
      why: `Gopher: at most ${Math.round(max * 100)}% of characters in repeated sequences of ${n} words; tales told in refrains have up to twice that, songs more.`,
      value: (m) => m.duplicateNgram[n],
      max: 2 * max,
      verse: { max: 0.6 },
      kind: 'prose',
    }),
  ),
  {
    name: 'lines without end',
    why: 'FineWeb: at least 12% of lines end a sentence; menus and lists of links do not.',
    value: (m) => m.endedLineShare,
    min: 0.12,
    verse: null,
    answer: null,
    kind: 'prose',
  },
  {
    name: 'short lines',
    why: 'FineWeb: at most 67% of lines under 30 characters.',
    value: (m) => (m.endedLineShare > 0.5 ? 0 : m.shortLineShare),
    max: 0.67,
    verse: null,
    answer: null,
    kind: 'prose',
  },
  {
    name: 'cut off',
    why: 'An answer that stops inside a sentence teaches a model to do so.',
    value: (m) => Number(m.cutOff),
    answer: { max: 0 },
    kind: 'prose',
  },
  {
    name: 'long lines of code',
    why: 'Codex: lines of at most 100 characters on average.',
    value: (m) => m.meanLineLength,
    max: 100,
    answer: { max: 200 },
    kind: 'code',
  },
  {
    name: 'a very long line of code',
    why: 'Codex: no line over 1,000 characters; data and minified files have them.',
    value: (m) => m.longestLine,
    max: 1_000,
    kind: 'code',
  },
  {
    name: 'code without letters',
    why: 'Codex: at least a quarter of the characters are letters or digits.',
    value: (m) => m.alphanumericShare,
    min: 0.25,
    kind: 'code',
  },
  {
    name: 'repeated lines of code',
    why: 'Generated tables: more than 60% of characters in repeated lines.',
    value: (m) => m.duplicateLineCharacters,
    max: 0.6,
    kind: 'code',
  },
];

/** The first limit that a text breaks, or undefined. */
export function brokenLimit(
  measures: Measures,
  { kind, answer, english }: { kind: Kind; answer: boolean; english: boolean },
): Limit | undefined {
  return limits.find((limit) => {
    if (limit.kind !== kind || (limit.english && !english)) return false;
    const range = [limit, answer ? limit.answer : undefined, measures.verse ? limit.verse : undefined];
    if (range.includes(null)) return false;
    // Where a text is both an answer and verse, the wider limit holds.
    const special = range.slice(1).filter((part) => part !== undefined) as { min?: number; max?: number }[];
    const min =
      special.length > 0
        ? Math.min(...special.map((part) => part.min ?? -Infinity))
        : (limit.min ?? -Infinity);
    const max =
      special.length > 0 ? Math.max(...special.map((part) => part.max ?? Infinity)) : (limit.max ?? Infinity);
    const value = limit.value(measures);
    return value < min || value > max;
  });
}
