/** Which words a body of texts writes with a capital because they are names, or may be, and which only by their place. */

const capitalised = /\p{Lu}[\p{L}\p{M}]*/gu;
const anyWord = /\p{L}[\p{L}\p{M}]*/gu;
const withArticle = /\b(?:[Tt]he|[Aa]n?) (\p{Lu}[\p{L}\p{M}]*)/gu;
/** A word that stands behind an article as often as this is no name of a person. */
const ARTICLES = 0.25;

export interface Spelling {
  /** Counts the words of a text. */
  read(text: string): void;
  /**
   * The capitalised words of a text that are not mostly written small, nor known to be none.
   * @param before words behind which a word is doubtful, however it is mostly written
   */
  doubtful(text: string, before?: (word: string) => boolean): { start: number; end: number }[];
}

/** @param plain words, or runs of words, that are known to be no names */
export function createSpelling(plain: readonly string[]): Spelling {
  const known = new Set(plain.flatMap((words) => words.toLowerCase().match(anyWord) ?? []));
  const small = new Map<string, number>();
  const large = new Map<string, number>();
  const articles = new Map<string, number>();
  const count = (counts: Map<string, number>, word: string) => counts.set(word, (counts.get(word) ?? 0) + 1);
  function isPlain(word: string): boolean {
    const lower = word.toLowerCase();
    const [rarely, often, behind] = [small, large, articles].map((counts) => counts.get(lower) ?? 0);
    if (known.has(lower) || word.length === 1 || behind > ARTICLES * often) return true;
    // A name that is a word, too, is written with a capital more often than sentences begin with a word.
    return rarely >= 3 && rarely >= often;
  }
  return {
    read(text) {
      for (const [word] of text.matchAll(anyWord)) {
        const lower = word.toLowerCase();
        count(lower === word ? small : large, lower);
      }
      for (const [, word] of text.matchAll(withArticle)) count(articles, word.toLowerCase());
    },
    doubtful(text, before = () => false) {
      let previous = '';
      let end = 0;
      return Array.from(text.matchAll(capitalised), ({ 0: word, index }) => {
        const follows = before(previous) && /^\.? $/.test(text.slice(end, index));
        [previous, end] = [word, index + word.length];
        return { word, index, follows };
      })
        .filter(({ word, follows }) => (follows && word.length > 1) || !isPlain(word))
        .map(({ word, index }) => ({ start: index, end: index + word.length }));
    },
  };
}
