/** Texts with labels from many sources, deduplicated and split so that none has a relative on another side. */
import { createReadStream } from 'node:fs';
import { dirname, join } from 'node:path';
import { createDeduplicator, type Duplicates } from '../deduplicate.ts';
import { openOutput } from '../output-folder.ts';
import type { Problem, ReportProblem } from '../problems.ts';
import { mix } from '../random.ts';
import { readFile } from '../read.ts';
import { listSources } from '../sources.ts';
import { decodeText, splitLines } from '../text-stream.ts';
import {
  type LabelledText,
  MANIFEST,
  type SplitName,
  splitNames,
  writeLabelDataset,
} from './label-dataset.ts';
import { type LabelRule, type LabelSource, type Recipe, readRecipe, readSentences } from './recipe.ts';
import { fillSentences, hash, slots } from './sentences.ts';

export interface PrepareLabelsOptions {
  /** The JSON file that says what is read. */
  recipe: string;
  /** The folder from which the recipe's sources are named. */
  from: string;
  /** The folder of the data set; it appears whole or not at all. */
  out: string;
  /** Write also into a folder that holds other things. */
  force?: boolean;
  signal?: AbortSignal;
  onProgress?: (texts: number) => void;
}

export interface LabelReport {
  labels: string[];
  /** Texts of each split, and how many have each label, or are known to lack it. */
  splits: Record<SplitName, { texts: number; positive: number[]; negative: number[] }>;
  /** Texts read, and those kept, by source. */
  sources: { source: string; read: number; kept: number }[];
  dropped: { 'exact duplicate': number; 'near duplicate': number };
  problems: Problem[];
}

/** A text on its way. */
interface Candidate {
  text: string;
  labels: Record<string, number>;
  /** The rule that it is drawn by. */
  rule: LabelRule;
  source: string;
  /** The pattern that a sentence was made of, and the side that all its sentences are on. */
  pattern?: string;
  side?: SplitName;
  /** What a probe tries a model on. */
  class?: string;
}

/** Characters that are kept of a text. */
const LONGEST = 4000;

/**
 * Reads what a recipe names, drops what was there before, and writes `train.jsonl`, `validation.jsonl`, `test.jsonl`
 * and `labels.json`. Texts that are related, and sentences of one pattern, are on one side.
 *
 * @throws Error if the recipe is not right, nothing is read, or `out` holds something else
 */
export async function prepareLabels(options: PrepareLabelsOptions): Promise<LabelReport> {
  const recipe = readRecipe(options.recipe);
  const output = openOutput(options.out, { sources: [options.recipe], mark: MANIFEST, force: options.force });
  try {
    const report = await prepareInto(output.work, recipe, options);
    output.finish();
    return report;
  } finally {
    output.discard();
  }
}

async function prepareInto(
  folder: string,
  recipe: Recipe,
  { recipe: path, from, signal, onProgress }: PrepareLabelsOptions,
): Promise<LabelReport> {
  const problems: Problem[] = [];
  const sources = new Map<string, { source: string; read: number; kept: number }>();
  const countOf = (source: string) => {
    const known = sources.get(source) ?? { source, read: 0, kept: 0 };
    sources.set(source, known);
    return known;
  };
  const deduplicator = createDeduplicator(folder);
  const kept: Candidate[] = [];
  let [exact, near] = [0, 0];
  let duplicates: Duplicates;
  try {
    const beside = (name: string) => join(dirname(path), name);
    const arrivals = [
      // First, so that of relatives the probe is kept.
      ...recipe.probes.map((name) => filledProbes(beside(name), name, recipe)),
      ...recipe.sources.map((source) => labelledTexts(source, recipe, { from, folder, problems })),
      ...recipe.sentences.map((name) => filledSentences(beside(name), name, recipe)),
    ];
    for (const texts of arrivals) {
      for await (const candidate of texts) {
        signal?.throwIfAborted();
        const count = countOf(candidate.source);
        count.read++;
        if (deduplicator.add(candidate.text) === 'new') kept.push(candidate);
        else exact++;
        if (count.read % 1000 === 0) onProgress?.(kept.length);
      }
    }
    if (kept.length === 0)
      throw new Error(
        `Nothing was read. ${problems.map(({ source, detail }) => `${source}: ${detail}`).join(' ')}`,
      );
    duplicates = deduplicator.compare();
  } finally {
    deduplicator.close();
  }
  const sides: Record<SplitName, Candidate[]> = { train: [], validation: [], test: [] };
  for (const [i, candidate] of kept.entries()) {
    const original = kept[duplicates.original[i]];
    // Sentences of one pattern are alike by intent.
    if (original !== candidate && !(candidate.pattern && candidate.pattern === original.pattern)) {
      near++;
      continue;
    }
    countOf(candidate.source).kept++;
    const first = kept[duplicates.group[i]];
    sides[first.side ?? sideOf(first.text, recipe)].push(candidate);
  }
  return {
    labels: recipe.labels,
    splits: writeSplits(folder, recipe, sides),
    sources: [...sources.values()],
    dropped: { 'exact duplicate': exact, 'near duplicate': near },
    problems,
  };
}

/** What is held out, and by which seed. */
export type Shares = Pick<Recipe, 'seed' | 'validation' | 'test'>;

/** The side that a text is on, by its hash. */
export function sideOf(text: string, { seed, validation, test }: Shares): SplitName {
  const place = mix(hash(text) ^ mix(seed)) / 2 ** 32;
  if (place < test) return 'test';
  return place < test + validation ? 'validation' : 'train';
}

function writeSplits(
  folder: string,
  { labels }: Recipe,
  sides: Record<SplitName, Candidate[]>,
): LabelReport['splits'] {
  const entries = splitNames.map((name) => {
    const weights = weightsOf(sides[name]);
    const rows = sides[name].map(({ rule, text, labels, source, class: tried }): LabelledText => {
      const weight = weights.get(rule)!;
      return { text, labels, weight, source, ...(tried && { class: tried }) };
    });
    const having = (value: number) =>
      labels.map((label) => sides[name].filter((each) => each.labels[label] === value).length);
    return { name, rows, report: { texts: rows.length, positive: having(1), negative: having(0) } };
  });
  const of = <K extends 'rows' | 'report'>(key: K) =>
    Object.fromEntries(entries.map((entry) => [entry.name, entry[key]])) as Record<
      SplitName,
      (typeof entries)[number][K]
    >;
  writeLabelDataset(folder, labels, of('rows'));
  return of('report');
}

/** How often a text of each rule is drawn: the rule's share, spread over its texts. */
export function weightsOf<Rule extends { share: number }>(
  texts: readonly { rule: Rule }[],
): Map<Rule, number> {
  const counts = new Map<Rule, number>();
  for (const { rule } of texts) counts.set(rule, (counts.get(rule) ?? 0) + 1);
  return new Map([...counts].map(([rule, count]) => [rule, rule.share / count]));
}

async function* filledSentences(path: string, name: string, recipe: Recipe): AsyncGenerator<Candidate> {
  const { words, families } = readSentences(path, recipe);
  for (const family of families) {
    const labels = known(family.labels, {}, recipe);
    const rule: LabelRule = { labels: family.labels, share: family.share };
    for (const [pattern, side] of patternSides(family.sentences, recipe)) {
      for (const text of fillSentences(pattern, words, recipe.per_sentence, recipe.seed))
        yield { text, labels, rule, source: name, pattern, side };
    }
  }
}

async function* filledProbes(path: string, name: string, recipe: Recipe): AsyncGenerator<Candidate> {
  const { words, families } = readSentences(path, recipe);
  for (const { labels: given, share, sentences, class: tried } of families) {
    const rule: LabelRule = { labels: given, share };
    const of = { labels: known(given, {}, recipe), rule, source: name, side: 'test' as const, class: tried };
    for (const pattern of sentences) {
      for (const text of fillSentences(pattern, words, recipe.per_probe, recipe.seed))
        yield { text, pattern, ...of };
    }
  }
}

/**
 * Of the patterns of a family each side gets its share, so that it sees every family that has enough of them. Which
 * they are is decided by what stands around their slots: where two families say the same around different words, a
 * model should not be told them apart by what it was shown of one alone.
 */
export function patternSides(
  patterns: readonly string[],
  { seed, validation, test }: Shares,
): Map<string, SplitName> {
  const place = (pattern: string) => mix(hash(pattern.replace(slots, '')) ^ mix(seed));
  const shuffled = [...patterns].sort((a, b) => place(a) - place(b));
  const ends = [test, test + validation].map((share) => Math.round(share * patterns.length));
  const sideAt = (i: number) => (i < ends[0] ? 'test' : i < ends[1] ? 'validation' : 'train');
  return new Map(shuffled.map((pattern, i) => [pattern, sideAt(i)]));
}

async function* labelledTexts(
  source: LabelSource,
  recipe: Recipe,
  { from, folder, problems }: { from: string; folder: string; problems: Problem[] },
): AsyncGenerator<Candidate> {
  const report: ReportProblem = (problem) => problems.push(problem);
  for (const file of listSources([join(from, source.path)], report)) {
    const rows = source.text
      ? jsonRows(file.path, file.name, source.text, report)
      : plainRows(readFile(file, report, { scratch: folder }));
    let count = 0;
    for await (const row of rows) {
      if (count >= (source.limit ?? Infinity)) break;
      const rule = source.rules.find(({ if: wanted = {} }) =>
        Object.entries(wanted).every(([field, value]) => row[field] === value),
      );
      const text = row.text.trim().slice(0, LONGEST).toWellFormed();
      if (!rule || text === '') continue;
      count++;
      yield { text, labels: known(rule.labels, row, recipe), rule, source: source.path };
    }
  }
}

type Row = Record<string, unknown> & { text: string };

/** Rows of JSON, one a line; those without the text are told once. */
async function* jsonRows(
  path: string,
  source: string,
  field: string,
  report: ReportProblem,
): AsyncGenerator<Row> {
  let [number, first, broken] = [0, 0, 0];
  for await (const line of splitLines(decodeText(createReadStream(path), source, report), source, report)) {
    number++;
    if (line.trim() === '') continue;
    const row = parsed(line);
    if (typeof row?.[field] === 'string') yield { ...row, text: decodeEntities(row[field]) };
    else {
      first ||= number;
      broken++;
    }
  }
  const detail = `Lines that are no JSON objects with a text in "${field}", the first is line ${first}.`;
  if (broken > 0) report({ source, kind: 'broken record', detail, count: broken });
}

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

/** What is asked and what is answered are texts of their own. */
export async function* plainRows(
  records: AsyncIterable<{ instruction?: string; text: string }>,
): AsyncGenerator<Row> {
  for await (const { instruction, text } of records) {
    if (instruction) yield { text: instruction };
    yield { text };
  }
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** Posts are often stored as HTML has them. */
const decodeEntities = (text: string): string =>
  text.replace(/&(?:#(\d{1,7})|(amp|lt|gt|quot|apos));/g, (match, code: string, name: string) => {
    if (name) return entities[name];
    return Number(code) <= 0x10ffff ? String.fromCodePoint(Number(code)) : match;
  });

/** The labels of a row that are known: what the rule says, or what stands in the field that it names. */
function known(
  given: LabelRule['labels'],
  row: Record<string, unknown>,
  { labels }: Recipe,
): Record<string, number> {
  return Object.fromEntries(
    labels.flatMap((label) => {
      const said = given[label] ?? given['*'];
      const value = typeof said === 'string' ? row[said] : said;
      return value === 0 || value === 1 ? [[label, value]] : [];
    }),
  );
}
