/** Patterns filled in, with what is to be found in them. */
import { slots } from '../labels/sentences.ts';
import type { TagFamily } from './recipe.ts';
import type { TaggedText } from './tagged-text.ts';
import type { Draw } from './word-draws.ts';

export type Tagged = Pick<TaggedText, 'text' | 'spans'>;

export interface FillOptions {
  draw: Draw;
  /** The slots whose words are found, and as what. */
  entities: Readonly<Record<string, string>>;
  casing?: TagFamily['casing'];
  random: () => number;
}

/** A sentence of a pattern, and where in it the words of entities' slots are. */
export function fillTagged(pattern: string, { draw, entities, casing, random }: FillOptions): Tagged {
  const cased = casings[casing ?? 'as it is'];
  let text = '';
  const spans: TaggedText['spans'] = [];
  const fill = (part: string, inside: boolean): void => {
    let at = 0;
    for (const { 0: slot, 1: name, index } of part.matchAll(slots)) {
      text += cased(part.slice(at, index));
      at = index + slot.length;
      const start = text.length;
      const found = !inside && Object.hasOwn(entities, name);
      fill(draw(name, random), inside || found);
      if (found) spans.push({ start, end: text.length, type: entities[name] });
    }
    text += cased(part.slice(at));
  };
  fill(pattern, false);
  return { text, spans };
}

const casings: Readonly<Record<NonNullable<TagFamily['casing']> | 'as it is', (text: string) => string>> = {
  upper: (text) => text.toUpperCase(),
  lower: (text) => text.toLowerCase(),
  'as it is': (text) => text,
};
