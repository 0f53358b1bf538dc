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
  /** JSON files of sentences of which all are held out, and how many are made of each of their patterns. */
  probes: z.array(z.string().min(1)).default([]),
  per_probe: z.number().int().min(1).max(10_000).default(10),
  /** Words of these lists are, so often, ones that look like them and were made up: no list is all of the world's names. */
  made_up: z.strictObject({ share: z.number().min(0).max(1), lists: z.array(z.string()).min(1) }).optional(),
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
        /**
         * Capitalised words that are in the lists `words`, and not in the lists `not`, are of a type, and so are those
         * that follow them, those behind words of the lists `after`, and each of them where it stands again.
         */
        named: z
          .strictObject({
            type: z.string(),
            words: z.array(z.string()),
            not: z.array(z.string()).default([]),
            after: z.array(z.string()).default([]),
            /** So often one is replaced by what fills a slot: sentences of the texts, with names from everywhere. */
            replaced: z.strictObject({ share: z.number().min(0).max(1), by: z.string() }).optional(),
          })
          .optional(),
      }),
    )
    .default([]),
});

const sentences = z.strictObject({
  /** Beside those of the recipe and of the files before this one. */
  words: wordLists.default({}),
  /** The slots whose words are found, and as what; those of the files before this one hold here, too. */
  entities: z.record(z.string().regex(/^\w+$/), z.string().min(1)).default({}),
  families: z
    .array(
      z.strictObject({
        /** How much of a batch they are, relative to other families and prose. */
        share: z.number().positive().default(1),
        /** What its sentences try a model on. */
        class: z.string().min(1).optional(),
        /** All in capitals, or in small letters. */
        casing: z.enum(['upper', 'lower']).optional(),
        sentences: z.array(z.string()).min(1),
      }),
    )
    .min(1),
});

export type TagRecipe = z.infer<typeof recipe>;
export type TagSentences = Omit<z.infer<typeof sentences>, 'words'> & { words: Words };
export type TagFamily = TagSentences['families'][number];
export type TagProse = TagRecipe['prose'][number];

/** @throws Error naming the file and each field of it that is not right */
export const readTagRecipe = (path: string): TagRecipe => readAs(path, recipe);

/**
 * The files of sentences and of probes of a recipe, in order, each with all words and entities that it may name.
 * @throws Error naming the file and what of it is not right: a slot without words, a type that the recipe has not
 */
export function readTagSentences(
  path: string,
  { sentences: names, probes, words: lists, types }: TagRecipe,
): { sentences: TagSentences[]; probes: TagSentences[] } {
  const beside = (name: string) => join(dirname(path), name);
  let words: Words = Object.assign({}, ...lists.map((name) => readAs(beside(name), wordLists)));
  let entities: Readonly<Record<string, string>> = {};
  const files = [...names, ...probes].map((name) => {
    const file = readAs(beside(name), sentences);
    words = { ...words, ...file.words };
    entities = { ...entities, ...file.entities };
    for (const { sentences } of file.families) for (const pattern of sentences) checkSlots(pattern, words);
    for (const [slot, type] of Object.entries(file.entities)) {
      if (!Object.hasOwn(words, slot)) throw new Error(`${name} has no words for the entity {${slot}}.`);
      if (!types.includes(type))
        throw new Error(`${name} finds "${type}"; the recipe has the types ${types.join(', ')}.`);
    }
    return { ...file, words, entities };
  });
  return { sentences: files.slice(0, names.length), probes: files.slice(names.length) };
}
