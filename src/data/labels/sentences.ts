/** Sentences made of patterns with slots. */
import { createRandom, mix } from '../random.ts';

/** Lists of words by the name of the slot that they fill; words may have slots themselves. */
export type Words = Readonly<Record<string, readonly string[]>>;

/** A slot in a pattern. */
export const slots = /\{(\w+)\}/g;

/**
 * Sees that every slot of a pattern, and of the words that may fill it, can be filled.
 * @throws Error naming a slot without words, or one that leads back to itself
 */
export function checkSlots(pattern: string, words: Words): void {
  const open = new Set<string>();
  const checked = new Set<string>();
  const check = (part: string): void => {
    for (const [, name] of part.matchAll(slots)) {
      if (open.has(name)) throw new Error(`The words of {${name}} lead back to {${name}}.`);
      if (!Object.hasOwn(words, name))
        throw new Error(`"${part}" has the slot {${name}}, for which there are no words.`);
      if (checked.has(name)) continue;
      open.add(name);
      for (const word of words[name]) check(word);
      open.delete(name);
      checked.add(name);
    }
  };
  check(pattern);
}

/**
 * Different sentences of a pattern, in which each `{name}` is replaced by one of the words of that name. The same
 * seed gives the same sentences.
 * @param count at most; fewer where the pattern has hardly more
 */
export function fillSentences(pattern: string, words: Words, count: number, seed: number): string[] {
  const random = createRandom(mix(seed) ^ hash(pattern));
  const fill = (text: string): string =>
    text.replace(slots, (_, name: string) => fill(words[name][Math.floor(random() * words[name].length)]));
  const made = new Set<string>();
  for (let tries = 0; tries < 3 * count && made.size < count; tries++)
    made.add(
      fill(pattern)
        .replace(/[^\S\n]+/g, ' ')
        .trim(),
    );
  return [...made];
}

/** 32 bits of a text. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return mix(value);
}
