/**
 * What plain words say by themselves: phrases that leave little doubt, made of lists of words, beside a classifier that
 * weighs all words of a text. Where words near a phrase deny or quote it, it says nothing.
 */
import { laidOpen } from './laid-open.ts';
import lexiconFile from './lexicon.json' with { type: 'json' };
import { normalizedStretches } from './normalized-stretches.ts';
import { wordsOf } from './text-features.ts';

export interface LexiconFinding {
  categories: readonly string[];
  /** How sure, 0 to 1. */
  score: number;
  /** The words that were found, in the form in which they are compared. */
  words: string;
}

/** Words one after the other. */
type Run = readonly string[];
interface Phrase extends Pick<LexiconFinding, 'categories' | 'score'> {
  /** For each part the runs of words that it may be. */
  parts: readonly (readonly Run[])[];
}
interface Lexicon {
  /** By the word that they begin with. */
  phrases: ReadonlyMap<string, readonly Phrase[]>;
  /** Runs that may stand between the parts of a phrase. */
  fillers: readonly Run[];
  /** Words that deny or quote what stands near them. */
  against: ReadonlySet<string>;
}

/** Fillers between two parts at most. */
const MOST_FILLERS = 3;
/** How many words before and behind a phrase may speak against it; what is said beyond a sign or a "but" is said apart. */
const [BEFORE, BEHIND] = [7, 6];
const ends = new Set(['.', '!', '?', ';', 'but', 'because']);

let lexicon: Lexicon | undefined;

/** What is found in a text, each category once, the surest first. In time linear in the text's length. */
export function findPhrases(text: string): LexiconFinding[] {
  lexicon ??= compiled();
  const found = new Map<string, LexiconFinding>();
  for (const copy of normalizedStretches(laidOpen(text)))
    for (const finding of phrasesIn(wordsOf(copy), lexicon))
      for (const category of finding.categories)
        if (finding.score > (found.get(category)?.score ?? 0)) found.set(category, finding);
  return [...new Set(found.values())].sort((a, b) => b.score - a.score);
}

function* phrasesIn(words: Run, { phrases, fillers, against }: Lexicon): Generator<LexiconFinding> {
  const opposed = (word: string) => against.has(word);
  for (const [start, word] of words.entries()) {
    for (const { parts, categories, score } of phrases.get(word) ?? []) {
      const end = endOf(words, start, parts, fillers);
      if (end === undefined) continue;
      const before = words.slice(Math.max(0, start - BEFORE), start);
      const behind = words.slice(end, end + BEHIND);
      const from = before.findLastIndex((each) => ends.has(each)) + 1;
      const to = behind.findIndex((each) => ends.has(each));
      if (before.slice(from).some(opposed) || behind.slice(0, to < 0 ? BEHIND : to).some(opposed)) continue;
      yield { categories, score, words: words.slice(start, end).join(' ') };
    }
  }
}

/** Where a phrase ends that begins at a place; undefined if it does not stand there. */
function endOf(
  words: Run,
  start: number,
  parts: Phrase['parts'],
  fillers: readonly Run[],
): number | undefined {
  const stands = (run: Run, at: number) => run.every((word, i) => words[at + i] === word);
  const rest = (part: number, at: number, skipped: number): number | undefined => {
    if (part === parts.length) return at;
    for (const run of parts[part]) {
      if (!stands(run, at)) continue;
      const end = rest(part + 1, at + run.length, 0);
      if (end !== undefined) return end;
    }
    if (part === 0 || skipped === MOST_FILLERS) return undefined;
    const filler = fillers.find((run) => stands(run, at));
    return filler && rest(part, at + filler.length, skipped + 1);
  };
  return rest(0, start, 0);
}

/** The lists as they are compared with a text's words. */
function compiled(): Lexicon {
  const lists = new Map(
    Object.entries(lexiconFile.words).map(([name, list]) => [name, listed(list).map(wordsOf)] as const),
  );
  const phrases = new Map<string, Phrase[]>();
  for (const { categories, score, phrases: patterns } of lexiconFile.entries) {
    for (const pattern of patterns) {
      const parts = pattern
        .split(' ')
        .map((part) => (part.startsWith('{') ? lists.get(part.slice(1, -1))! : [wordsOf(part)]));
      for (const first of new Set(parts[0].map(([word]) => word)))
        phrases.set(first, [...(phrases.get(first) ?? []), { categories, score, parts }]);
    }
  }
  return { phrases, fillers: lexiconFile.fillers.map(wordsOf), against: new Set(lexiconFile.against) };
}

/** A list, or, of words that need not stand where anybody reads them, its lines in Base64. */
const listed = (list: readonly string[] | string): readonly string[] =>
  typeof list === 'string'
    ? new TextDecoder().decode(Uint8Array.from(atob(list.slice(7)), (c) => c.charCodeAt(0))).split('\n')
    : list;
