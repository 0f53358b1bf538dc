/**
 * Texts as a tagger reads them: words, and each word as rows of a table into which its shape, itself and its runs of
 * letters are hashed. What was learnt depends on every rule here: changing one asks for a model to be trained anew.
 */
import { createNormalizedText } from './normalize.ts';
import { type FeatureConfig, featuresOf } from './text-features.ts';

/** A word of a normalised text: letters in a row, digits in a row, one other sign, or the end of a line. */
export interface Word {
  /** Where in the text it begins. */
  start: number;
  text: string;
  /** Whether white space, or nothing, is before it. */
  apart: boolean;
}

/** Units of a word at most: of a longer row of letters the rest is a word of its own. */
export const LONGEST_WORD = 40;
/** Ends of lines in a row are one word. */
const word = new RegExp(
  `\\p{L}{1,${LONGEST_WORD}}|\\p{Nd}{1,${LONGEST_WORD}}|\\n[\\s]{0,${LONGEST_WORD}}|[^\\s\\p{L}\\p{Nd}]`,
  'gu',
);

/**
 * The words of a normalised text, in order.
 * @param before whether white space, or nothing, stands before the text
 */
export function wordsIn(text: string, before = true): Word[] {
  let end = before ? -1 : 0;
  return Array.from(text.matchAll(word), ({ 0: found, index }) => {
    const apart = index > end;
    end = index + found.length;
    return { start: index, text: found, apart };
  });
}

/** The words of the normalised copy of a text, and where they stand in the text itself. */
export function wordsOfText(text: string): (Word & { from: number; to: number })[] {
  const copy = createNormalizedText();
  copy.push(text, true);
  return wordsIn(copy.text).map((word) => ({
    ...word,
    from: copy.startOf(word.start),
    to: copy.endOf(word.start + word.text.length - 1),
  }));
}

/** What kind of signs a word is made of, as far as it tells names and numbers of houses from others. */
export function shapeOf({ text, apart }: Pick<Word, 'text' | 'apart'>): string {
  const gap = apart ? '_' : '';
  if (/^\p{Nd}/u.test(text)) return `${gap}9${Math.min(text.length, 6)}`;
  if (text.startsWith('\n')) return `${gap}\n${text.split('\n').length > 2 ? '\n' : ''}`;
  if (!/^\p{L}/u.test(text)) return `${gap}${text}`;
  const lower = text.toLowerCase();
  if (lower === text) return `${gap}x${Math.min(text.length, 2)}`;
  const upper = text.toUpperCase();
  if (text.length === 1) return `${gap}X`;
  if (upper === text) return `${gap}XX${Math.min(text.length, 3)}`;
  return text.slice(1) === lower.slice(1) ? `${gap}Xx` : `${gap}xX`;
}

type Table = Pick<FeatureConfig, 'num_buckets' | 'features_per_word'>;

/** Rows for a word: its shape, itself in small letters, and its runs of letters, as many as fit. */
export function tagFeaturesOf(
  word: Pick<Word, 'text' | 'apart'>,
  { num_buckets, features_per_word }: Table,
): number[] {
  const [shape] = featuresOf(`\0${shapeOf(word)}`, { num_buckets, features_per_word: 1 });
  const lexical = { num_buckets, features_per_word: features_per_word - 1 };
  const { text } = word;
  if (/^\p{Nd}/u.test(text)) return [shape, ...numberFeatures(text, lexical)];
  return [shape, ...featuresOf(text.startsWith('\n') ? '\n' : text.toLowerCase(), lexical)];
}

/** Of a number: how it begins, and how long it is; of a short one, what it is. */
function numberFeatures(digits: string, table: Table): number[] {
  const begins = `${digits.slice(0, 2)}${'0'.repeat(Math.min(6, Math.max(0, digits.length - 2)))}`;
  const whole = digits.length <= 4 ? [`#${digits}`] : [];
  return [begins, ...whole].map((each) => featuresOf(each, { ...table, features_per_word: 1 })[0]);
}
