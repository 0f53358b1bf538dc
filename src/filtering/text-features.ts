/**
 * Texts as a classifier reads them: words, and each word as rows of a table into which the word and its runs of
 * letters are hashed. What was learnt depends on every rule here: changing one asks for a model to be trained anew.
 */

/** The part of a classifier's `config.json` that says how texts are read. */
export interface FeatureConfig {
  /** Rows of the table; row 0 stands for no feature. */
  num_buckets: number;
  /** Features that a word has at most, itself the first. */
  features_per_word: number;
  /** Words that are read at a time. */
  max_words: number;
}

/** Who is spoken to and what is linked says little of a text, and a model would learn names by heart. */
const addresses = /(?<![^\s(])(?:@[\p{L}\p{N}_]+:?|(?:https?:\/\/|www\.)[^\s<>"]+)/giu;
/** Single letters in a row, each parted from the next by one sign, are one word. */
const spelledOut = /(?<![\p{L}\p{N}])\p{L}(?:[ .\-_*|/]\p{L}){2,}(?![\p{L}\p{N}])/gu;
/** Letters and digits, with signs in between and a few that stand for letters around; or one sign. */
const words = /[@$]{0,3}[\p{L}\p{N}]+(?:['’`@$*!|_.-]+[\p{L}\p{N}]+)*[@$]{0,3}|[^\s\p{L}\p{N}]/gu;
/** Digits and signs that stand for letters. */
const lookalikes: Readonly<Record<string, string>> = {
  ...{ '0': 'o', '1': 'i', '3': 'e', '4': 'a', '5': 's', '7': 't' },
  ...{ '@': 'a', $: 's', '!': 'i', '|': 'i' },
};

/**
 * A text's words in a form in which spellings meet: lower case, compatibility forms and marks resolved, unseen
 * characters out, digits in words read as the letters that they look like, a letter at most twice in a row.
 */
export const wordsOf = (text: string): string[] => [...eachWord(text)];

function* eachWord(text: string): Generator<string> {
  const plain = text
    .normalize('NFKD')
    .replace(/[\p{M}\p{Cf}]/gu, '')
    .toLowerCase()
    .replace(addresses, ' ')
    .replace(spelledOut, (letters) => letters.replace(/[^\p{L}]/gu, ''));
  for (const [word] of plain.matchAll(words)) yield letterForm(word);
}

function letterForm(word: string): string {
  if (!/\p{L}/u.test(word)) return word;
  return word
    .replace(/[0134578@$!|]/g, (sign) => lookalikes[sign] ?? sign)
    .replace(/[^\p{L}\p{N}]/gu, '')
    .replace(/(.)\1{2,}/gu, '$1$1');
}

/** Run lengths of letters that are features of a word, `<` and `>` at its ends among them. */
const runLengths = [3, 4];

/** Rows for a word: itself, then its runs of letters, as many as fit. */
export function featuresOf(
  word: string,
  { num_buckets, features_per_word }: Pick<FeatureConfig, 'num_buckets' | 'features_per_word'>,
): number[] {
  const row = (feature: string) => 1 + (hash(feature) % (num_buckets - 1));
  const rows = [row(word)];
  const whole = `<${word}>`;
  for (const length of runLengths) {
    for (let i = 0; i + length <= whole.length && rows.length < features_per_word; i++)
      rows.push(row(whole.slice(i, i + length)));
  }
  return rows;
}

/** FNV-1a of UTF-16 units, scrambled as in murmur3. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/**
 * Windows of words as a classifier takes them, int64 `[windows, max_words, features_per_word]`. Rows and words beyond
 * what fits are left out; a window without words has one feature that stands for the empty text.
 */
export function featureIds(
  windows: readonly (readonly (readonly number[])[])[],
  { max_words, features_per_word, num_buckets }: FeatureConfig,
): BigInt64Array {
  const ids = new BigInt64Array(windows.length * max_words * features_per_word);
  for (const [i, window] of windows.entries()) {
    const words =
      window.length > 0 ? window.slice(0, max_words) : [featuresOf('', { num_buckets, features_per_word })];
    for (const [j, features] of words.entries()) {
      const at = (i * max_words + j) * features_per_word;
      for (const [k, feature] of features.slice(0, features_per_word).entries())
        ids[at + k] = BigInt(feature);
    }
  }
  return ids;
}

/** How far the next window reaches back, as a share of a window: what is cut in one stands whole in the next. */
const OVERLAP = 1 / 4;

/**
 * A text's words, each as its features, in windows that overlap; a text without words has one window without any. Only
 * one window is held at a time: a long text takes no more memory than its letters.
 */
export function* windowsOf(text: string, config: FeatureConfig): Generator<number[][]> {
  const { max_words } = config;
  const overlap = max_words - Math.max(1, Math.round(max_words * (1 - OVERLAP)));
  let window: number[][] = [];
  for (const word of eachWord(text)) {
    if (window.length === max_words) {
      yield window;
      window = overlap > 0 ? window.slice(-overlap) : [];
    }
    window.push(featuresOf(word, config));
  }
  yield window;
}
