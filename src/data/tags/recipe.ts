/** What a tagger learns from: a JSON file that names patterns of sentences, words to fill them with, and plain texts. */
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { readAs, sides } from '../labels/recipe.ts';
import { checkSlots, type Words } from '../labels/sentences.ts';

const wordLists = z.record(z.string().regex(/^\w+$/), z.array(z.string()).min(1));

const recipe = z.strictObject({
  /** What is found. */
  types: z.array(z.string().min(1).max(100)).min(1).max(100),
  ...sides,
  /** JSON files of sentences to be filled in, beside the recipe. */
  sentences: z.array(z.string().min(1)).min(1),
  /** JSON files of further lists of words. */
  words: z.array(z.string().min(1)).default([]),
  /** How many sentences are made of each pattern. */
  per_sentence: z.number().int().min(1).max(10_000).default(100),
  /** The share of a list's words that only the test sees, if the list is long. */
  held_out_words: z.number().min(0).lt(0.5).default(0.1),
  /**
   * Texts of which it is only known that what is mostly written small is nothing that is found, and what stands in the
   * lists named in `plain` neither. Of other capitalised words nothing is learnt.
   */
  prose: z
    .array(
      z.strictObject({
        path: z.string().min(1),
        /** Texts of each file at most. */
        limit: z.number().int().min(1).optional(),
        share: z.number().positive().default(1),
        plain: z.array(z.string()).default([]),
        /** Capitalised words that are in the lists `words`, and not in the lists `not`, are of a type. */
        named: z
          .strictObject({
            type: z.string(),
            words: z.array(z.string()),
            not: z.array(z.string()).default([]),
          })
          .optional(),
      }),
    )
    .default([]),
});

const sentences = z.strictObject({
  words: wordLists,
  /** The slots whose words are found, and as what. */
  entities: z.record(z.string().regex(/^\w+$/), z.string().min(1)),
  families: z
    .array(
      z.strictObject({
        /** How much of a batch they are, relative to other families and prose. */
        share: z.number().positive().default(1),
        sentences: z.array(z.string()).min(1),
      }),
    )
    .min(1),
});

export type TagRecipe = z.infer<typeof recipe>;
export type TagSentences = Omit<z.infer<typeof sentences>, 'words'> & { words: Words };

/** @throws Error naming the file and each field of it that is not right */
export const readTagRecipe = (path: string): TagRecipe => readAs(path, recipe);

/**
 * The sentences of a recipe, with all its words.
 * @throws Error naming the file and what of it is not right: a slot without words, a type that the recipe has not
 */
export function readTagSentences(
  path: string,
  { sentences: names, words, types }: TagRecipe,
): TagSentences[] {
  const beside = (name: string) => join(dirname(path), name);
  const lists: Words = Object.assign({}, ...words.map((name) => readAs(beside(name), wordLists)));
  return names.map((name) => {
    const file = readAs(beside(name), sentences);
    const all = { ...lists, ...file.words };
    for (const { sentences } of file.families) for (const pattern of sentences) checkSlots(pattern, all);
    for (const [slot, type] of Object.entries(file.entities)) {
      if (!Object.hasOwn(all, slot)) throw new Error(`${name} has no words for the entity {${slot}}.`);
      if (!types.includes(type))
        throw new Error(`${name} finds "${type}"; the recipe has the types ${types.join(', ')}.`);
    }
    return { ...file, words: all };
  });
}
