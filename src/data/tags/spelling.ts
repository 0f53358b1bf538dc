/** Which words a body of texts writes with a capital because they are names, or may be, and which only by their place. */

const capitalised = /\p{Lu}[\p{L}\p{M}]*/gu;
const anyWord = /\p{L}[\p{L}\p{M}]*/gu;

export interface Spelling {
  /** Counts the words of a text. */
  read(text: string): void;
  /** The capitalised words of a text that are not mostly written small, nor known to be none. */
  doubtful(text: string): { start: number; end: number }[];
}

/** @param plain words, or runs of words, that are known to be no names */
export function createSpelling(plain: readonly string[]): Spelling {
  const known = new Set(plain.flatMap((words) => words.toLowerCase().match(anyWord) ?? []));
  const small = new Map<string, number>();
  const large = new Map<string, number>();
  return {
    read(text) {
      for (const [word] of text.matchAll(anyWord)) {
        const lower = word.toLowerCase();
        const counts = lower === word ? small : large;
        counts.set(lower, (counts.get(lower) ?? 0) + 1);
      }
    },
    doubtful(text) {
      return Array.from(text.matchAll(capitalised), ({ 0: word, index }) => ({ word, index }))
        .filter(({ word }) => {
          const lower = word.toLowerCase();
          if (known.has(lower) || word.length === 1) return false;
          // A name that is a word, too, is written with a capital more often than sentences begin with a word.
          return (small.get(lower) ?? 0) < 3 || (small.get(lower) ?? 0) < (large.get(lower) ?? 0);
        })
        .map(({ word, index }) => ({ start: index, end: index + word.length }));
    },
  };
}
