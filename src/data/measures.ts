/** Figures of a text by which its quality is judged, all in one reading. */
import { englishWords } from './language.ts';

export interface Measures {
  characters: number;
  words: number;
  meanWordLength: number;
  /** `#` and ellipses for each word. */
  symbolsPerWord: number;
  /** Share of words with a letter. */
  alphabeticShare: number;
  /** How many words are among English's commonest. */
  stopWords: number;
  bulletLineShare: number;
  ellipsisLineShare: number;
  /** Share of lines that end a sentence. */
  endedLineShare: number;
  /** Share of lines under 30 characters. */
  shortLineShare: number;
  duplicateLineShare: number;
  duplicateLineCharacters: number;
  duplicateParagraphShare: number;
  duplicateParagraphCharacters: number;
  /** Share of characters in the most frequent sequence of n words. */
  topNgram: { 2: number; 3: number; 4: number };
  /** Share of characters in sequences of n words that occurred before. */
  duplicateNgram: { 5: number; 6: number; 7: number; 8: number; 9: number; 10: number };
  meanLineLength: number;
  longestLine: number;
  /** Share of characters that are letters or digits. */
  alphanumericShare: number;
  /** Lines as in a song or a poem, where repetition and open line ends belong. */
  verse: boolean;
  /** The text stops inside a sentence. */
  cutOff: boolean;
  lowerWords: string[];
}

export function measure(text: string): Measures {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const paragraphs = text.split(/\n\s*\n/).filter((paragraph) => paragraph.trim() !== '');
  const raw = text.match(/\S+/g) ?? [];
  const lowerWords = (text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}]+)*/gu) ??
    []) as string[];
  const count = lowerWords.length;
  const hashes = Int32Array.from(lowerWords, hashWord);
  const letters = lowerWords.reduce((sum, word) => sum + word.length, 0);
  const lineRepeats = repeats(lines);
  const paragraphRepeats = repeats(paragraphs);
  const verse = isVerse(lines);
  return {
    characters: text.length,
    words: count,
    meanWordLength: count === 0 ? 0 : letters / count,
    symbolsPerWord: ratio((text.match(/#|\.\.\.|…/g) ?? []).length, raw.length),
    alphabeticShare: ratio(raw.filter((word) => /\p{L}/u.test(word)).length, raw.length),
    stopWords: lowerWords.reduce((sum, word) => sum + (englishWords.has(word) ? 1 : 0), 0),
    bulletLineShare: share(lines, (line) => /^\s*(?:[-*•‣▪●]\s|\d+[.)]\s)/.test(line)),
    ellipsisLineShare: share(lines, (line) => /(?:\.\.\.|…)["'”’)*]*\s*$/.test(line)),
    endedLineShare: share(lines, (line) => /[.!?:;…]["'”’)\]*_]*\s*$/.test(line)),
    shortLineShare: share(lines, (line) => line.length < 30),
    duplicateLineShare: lineRepeats.share,
    duplicateLineCharacters: lineRepeats.characters,
    duplicateParagraphShare: paragraphRepeats.share,
    duplicateParagraphCharacters: paragraphRepeats.characters,
    topNgram: {
      2: topNgram(lowerWords, hashes, 2, letters),
      3: topNgram(lowerWords, hashes, 3, letters),
      4: topNgram(lowerWords, hashes, 4, letters),
    },
    duplicateNgram: {
      5: duplicateNgram(lowerWords, hashes, 5, letters),
      6: duplicateNgram(lowerWords, hashes, 6, letters),
      7: duplicateNgram(lowerWords, hashes, 7, letters),
      8: duplicateNgram(lowerWords, hashes, 8, letters),
      9: duplicateNgram(lowerWords, hashes, 9, letters),
      10: duplicateNgram(lowerWords, hashes, 10, letters),
    },
    meanLineLength: lines.length === 0 ? 0 : lines.reduce((sum, line) => sum + line.length, 0) / lines.length,
    longestLine: lines.reduce((longest, line) => Math.max(longest, line.length), 0),
    alphanumericShare: ratio((text.match(/[\p{L}\p{N}]/gu) ?? []).length, text.length),
    verse,
    cutOff: !verse && isCutOff(lines),
    lowerWords,
  };
}

const ratio = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);
const share = (lines: readonly string[], test: (line: string) => boolean) =>
  ratio(lines.filter(test).length, lines.length);

/** How much of a list of pieces stood in it before. */
function repeats(pieces: readonly string[]): { share: number; characters: number } {
  const seen = new Set<string>();
  let [count, characters, all] = [0, 0, 0];
  for (const piece of pieces) {
    const key = piece.trim();
    all += key.length;
    if (seen.has(key)) {
      count++;
      characters += key.length;
    } else seen.add(key);
  }
  return { share: ratio(count, pieces.length), characters: ratio(characters, all) };
}

function hashWord(word: string): number {
  let hash = 0;
  for (let i = 0; i < word.length; i++) hash = (Math.imul(hash, 31) + word.charCodeAt(i)) | 0;
  return hash;
}

/** Sequences of `size` words by a hash of 32 bits: in one text, two that differ hardly ever share one. */
function sequenceHash(hashes: Int32Array, at: number, size: number): number {
  let hash = size;
  for (let i = at; i < at + size; i++) hash = (Math.imul(hash, 0x01000193) ^ hashes[i]) | 0;
  return hash;
}

function topNgram(words: readonly string[], hashes: Int32Array, size: number, letters: number): number {
  const counts = new Map<number, number>();
  let [best, bestCount] = [-1, 1];
  for (let i = 0; i + size <= words.length; i++) {
    const hash = sequenceHash(hashes, i, size);
    const count = (counts.get(hash) ?? 0) + 1;
    counts.set(hash, count);
    if (count > bestCount) [best, bestCount] = [i, count];
  }
  if (best < 0) return 0;
  const length = words.slice(best, best + size).reduce((sum, word) => sum + word.length, 0);
  return ratio(length * bestCount, letters);
}

function duplicateNgram(words: readonly string[], hashes: Int32Array, size: number, letters: number): number {
  const seen = new Set<number>();
  let [covered, until] = [0, 0];
  for (let i = 0; i + size <= words.length; i++) {
    const hash = sequenceHash(hashes, i, size);
    if (seen.has(hash)) {
      for (let k = Math.max(i, until); k < i + size; k++) covered += words[k].length;
      until = i + size;
    } else seen.add(hash);
  }
  return ratio(covered, letters);
}

/** Songs and poems: at least four lines, nearly all of them short and made of words, several words on most. */
function isVerse(lines: readonly string[]): boolean {
  if (lines.length < 4) return false;
  const short = share(lines, (line) => line.length <= 80);
  const worded = share(
    lines,
    (line) => (line.match(/\S+/g) ?? []).length >= 3 && /^[\s\p{L}\p{P}*_]*$/u.test(line),
  );
  return short >= 0.85 && worded >= 0.6;
}

/**
 * A long last line of prose without an end. A short one may be a heading, a name, a line of verse; a row of a table,
 * a point of a list and a date end so as well.
 */
function isCutOff(lines: readonly string[]): boolean {
  const last = lines.at(-1)?.trimEnd() ?? '';
  if (
    last.length < 60 ||
    /\s\|\s|^\s*(?:[-*•]|\d+[.)])\s|^[^\s:]+(?: \S+){0,2}: \S+(?: \S+){0,3}$/.test(last)
  )
    return false;
  return /[\p{L},;:(–—-]$/u.test(last);
}
