/** Sentences made of patterns with slots. */
import { createRandom, mix } from '../random.ts';

/** A list of words that leads back to itself would never end. */
const DEPTH = 20;

/**
 * Different sentences of a pattern, in which each `{name}` is replaced by one of the words of that name; words may
 * have slots themselves. The same seed gives the same sentences.
 *
 * @param count at most; fewer where the pattern has no more
 * @throws Error naming a slot without words, or one that leads back to itself
 */
export function fillSentences(
  pattern: string,
  words: Readonly<Record<string, readonly string[]>>,
  count: number,
  seed: number,
): string[] {
  const random = createRandom(mix(seed) ^ hash(pattern));
  const fill = (text: string, depth: number): string =>
    text.replace(/\{(\w+)\}/g, (_, name: string) => {
      const choices = Object.hasOwn(words, name) ? words[name] : undefined;
      if (!choices) throw new Error(`"${pattern}" has the slot {${name}}, for which there are no words.`);
      if (depth === DEPTH) throw new Error(`The words of {${name}} lead back to {${name}}.`);
      return fill(choices[Math.floor(random() * choices.length)], depth + 1);
    });
  const made = new Set<string>();
  for (let tries = 0; tries < 3 * count && made.size < count; tries++)
    made.add(fill(pattern, 0).replace(/\s+/g, ' ').trim());
  return [...made];
}

/** 32 bits of a text. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return mix(value);
}
