/** Sentences filled in, with what is to be found in them, and plain texts: what a tagger learns from. */

import { join } from 'node:path';
import { createDeduplicator } from '../deduplicate.ts';
import { MANIFEST, type SplitName, splitNames, writeLabelDataset } from '../labels/label-dataset.ts';
import { patternSides, plainRows, sideOf, weightsOf } from '../labels/prepare-labels.ts';
import { hash, slots, type Words } from '../labels/sentences.ts';
import { openOutput } from '../output-folder.ts';
import type { Problem } from '../problems.ts';
import { createRandom, mix } from '../random.ts';
import { readFile } from '../read.ts';
import { listSources } from '../sources.ts';
import { readTagRecipe, readTagSentences, type TagRecipe, type TagSentences } from './recipe.ts';
import { createSpelling } from './spelling.ts';

/** Something in a text. Offsets in UTF-16 units. */
export interface TextSpan {
  start: number;
  end: number;
  type: string;
}

/** A line of `train.jsonl`, `validation.jsonl` or `test.jsonl`. */
export interface TaggedText {
  text: string;
  /** What is to be found. */
  spans: TextSpan[];
  /** Parts of which it is not known what they are. */
  unknown?: Omit<TextSpan, 'type'>[];
  /** How often it is drawn in training, relative to others. */
  weight: number;
  /** Where it is from. */
  source: string;
}

export interface PrepareTagsOptions {
  /** The JSON file that says what is read. */
  recipe: string;
  /** The folder from which the recipe's plain texts are named. */
  from: string;
  /** The folder of the data set; it appears whole or not at all. */
  out: string;
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
  const recipe = readTagRecipe(options.recipe);
  const files = readTagSentences(options.recipe, recipe);
  const output = openOutput(options.out, { sources: [options.recipe], mark: MANIFEST, force: options.force });
  try {
    const sides: Sides = { train: [], validation: [], test: [] };
    const problems: Problem[] = [];
    for (const [i, file] of files.entries()) addSentences(sides, file, recipe.sentences[i], recipe);
    await addProse(sides, files, recipe, { ...options, folder: output.work, problems });
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

/** A list that is long enough to hold some of its words out. */
const LONG = 40;

function addSentences(
  sides: Sides,
  { words, entities, families }: TagSentences,
  source: string,
  recipe: TagRecipe,
): void {
  const heldOut = (word: string) => mix(hash(word) ^ mix(recipe.seed)) / 2 ** 32 < recipe.held_out_words;
  const lists = new Map(
    Object.entries(words).map(([name, list]) => {
      const plain = list.length >= LONG && list.every((word) => word.search(slots) < 0);
      const held = plain ? list.filter(heldOut) : [];
      if (held.length === 0) return [name, { train: list, validation: list, test: list }];
      return [name, { train: list.filter((word) => !heldOut(word)), validation: list, test: held }];
    }),
  );
  const wordsOf = Object.fromEntries(
    splitNames.map((side) => [side, Object.fromEntries([...lists].map(([name, of]) => [name, of[side]]))]),
  ) as Record<SplitName, Words>;
  for (const family of families) {
    for (const [pattern, side] of patternSides(family.sentences, recipe)) {
      const random = createRandom(mix(recipe.seed) ^ hash(pattern));
      const made = new Set<string>();
      for (let i = 0; i < recipe.per_sentence; i++) {
        const sentence = fillTagged(pattern, wordsOf[side], entities, random);
        if (made.has(sentence.text)) continue;
        made.add(sentence.text);
        sides[side].push({ ...sentence, rule: family, source });
      }
    }
  }
}

/** A sentence of a pattern, and where in it the words of entities' slots are. */
export function fillTagged(
  pattern: string,
  words: Words,
  entities: Readonly<Record<string, string>>,
  random: () => number,
): Pick<TaggedText, 'text' | 'spans'> {
  let text = '';
  const spans: TextSpan[] = [];
  const fill = (part: string, inside: boolean): void => {
    let at = 0;
    for (const { 0: slot, 1: name, index } of part.matchAll(slots)) {
      text += part.slice(at, index);
      at = index + slot.length;
      const start = text.length;
      const found = !inside && Object.hasOwn(entities, name);
      fill(words[name][Math.floor(random() * words[name].length)], inside || found);
      if (found) spans.push({ start, end: text.length, type: entities[name] });
    }
    text += part.slice(at);
  };
  fill(pattern, false);
  return { text, spans };
}

/** Units of a piece of plain text at most. */
const PIECE = 400;

async function addProse(
  sides: Sides,
  files: readonly TagSentences[],
  recipe: TagRecipe,
  {
    from,
    folder,
    problems,
    signal,
    onProgress,
  }: Pick<PrepareTagsOptions, 'from' | 'signal' | 'onProgress'> & { folder: string; problems: Problem[] },
): Promise<void> {
  const words: Words = Object.assign({}, ...files.map((file) => file.words));
  for (const prose of recipe.prose) {
    const listed = (names: readonly string[]) =>
      names.flatMap((name) => {
        if (Object.hasOwn(words, name)) return words[name];
        throw new Error(`The recipe's prose names the words "${name}", of which there are none.`);
      });
    const spelling = createSpelling(listed(prose.plain));
    const { type = '', words: of = [], not = [] } = prose.named ?? {};
    if (type && !recipe.types.includes(type))
      throw new Error(`The recipe's prose finds "${type}"; it has the types ${recipe.types.join(', ')}.`);
    const others = new Set(listed(not).flatMap((name) => name.split(' ')));
    const named = new Set(listed(of).filter((name) => !others.has(name)));
    const deduplicator = createDeduplicator(folder);
    const pieces: string[] = [];
    try {
      for (const file of listSources([join(from, prose.path)], (problem) => problems.push(problem))) {
        let count = 0;
        for await (const { text } of plainRows(
          readFile(file, (problem) => problems.push(problem), { scratch: folder }),
        )) {
          signal?.throwIfAborted();
          if (count++ >= (prose.limit ?? Number.POSITIVE_INFINITY)) break;
          spelling.read(text);
          // The beginning of a text and a part of its middle.
          for (const start of [0, Math.floor(text.length / 2)]) {
            const piece = text
              .slice(start, start + PIECE)
              .replace(/^\S*\s|\s\S*$/g, '')
              .toWellFormed();
            if (piece.trim() !== '' && deduplicator.add(piece) === 'new') pieces.push(piece);
          }
          onProgress?.(pieces.length);
        }
      }
    } finally {
      deduplicator.close();
    }
    for (const text of pieces) {
      const doubtful = spelling.doubtful(text);
      const isNamed = ({ start, end }: Omit<TextSpan, 'type'>) => named.has(text.slice(start, end));
      sides[sideOf(text, recipe)].push({
        text,
        spans: doubtful.filter(isNamed).map((span) => ({ ...span, type })),
        unknown: doubtful.filter((span) => !isNamed(span)),
        rule: prose,
        source: prose.path,
      });
    }
  }
}
