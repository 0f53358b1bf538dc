/** Byte-pair encoding learnt from text: Sennrich et al., 2016, on bytes as in Radford et al., 2019. */

export interface BpeModel {
  specialTokens: string[];
  /** Every token as a string of the byte alphabet, at its id; special tokens first. */
  vocabulary: string[];
  /** Pairs of token strings in the order they were merged. */
  merges: [string, string][];
}

/**
 * Text is cut into words before merging, as GPT-2 cuts it: contractions, runs of letters, of digits, of other signs,
 * each with at most one space before it, and runs of white space.
 */
export const wordPattern = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** GPT-2's alphabet: each byte as one printable character, by the byte's number. */
export const byteAlphabet: readonly string[] = (() => {
  const printable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
})();

const encoder = new TextEncoder();

/** A text's UTF-8 bytes in the byte alphabet. */
export function toByteAlphabet(text: string): string {
  let out = '';
  for (const byte of encoder.encode(text)) out += byteAlphabet[byte];
  return out;
}

export interface BpeOptions {
  /** Tokens in all: special ones, 256 bytes, and merges. */
  vocabSize: number;
  specialTokens: readonly string[];
  /** Pairs seen fewer times are not merged. */
  minFrequency?: number;
  onProgress?: (progress: { stage: 'count' | 'merge'; done: number; total?: number }) => void;
}

/**
 * Learns merges: again and again the pair of neighbours that occurs most often becomes one token; among equals, the
 * one whose tokens have the smaller ids. Counts are kept per word and changed only where a merge touches them.
 *
 * Memory grows with the number of different words, not with the text.
 *
 * @throws Error if the vocabulary has no room for the bytes
 */
export async function trainBpe(
  texts: AsyncIterable<string> | Iterable<string>,
  options: BpeOptions,
): Promise<BpeModel> {
  const { vocabSize, specialTokens, minFrequency = 2, onProgress } = options;
  if (!Number.isInteger(vocabSize) || vocabSize < specialTokens.length + 256) {
    throw new Error(
      `A byte-level vocabulary of ${vocabSize} has no room: ${specialTokens.length} special tokens and 256 bytes come first.`,
    );
  }
  const counts = await countWords(texts, specialTokens, onProgress);
  const bytes = [...byteAlphabet].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
  const vocabulary = [...specialTokens, ...bytes];
  const idOfByte = new Map(bytes.map((symbol, i) => [symbol, specialTokens.length + i]));
  const words = [...counts].map(([word, count]) => ({
    count,
    tokens: Array.from(toByteAlphabet(word), (symbol) => idOfByte.get(symbol)!),
  }));
  const merges: [string, string][] = [];
  const pairs = new PairCounts();
  for (const [i, { tokens, count }] of words.entries()) pairs.add(tokens, count, i);
  pairs.enqueueChanged();
  while (vocabulary.length < vocabSize) {
    const best = pairs.takeBest(minFrequency);
    if (!best) break;
    const { left, right, holders } = best;
    const merged = vocabulary.push(vocabulary[left] + vocabulary[right]) - 1;
    merges.push([vocabulary[left], vocabulary[right]]);
    for (const i of holders) {
      const word = words[i];
      pairs.remove(word.tokens, word.count);
      word.tokens = mergePair(word.tokens, left, right, merged);
      pairs.add(word.tokens, word.count, i);
    }
    pairs.enqueueChanged();
    if (merges.length % 256 === 0) {
      onProgress?.({ stage: 'merge', done: merges.length, total: vocabSize - specialTokens.length - 256 });
    }
  }
  return { specialTokens: [...specialTokens], vocabulary, merges };
}

async function countWords(
  texts: AsyncIterable<string> | Iterable<string>,
  specialTokens: readonly string[],
  onProgress: BpeOptions['onProgress'],
): Promise<Map<string, number>> {
  const specials = new RegExp(
    specialTokens.map((token) => token.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|'),
    'u',
  );
  const counts = new Map<string, number>();
  let characters = 0;
  for await (const text of texts) {
    for (const part of specialTokens.length > 0 ? text.split(specials) : [text]) {
      for (const word of part.match(wordPattern) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    characters += text.length;
    onProgress?.({ stage: 'count', done: characters });
  }
  return counts;
}

function mergePair(tokens: readonly number[], left: number, right: number, merged: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < tokens.length; i++) {
    if (tokens[i] === left && tokens[i + 1] === right) {
      out.push(merged);
      i++;
    } else out.push(tokens[i]);
  }
  return out;
}

const SHIFT = 2 ** 24;

/** How often each pair of neighbours occurs, which words hold it, and which occurs most. */
class PairCounts {
  readonly #counts = new Map<number, number>();
  readonly #holders = new Map<number, Set<number>>();
  readonly #changed = new Set<number>();
  /** A binary heap of pairs with the count each had when it was put in; outdated entries are passed over. */
  readonly #heap: { pair: number; count: number }[] = [];

  add(tokens: readonly number[], count: number, word: number): void {
    for (let i = 0; i + 1 < tokens.length; i++) {
      const pair = tokens[i] * SHIFT + tokens[i + 1];
      this.#counts.set(pair, (this.#counts.get(pair) ?? 0) + count);
      this.#changed.add(pair);
      const holders = this.#holders.get(pair);
      if (holders) holders.add(word);
      else this.#holders.set(pair, new Set([word]));
    }
  }

  remove(tokens: readonly number[], count: number): void {
    for (let i = 0; i + 1 < tokens.length; i++) {
      const pair = tokens[i] * SHIFT + tokens[i + 1];
      this.#counts.set(pair, this.#counts.get(pair)! - count);
      this.#changed.add(pair);
    }
  }

  enqueueChanged(): void {
    for (const pair of this.#changed) {
      const count = this.#counts.get(pair)!;
      if (count > 0) this.#push({ pair, count });
      else {
        this.#counts.delete(pair);
        this.#holders.delete(pair);
      }
    }
    this.#changed.clear();
  }

  /** The most frequent pair and the words that may hold it; undefined once all are rarer than `minimum`. */
  takeBest(minimum: number): { left: number; right: number; holders: number[] } | undefined {
    for (let top = this.#pop(); top; top = this.#pop()) {
      if (this.#counts.get(top.pair) !== top.count) continue;
      if (top.count < minimum) return undefined;
      const holders = [...this.#holders.get(top.pair)!];
      return { left: Math.floor(top.pair / SHIFT), right: top.pair % SHIFT, holders };
    }
    return undefined;
  }

  #push(entry: { pair: number; count: number }): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(heap[at], heap[parent])) return;
      [heap[at], heap[parent]] = [heap[parent], heap[at]];
      at = parent;
    }
  }

  #pop(): { pair: number; count: number } | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (!last || heap.length === 0) return top;
    heap[0] = last;
    for (let at = 0; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let first = at;
      if (left < heap.length && before(heap[left], heap[first])) first = left;
      if (right < heap.length && before(heap[right], heap[first])) first = right;
      if (first === at) return top;
      [heap[at], heap[first]] = [heap[first], heap[at]];
      at = first;
    }
  }
}

const before = (a: { pair: number; count: number }, b: { pair: number; count: number }) =>
  a.count > b.count || (a.count === b.count && a.pair < b.pair);
