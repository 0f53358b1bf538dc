/** Captions made of a name and keywords, in the ways that people would ask for the same thing. */
import { colourNames } from './colour.ts';

/** A keyword says what an image shows, not only what it has to do with, if it stands at this many images at most. */
const TELLING = 12;

/** The part of a name before its qualifiers: `waving hand` of `waving hand: dark skin tone`. */
export const conceptOf = (title: string): string => title.toLowerCase().split(':')[0].trim();

/** How many different concepts each keyword stands at. */
export class KeywordCounts {
  readonly #concepts = new Map<string, Set<string>>();

  add(title: string, keywords: readonly string[]): void {
    for (const keyword of keywords) {
      const key = keyword.toLowerCase();
      const known = this.#concepts.get(key);
      if (!known) this.#concepts.set(key, new Set([conceptOf(title)]));
      else if (known.size <= TELLING) known.add(conceptOf(title));
    }
  }

  tells(keyword: string): boolean {
    return (this.#concepts.get(keyword.toLowerCase())?.size ?? 0) <= TELLING;
  }
}

const article = (noun: string): string => `${/^[aeiou]/i.test(noun) ? 'an' : 'a'} ${noun}`;
const colourWord = new RegExp(`\\b(light |dark )?(${colourNames.join('|')}|grey)\\b ?`, 'gi');

/** A text without the names of colours: `apple` of `red apple`. */
export const withoutColours = (text: string): string => text.replace(colourWord, '').trim();

/**
 * Captions of an image, lower case, each once.
 * @param colour the colour that most of the image has, where it has one
 * @param recoloured whether the image was given that colour: then it stands in every caption, in place of any other
 */
export function captionsOf(
  title: string,
  keywords: readonly string[],
  counts: KeywordCounts,
  { colour, recoloured = false }: { colour?: string; recoloured?: boolean } = {},
): string[] {
  const [base, ...qualifiers] = title
    .toLowerCase()
    .split(/[:,]\s*/)
    .map((part) => part.trim())
    .filter(Boolean);
  const words = keywords.map((keyword) => keyword.toLowerCase()).filter((keyword) => keyword !== base);
  const telling = words.filter((keyword) => counts.tells(keyword) && !keyword.includes(':'));
  const nouns = [base, base, ...telling].map((noun) => (recoloured ? withoutColours(noun) : noun));
  const out = new Set<string>();
  for (const noun of nouns.filter(Boolean)) {
    if (qualifiers.length > 0) {
      const all = qualifiers.join(', ');
      for (const form of [`${noun}: ${all}`, `${noun}, ${all}`, `${noun} with ${all}`, `${all} ${noun}`])
        out.add(form);
      const spoken = qualifiers.map((part) => part.replace(/ skin tone$/, ' skin')).join(' and ');
      for (const form of [`${noun} with ${spoken}`, `${article(noun)} with ${spoken}`]) out.add(form);
      continue;
    }
    const coloured = colour && (recoloured || !colourWord.test(noun)) ? `${colour} ${noun}` : undefined;
    colourWord.lastIndex = 0;
    if (coloured) for (const form of [coloured, article(coloured)]) out.add(form);
    if (recoloured) continue;
    for (const form of [noun, article(noun)]) out.add(form);
  }
  if (qualifiers.length === 0 && !recoloured && words.length > 0) {
    out.add([base, ...words.slice(0, 2)].join(', '));
    out.add([base, ...words.slice(2, 4)].join(', '));
  }
  return [...out];
}
