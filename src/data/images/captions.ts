/** Captions made of a name and keywords, in the ways that people would ask for the same thing. */
import { colourNames } from './colour.ts';

/** A keyword says what an image shows, not only what it has to do with, if it stands at this many images at most. */
const TELLING = 12;

/** The part of a name before its qualifiers: `waving hand` of `waving hand: dark skin tone`. */
export const conceptOf = (title: string): string => title.toLowerCase().split(':')[0].trim();

/** How many different concepts each keyword stands at, and which keywords are names themselves. */
export class KeywordCounts {
  readonly #concepts = new Map<string, Set<string>>();
  readonly #names = new Set<string>();

  add(title: string, keywords: readonly string[]): void {
    this.#names.add(conceptOf(title));
    for (const keyword of keywords) {
      const key = keyword.toLowerCase();
      const known = this.#concepts.get(key);
      if (!known) this.#concepts.set(key, new Set([conceptOf(title)]));
      else if (known.size <= TELLING) known.add(conceptOf(title));
    }
  }

  /** A keyword at few images tells what they show, unless it names another one: `dog` at a poodle does not. */
  tells(keyword: string): boolean {
    const key = keyword.toLowerCase();
    return !this.#names.has(key) && (this.#concepts.get(key)?.size ?? 0) <= TELLING;
  }
}

const article = (noun: string): string => `${/^[aeiou]/i.test(noun) ? 'an' : 'a'} ${noun}`;
const colourWord = new RegExp(`\\b(light |dark )?(${colourNames.join('|')}|grey)\\b ?`, 'gi');

/** A text without the names of colours: `apple` of `red apple`. */
export const withoutColours = (text: string): string => text.replace(colourWord, '').trim();

/**
 * Captions of an image, lower case, each as often as it is to be chosen among them: those with the name together at
 * least as often as those with keywords, for the name is what is asked for.
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
  const noun = (text: string) => (recoloured ? withoutColours(text) : text);
  const ofName = formsOf(noun(base), qualifiers, { colour, recoloured });
  const ofKeywords = [...new Set(telling.map(noun))]
    .filter((keyword) => keyword !== noun(base))
    .flatMap((keyword) => formsOf(keyword, qualifiers, { colour, recoloured }));
  if (qualifiers.length === 0 && !recoloured && words.length > 0) {
    for (const some of [words.slice(0, 2), words.slice(2, 4)])
      if (some.length > 0) ofKeywords.push([base, ...some].join(', '));
  }
  const times = ofName.length > 0 ? Math.max(1, Math.ceil(ofKeywords.length / ofName.length)) : 0;
  return [...Array.from({ length: times }, () => ofName).flat(), ...ofKeywords];
}

/** The ways to ask for a noun with its qualifiers, or in its colour; none for no noun. */
function formsOf(
  noun: string,
  qualifiers: readonly string[],
  { colour, recoloured }: { colour?: string; recoloured: boolean },
): string[] {
  if (!noun) return [];
  if (qualifiers.length > 0) {
    const all = qualifiers.join(', ');
    const spoken = qualifiers.map((part) => part.replace(/ skin tone$/, ' skin')).join(' and ');
    return [
      ...new Set([
        `${noun}: ${all}`,
        `${noun}, ${all}`,
        `${noun} with ${all}`,
        `${all} ${noun}`,
        `${noun} with ${spoken}`,
        `${article(noun)} with ${spoken}`,
      ]),
    ];
  }
  const coloured = colour && (recoloured || withoutColours(noun) === noun) ? `${colour} ${noun}` : undefined;
  return [...(coloured ? [coloured, article(coloured)] : []), ...(recoloured ? [] : [noun, article(noun)])];
}
