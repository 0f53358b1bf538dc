/** The words that fill slots, on each side: some are in the test alone, and some of the others are made up. */
import { type SplitName, splitNames } from '../labels/label-dataset.ts';
import { hash, slots, type Words } from '../labels/sentences.ts';
import { mix } from '../random.ts';
import { createMadeUp } from './made-up.ts';
import type { TagRecipe } from './recipe.ts';

/** One of the words of a list. */
export type Draw = (list: string, random: () => number) => string;
export type SideDraws = Record<SplitName, Draw>;

/** A list that is long enough to hold some of its words out. */
const LONG = 40;

type Recipe = Pick<TagRecipe, 'seed' | 'held_out_words' | 'made_up'>;

/** Whether a word is in the test alone. */
export const isHeldOut = (word: string, { seed, held_out_words }: Omit<Recipe, 'made_up'>): boolean =>
  mix(hash(word) ^ mix(seed)) / 2 ** 32 < held_out_words;

/** @throws Error if words of a list are to be made up, and there is no such list */
export function drawsOf(words: Words, recipe: Recipe): SideDraws {
  const lists = new Map(
    Object.entries(words).map(([name, list]) => {
      const plain = list.length >= LONG && list.every((word) => word.search(slots) < 0);
      const held = plain ? list.filter((word) => isHeldOut(word, recipe)) : [];
      if (held.length === 0) return [name, { learnt: list, test: list }];
      return [name, { learnt: list.filter((word) => !isHeldOut(word, recipe)), test: held }];
    }),
  );
  const { share = 0, lists: named = [] } = recipe.made_up ?? {};
  const missing = named.find((name) => !lists.has(name));
  if (missing) throw new Error(`The recipe makes up words of "${missing}", of which there are none.`);
  const makers = new Map(named.map((name) => [name, createMadeUp(lists.get(name)!.learnt)]));
  const draw =
    (side: SplitName): Draw =>
    (name, random) => {
      const make = side === 'test' ? undefined : makers.get(name);
      if (make && random() < share) return make(random);
      const list = lists.get(name)![side === 'test' ? 'test' : 'learnt'];
      return list[Math.floor(random() * list.length)];
    };
  return Object.fromEntries(splitNames.map((side) => [side, draw(side)])) as SideDraws;
}
