/** Sentences filled in, with what is to be found in them, and plain texts: what a tagger learns from. */

import { MANIFEST, type SplitName, splitNames, writeLabelDataset } from '../labels/label-dataset.ts';
import { patternSides, weightsOf } from '../labels/prepare-labels.ts';
import { hash } from '../labels/sentences.ts';
import { openOutput } from '../output-folder.ts';
import type { Problem } from '../problems.ts';
import { createRandom, mix } from '../random.ts';
import { type FillOptions, fillTagged, type Tagged } from './fill.ts';
import { taggedProse } from './prose.ts';
import {
  readTagRecipe,
  readTagSentences,
  type TagFamily,
  type TagRecipe,
  type TagSentences,
} from './recipe.ts';
import type { TaggedText } from './tagged-text.ts';
import { drawsOf, type SideDraws } from './word-draws.ts';

export interface PrepareTagsOptions {
  /** The JSON file that says what is read. */
  recipe: string;
  /** The folder from which the recipe's plain texts are named. */
  from: string;
  /** The folder of the data set; it appears whole or not at all. */
  out: string;
  /** Hold no words and no texts out to judge the model, but for probes: it is to be used, and another is judged. */
  all?: boolean;
  /** Write also into a folder that holds other things. */
  force?: boolean;
  signal?: AbortSignal;
  onProgress?: (texts: number) => void;
}

export interface TagReport {
  types: string[];
  /** Texts of each split, and how many spans of each type they hold. */
  splits: Record<SplitName, { texts: number; spans: number[] }>;
  problems: Problem[];
}

/** A text on its way. */
type Candidate = Omit<TaggedText, 'weight'> & { rule: { share: number } };
type Sides = Record<SplitName, Candidate[]>;

/**
 * Fills in the sentences of a recipe, reads its plain texts, and writes `train.jsonl`, `validation.jsonl`, `test.jsonl`
 * and `labels.json`. Sentences of one pattern are on one side, and some words are in the test alone.
 *
 * @throws Error if the recipe is not right or `out` holds something else
 */
export async function prepareTags(options: PrepareTagsOptions): Promise<TagReport> {
  const read = readTagRecipe(options.recipe);
  const recipe = options.all ? { ...read, test: 0, held_out_words: 0 } : read;
  const { sentences, probes } = readTagSentences(options.recipe, recipe);
  const { words, entities } = [...sentences, ...probes].at(-1)!;
  const output = openOutput(options.out, { sources: [options.recipe], mark: MANIFEST, force: options.force });
  try {
    const sides: Sides = { train: [], validation: [], test: [] };
    const problems: Problem[] = [];
    const draws = drawsOf(words, recipe);
    for (const [i, file] of sentences.entries())
      addSentences(sides, file, recipe.sentences[i], { recipe, draws });
    for (const [i, file] of probes.entries()) addProbes(sides, file, recipe.probes[i], { recipe, draws });
    const folder = output.work;
    for (const rule of recipe.prose) {
      const texts = taggedProse(rule, { ...options, recipe, draws, words, entities, folder, problems });
      for await (const { side, ...text } of texts) sides[side].push({ ...text, rule, source: rule.path });
    }
    const rows = Object.fromEntries(
      splitNames.map((name) => {
        const weights = weightsOf(sides[name]);
        return [name, sides[name].map(({ rule, ...row }) => ({ ...row, weight: weights.get(rule)! }))];
      }),
    ) as Record<SplitName, TaggedText[]>;
    writeLabelDataset(output.work, recipe.types, rows);
    output.finish();
    const spansOf = (texts: readonly TaggedText[]) =>
      recipe.types.map((type) =>
        texts.reduce((sum, { spans }) => sum + spans.filter((span) => span.type === type).length, 0),
      );
    const splits = Object.fromEntries(
      splitNames.map((name) => [name, { texts: rows[name].length, spans: spansOf(rows[name]) }]),
    ) as TagReport['splits'];
    return { types: recipe.types, splits, problems };
  } finally {
    output.discard();
  }
}

interface Made {
  recipe: TagRecipe;
  draws: SideDraws;
}

function addSentences(
  sides: Sides,
  { entities, families }: TagSentences,
  source: string,
  { recipe, draws }: Made,
): void {
  for (const family of families) {
    for (const [pattern, side] of patternSides(family.sentences, recipe)) {
      const made = sentencesOf(pattern, recipe.per_sentence, {
        ...family,
        entities,
        recipe,
        draw: draws[side],
      });
      sides[side].push(...made.map((sentence) => ({ ...sentence, rule: family, source })));
    }
  }
}

function addProbes(
  sides: Sides,
  { entities, families }: TagSentences,
  source: string,
  { recipe, draws }: Made,
): void {
  for (const family of families) {
    for (const pattern of family.sentences) {
      const made = sentencesOf(pattern, recipe.per_probe, { ...family, entities, recipe, draw: draws.test });
      sides.test.push(
        ...made.map((sentence) => ({ ...sentence, rule: family, source, class: family.class })),
      );
    }
  }
}

/** Different sentences of a pattern. */
function sentencesOf(
  pattern: string,
  count: number,
  { recipe, ...how }: Pick<TagFamily, 'casing'> & Omit<FillOptions, 'random'> & { recipe: TagRecipe },
): Tagged[] {
  const random = createRandom(mix(recipe.seed) ^ hash(pattern));
  const made = new Map<string, Tagged>();
  for (let i = 0; i < count; i++) {
    const sentence = fillTagged(pattern, { ...how, random });
    made.set(sentence.text, sentence);
  }
  return [...made.values()];
}
