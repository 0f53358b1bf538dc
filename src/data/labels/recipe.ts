/** What a classifier of texts learns from: a JSON file that names sources, and what is known of their texts. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { checkSlots } from './sentences.ts';

/** What every recipe says of the sides of its data. */
export const sides = {
  seed: z.number().int().min(0).max(0xffffffff).default(1),
  /** Shares that are held out: to watch training and calibrate scores, and to judge the model in the end. */
  validation: z.number().min(0).lt(0.5).default(0.1),
  test: z.number().min(0).lt(0.5).default(0.1),
};
/** `*` stands for every label that is not named. A string names the row's field that holds 0 or 1. */
const given = z.record(z.string().min(1), z.union([z.literal(0), z.literal(1), z.string().min(1)]));

const rule = z.strictObject({
  /** Rows whose fields have these values; without it, every row. The first rule that fits a row is its rule. */
  if: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
  /** What is known of a text. What is not named is unknown, not absent. */
  labels: given,
  /** How much of a batch these texts are, relative to those of other rules. */
  share: z.number().positive().default(1),
});

const source = z.strictObject({
  /** A file, folder or pattern. */
  path: z.string().min(1),
  /** The field of JSONL rows that holds the text. Without it, files are read as `wick prepare` reads them. */
  text: z.string().min(1).optional(),
  /** Texts of each file at most. */
  limit: z.number().int().min(1).optional(),
  rules: z.array(rule).min(1),
});

const family = z.strictObject({
  /** What its sentences try a model on, told by `wick eval filter --by class`. */
  class: z.string().min(1).optional(),
  labels: given,
  share: z.number().positive().default(1),
  /** Sentences with `{slots}`, each of which is filled from the list of words with its name. */
  sentences: z.array(z.string().min(1)).min(1),
});

const recipe = z.strictObject({
  labels: z.array(z.string().min(1).max(100)).min(1).max(1000),
  ...sides,
  sources: z.array(source).default([]),
  /** JSON files of sentences to be filled in, beside the recipe. */
  sentences: z.array(z.string().min(1)).default([]),
  /** How many sentences are made of each pattern at most. */
  per_sentence: z.number().int().min(1).max(10_000).default(20),
  /** Likewise, but every sentence is held out to judge the model, and no relative of one is learnt from. */
  probes: z.array(z.string().min(1)).default([]),
  per_probe: z.number().int().min(1).max(10_000).default(10),
});

/** Words, or lines of them in Base64: words that hurt need not stand where anybody reads them. */
const words = z.union([
  z.array(z.string()).min(1),
  z
    .string()
    .regex(/^base64:[A-Za-z0-9+/]+=*$/)
    .transform((text) => Buffer.from(text.slice('base64:'.length), 'base64').toString().split('\n')),
]);

const sentences = z.strictObject({
  words: z.record(z.string().regex(/^\w+$/), words),
  families: z.array(family).min(1),
});

export type Recipe = z.infer<typeof recipe>;
export type LabelRule = z.infer<typeof rule>;
export type LabelSource = z.infer<typeof source>;
export type SentenceFile = z.infer<typeof sentences>;

/** @throws Error naming the file and each field of it that is not right */
export function readRecipe(path: string): Recipe {
  const read = readAs(path, recipe);
  if (read.sources.length + read.sentences.length === 0)
    throw new Error(`${path} names no source: it needs "sources" or "sentences".`);
  for (const { rules, path: from } of read.sources)
    for (const { labels } of rules) checkNames(labels, read, `${path}: ${from}`);
  return read;
}

/** @throws Error naming the file and each field of it that is not right */
export function readSentences(path: string, recipe: Recipe): SentenceFile {
  const file = readAs(path, sentences);
  for (const { labels, sentences } of file.families) {
    checkNames(labels, recipe, path);
    for (const pattern of sentences) checkSlots(pattern, file.words);
  }
  return file;
}

function checkNames(labels: LabelRule['labels'], recipe: Recipe, where: string): void {
  const unknown = Object.keys(labels).find((name) => name !== '*' && !recipe.labels.includes(name));
  if (unknown)
    throw new Error(`${where} speaks of the label "${unknown}"; the recipe has ${recipe.labels.join(', ')}.`);
}

/** @throws Error naming the file and each field of it that is not right */
export function readAs<T>(path: string, schema: z.ZodType<T>): T {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(`${path} cannot be read as JSON: ${(error as Error).message}.`, { cause: error });
  }
  const { success, data, error } = schema.safeParse(json);
  if (success) return data;
  const problems = error.issues.map(({ path: at, message }) => `${at.join('.') || 'the file'}: ${message}`);
  throw new Error(`${path} is not right. ${problems.join('; ')}.`);
}
