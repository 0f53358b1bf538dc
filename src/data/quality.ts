/**
 * Rules that drop a text, in the spirit of Gopher (Rae et al., 2021, table A1) and FineWeb (Penedo et al., 2024).
 * Theirs are made for web pages; where stories, dialogue, songs and poems would fall by one, its limit is wider here,
 * and the table says so.
 */

/** What is measured of a text once, for all rules. */
export interface TextStatistics {
  words: string[];
  lines: string[];
  paragraphs: string[];
  characters: number;
}

export interface QualityRule {
  name: string;
  source: string;
  /** A number that says how bad it is, or how good. */
  measure(text: TextStatistics): number;
  min?: number;
  max?: number;
}

const stopWords = new Set(['the', 'be', 'to', 'of', 'and', 'that', 'have', 'with', 'a', 'in', 'is', 'was', 'it', 'i', 'you']);

export type Kind = 'prose' | 'code' | 'any';

const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);

/** Rules for running text. */
const proseRules: readonly QualityRule[] = [
  { name: 'too few words', source: 'Gopher: 50; songs and jokes are shorter', min: 20, measure: ({ words }) => words.length },
  { name: 'too many words', source: 'Gopher', max: 100_000, measure: ({ words }) => words.length },
  {
    name: 'mean word length',
    source: 'Gopher',
    min: 3,
    max: 10,
    measure: ({ words }) => share(words.reduce((sum, word) => sum + word.length, 0), words.length),
  },
  {
    name: 'symbols',
    source: 'Gopher: hashes and ellipses to words',
    max: 0.1,
    measure: ({ lines, words }) => share(lines.join('\n').match(/#|…|\.\.\./g)?.length ?? 0, words.length),
  },
  {
    name: 'bullet lines',
    source: 'Gopher',
    max: 0.9,
    measure: ({ lines }) => share(lines.filter((line) => /^\s*(?:[-*•‣]|\d+[.)])\s/.test(line)).length, lines.length),
  },
  {
    name: 'ellipsis lines',
    source: 'Gopher: 0.3; suspense in stories ends lines so',
    max: 0.5,
    measure: ({ lines }) => share(lines.filter((line) => /(?:\.\.\.|…)["'”’*]*$/.test(line)).length, lines.length),
  },
  {
    name: 'words without letters',
    source: 'Gopher: four of five words have one',
    max: 0.2,
    measure: ({ words }) => share(words.filter((word) => !/\p{L}/u.test(word)).length, words.length),
  },
  {
    name: 'stop words',
    source: 'Gopher: two different ones',
    min: 2,
    measure: ({ words }) => new Set(words.map((word) => word.toLowerCase()).filter((word) => stopWords.has(word))).size,
  },
  {
    name: 'repeated lines',
    source: 'Gopher: 0.3; a chorus comes again',
    max: 0.5,
    measure: ({ lines }) => share(lines.length - new Set(lines).size, lines.length),
  },
  {
    name: 'repeated paragraphs',
    source: 'Gopher: 0.3; a chorus comes again',
    max: 0.45,
    measure: ({ paragraphs }) => share(paragraphs.length - new Set(paragraphs).size, paragraphs.length),
  },
  { name: 'most frequent pair of words', source: 'Gopher', max: 0.2, measure: (text) => topGram(text, 2) },
  { name: 'most frequent four words', source: 'Gopher', max: 0.16, measure: (text) => topGram(text, 4) },
  {
    name: 'repeated ten words',
    source: 'Gopher: 0.1; refrains of tales and songs come again',
    max: 0.35,
    measure: (text) => repeatedGrams(text, 10),
  },
  {
    name: 'short lines',
    source: 'FineWeb: 0.67 of lines under 30 characters; verse is short',
    max: 0.95,
    measure: ({ lines }) => share(lines.filter((line) => line.length < 30).length, lines.length),
  },
  {
    name: 'lines that end no sentence',
    source: 'FineWeb: 0.12 end in a full stop or the like; verse ends in commas too',
    min: 0.12,
    measure: ({ lines }) => share(lines.filter((line) => /[.!?,;:…)"'”’*_\]-]$/.test(line)).length, lines.length),
  },
];

const codeRules: readonly QualityRule[] = [
  { name: 'too few words', source: 'the shortest snippet worth learning', min: 3, measure: ({ words }) => words.length },
  {
    name: 'longest line',
    source: 'The Stack (Kocetkov et al., 2022)',
    max: 1000,
    measure: ({ lines }) => lines.reduce((longest, line) => Math.max(longest, line.length), 0),
  },
  {
    name: 'letters',
    source: 'The Stack: a quarter of all characters',
    min: 0.25,
    measure: ({ lines, characters }) => share(lines.join('').match(/[\p{L}\p{N}]/gu)?.length ?? 0, characters),
  },
];

export const qualityRules: Readonly<Record<Kind, readonly QualityRule[]>> = {
  prose: proseRules,
  code: codeRules,
  any: [{ name: 'too few words', source: 'a text has a word', min: 1, measure: ({ words }) => words.length }],
};

/** The measurements that the rules share. */
export function statistics(text: string): TextStatistics {
  return {
    words: text.split(/\s+/).filter(Boolean),
    lines: text
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean),
    paragraphs: text
      .split(/\n{2,}/)
      .map((paragraph) => paragraph.trim())
      .filter(Boolean),
    characters: text.length,
  };
}

/** The first rule that a text breaks, and by how much; undefined if it breaks none. */
export function firstFault(text: TextStatistics, kind: Kind): { rule: string; value: number } | undefined {
  for (const { name, measure, min = -Infinity, max = Infinity } of qualityRules[kind]) {
    const value = measure(text);
    if (value < min || value > max) return { rule: name, value };
  }
  return undefined;
}

/** The share of all characters that the most frequent run of n words makes up. */
function topGram({ words, characters }: TextStatistics, n: number): number {
  const counts = new Map<string, number>();
  let most = 0;
  let length = 0;
  for (let i = 0; i + n <= words.length; i++) {
    const gram = words.slice(i, i + n).join(' ');
    const count = (counts.get(gram) ?? 0) + 1;
    counts.set(gram, count);
    if (count > most && count > 1) [most, length] = [count, gram.length];
  }
  return share(most * length, characters);
}

/** The share of runs of n words that stood in the text before. */
function repeatedGrams({ words }: TextStatistics, n: number): number {
  const seen = new Set<string>();
  let repeated = 0;
  let total = 0;
  for (let i = 0; i + n <= words.length; i++, total++) {
    const gram = words.slice(i, i + n).join(' ');
    if (seen.has(gram)) repeated++;
    else seen.add(gram);
  }
  return share(repeated, total);
}
