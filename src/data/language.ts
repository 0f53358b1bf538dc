/** Which language a text is in. */
import { detectAll, supportedLanguages, toISO2 } from 'tinyld';

/** ISO 639-1 codes of the languages that can be told (ISO 639-3 where there is no shorter one). */
export const knownLanguages: readonly string[] = supportedLanguages
  .map((code) => toISO2(code) || code)
  .sort();

/** Characters of a text's middle that are looked at. */
const SAMPLE = 2_000;
/** Where another language is found likelier, the wanted one must still reach this share of its likelihood. */
const CLOSE = 0.6;
/** A guess less sure than this is none: tables and lists of names belong to no language. */
const SURE = 0.25;
/** Names weigh too much in texts of fewer words: there, one common English word in ten is enough. */
const FEW_WORDS = 20;

// The commonest words of English; real English is a quarter to a half of them.
export const englishWords = new Set(
  'the be to of and a in that have i it for not on with he as you do at this but his by from they we say her she or an will my one all would there their what so up out if about who get which go me when make can like no just him know take into your good some could them see than then now look only come its over after use how our was were is are been had has did said'.split(
    ' ',
  ),
);

/** The share of English's commonest words among all words of a text. */
export function englishShare(words: readonly string[]): number {
  if (words.length === 0) return 0;
  let known = 0;
  for (const word of words) if (englishWords.has(word)) known++;
  return known / words.length;
}

/**
 * Whether a text is in a language (ISO 639-1), by letter sequences (tinyld). Texts too short or too strange to tell
 * count as being in it.
 *
 * @param words lower-case words of the text, for a quick look that spares most English texts the slow one
 */
export function isLanguage(text: string, language: string, words: readonly string[]): boolean {
  if (language === 'en' && englishShare(words) >= (words.length < FEW_WORDS ? 0.1 : 0.2)) return true;
  const middle = Math.max(0, (text.length - SAMPLE) >> 1);
  // Signs mislead: an upright bar is taken for the full stop of Hindi.
  const letters = text.slice(middle, middle + SAMPLE).replace(/[^\p{L}\p{M}\s'’]+/gu, ' ');
  const found = detectAll(letters);
  if (found.length === 0 || found[0].accuracy < SURE) return true;
  const wanted = found.find(({ lang }) => lang === language)?.accuracy ?? 0;
  if (wanted >= CLOSE * found[0].accuracy) return true;
  // A handful of words is too few to be sure.
  return words.length < 8 && found[0].accuracy < 1;
}
