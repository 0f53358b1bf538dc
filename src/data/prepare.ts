/** Step one of a model: raw files in, clean and shuffled tokens out. */
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CleanOptions, clean } from './clean.ts';
import { createDeduplicator, type Duplicates } from './deduplicate.ts';
import type { CleanDocument } from './document.ts';
import { knownLanguages } from './language.ts';
import { jsonLineWriter, readJsonLines } from './lines.ts';
import { openOutput } from './output-folder.ts';
import { readFile } from './read.ts';
import { createTally, type KeptFacts, keptFacts, type Report, type Tally } from './report.ts';
import { reportPage } from './report-page.ts';
import { writeManifest, writeShards } from './shards.ts';
import { listSources, type SourceFile } from './sources.ts';
import { holdOut } from './split.ts';
import { readTokenizer } from './tokenizer/read-tokenizer.ts';
import { specialTokens, tokenizerConfigJson, tokenizerJson } from './tokenizer/tokenizer-json.ts';
import { trainBpe } from './tokenizer/train-bpe.ts';

export interface PrepareOptions extends CleanOptions {
  /** Files, folders and patterns. */
  sources: string[];
  out: string;
  /** Tokens of the vocabulary that is learnt. */
  vocabSize: number;
  /** A tokenizer.json, or the folder that holds it, to take instead of learning one. */
  tokenizer?: string;
  /** Share of documents held out, from 0 up to 1. */
  validation: number;
  seed: number;
  /** The longest sequence that the tokenizer's files should name. */
  contextLength: number;
  /** The field that holds the text in tables, or `INSTRUCTION,RESPONSE`. */
  textField?: string;
  /** Read at most this many documents. */
  limit?: number;
  /** Write also into a folder that holds other things. */
  force?: boolean;
  signal?: AbortSignal;
  onProgress?: (progress: { stage: string; done: number; total?: number; unit: string }) => void;
}

/** A tokenizer is learnt from at most about this many characters, spread evenly: more hardly change its merges. */
const TOKENIZER_SAMPLE = 200_000_000;
/** Answers of fewer words are compared together with what was asked: many questions have the same short answer. */
const SHORT_ANSWER = 30;

/** A clean document as it waits to be compared with all others. */
interface Waiting {
  document: CleanDocument;
  facts: KeptFacts;
  credit?: string;
}

/**
 * Prepares a data set: reads, cleans, removes duplicates, holds some out, learns a tokenizer, and writes shards and a
 * report into `out`, which appears whole or not at all.
 *
 * @throws Error if an option is out of its range, nothing is left to train on, or `out` holds something else; the
 *   signal's reason if it aborts
 */
export async function prepare(options: PrepareOptions): Promise<Report> {
  checkOptions(options);
  const tokenizer =
    options.tokenizer === undefined ? undefined : openTokenizer(options.tokenizer, options.contextLength);
  const tally = createTally(options);
  const files = listSources(options.sources, tally.problem, options.out);
  const sources = files.map(({ path }) => path);
  const output = openOutput(options.out, { sources, mark: 'dataset.json', force: options.force });
  try {
    const report = await prepareInto(output.work, files, tokenizer, tally, options);
    output.finish();
    return report;
  } finally {
    output.discard();
  }
}

interface TokenizerFiles {
  tokenizer: object;
  tokenizerConfig: object;
}

async function prepareInto(
  folder: string,
  files: SourceFile[],
  given: TokenizerFiles | undefined,
  tally: Tally,
  options: PrepareOptions,
): Promise<Report> {
  const { onProgress = () => {}, seed, signal } = options;
  const duplicates = await collect(folder, files, tally, options);
  if (duplicates.original.length === 0) throw new Error(nothingLeft(tally));
  await split(folder, duplicates, tally, options);

  const { tokenizer, tokenizerConfig } = given ?? (await learnTokenizer(folder, options));
  writeFileSync(join(folder, 'tokenizer.json'), `${JSON.stringify(tokenizer)}\n`);
  writeFileSync(join(folder, 'tokenizer_config.json'), `${JSON.stringify(tokenizerConfig, null, 2)}\n`);

  const shards = (name: 'train' | 'validation') =>
    writeShards({
      out: folder,
      split: name,
      documents: readDocuments(folder, name, signal),
      tokenizer,
      tokenizerConfig,
      seed,
      onProgress: (done) =>
        onProgress({ stage: `tokens of ${name}`, done, total: tally.documentsIn(name), unit: 'document' }),
    });
  const splits = { train: await shards('train'), validation: await shards('validation') };
  const vocabulary = vocabularySize(tokenizer);
  writeManifest(folder, { vocab_size: vocabulary, seed, tokenizer: 'tokenizer.json', splits });

  const report = tally.report(splits, vocabulary);
  writeFileSync(join(folder, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(join(folder, 'report.html'), reportPage(report));
  return report;
}

/** Reads and cleans every document; what is no exact duplicate waits in one file, in order. */
async function collect(
  folder: string,
  files: SourceFile[],
  tally: Tally,
  options: PrepareOptions,
): Promise<Duplicates> {
  const { limit = Infinity, textField, signal, onProgress } = options;
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const deduplicator = createDeduplicator(folder);
  const writer = jsonLineWriter(join(folder, 'waiting.jsonl'));
  let before = 0;
  try {
    reading: for (const file of files) {
      const onBytes = (read: number) =>
        onProgress?.({ stage: 'read and clean', done: before + read, total, unit: 'byte' });
      let number = 0;
      for await (const record of readFile(file, tally.problem, { textField, scratch: folder, onBytes })) {
        if (tally.read >= limit) break reading;
        signal?.throwIfAborted();
        tally.arrived(record.source);
        number++;
        const cleaned = clean(record, options);
        if (!cleaned.kept) {
          tally.dropped('clean', record.source, cleaned.reason, cleaned.text);
          continue;
        }
        const { instruction, text, measures } = cleaned;
        const compared = instruction && measures.words < SHORT_ANSWER ? `${instruction}\n${text}` : text;
        if (deduplicator.add(compared) === 'exact duplicate') {
          tally.dropped('exact', record.source, 'exact duplicate', text);
          continue;
        }
        const document: CleanDocument = {
          id: `${file.name}:${number}`,
          source: record.source,
          instruction,
          text,
        };
        await writer.write({ document, facts: keptFacts(cleaned), credit: record.credit } satisfies Waiting);
      }
      before += file.bytes;
    }
    await writer.end();
    return deduplicator.compare((done, of) =>
      onProgress?.({ stage: 'compare', done, total: of, unit: 'band' }),
    );
  } finally {
    deduplicator.close();
  }
}

/** Drops near-duplicates, and writes the others to the side that their group is on. */
async function split(
  folder: string,
  { original, group }: Duplicates,
  tally: Tally,
  options: PrepareOptions,
): Promise<void> {
  const { validation, seed, signal, onProgress } = options;
  const groups = Array.from(group.filter((_, i) => original[i] === i));
  const held = holdOut(groups, validation, seed);
  if (validation > 0 && held.size === 0) {
    const detail =
      'All documents are related to one another, so none can be held out without a near-duplicate in training.';
    tally.problem({ source: options.sources.join(' '), kind: 'nothing held out', detail });
  }
  const writers = {
    train: jsonLineWriter(join(folder, 'train.jsonl')),
    validation: jsonLineWriter(join(folder, 'validation.jsonl')),
  };
  const credits = jsonLineWriter(join(folder, 'credits.waiting'));
  const waiting = join(folder, 'waiting.jsonl');
  let [index, credited] = [0, 0];
  for await (const { document, facts, credit } of readJsonLines<Waiting>(waiting)) {
    signal?.throwIfAborted();
    const own = index++;
    if (original[own] !== own) {
      tally.dropped('near', document.source, 'near duplicate', document.text);
      continue;
    }
    const side = held.has(group[own]) ? 'validation' : 'train';
    tally.kept(document.source, side, facts);
    await writers[side].write(document);
    if (credit) {
      credited++;
      await credits.write(credit);
    }
    onProgress?.({ stage: 'split', done: index, total: original.length, unit: 'document' });
  }
  await Promise.all([...Object.values(writers), credits].map((writer) => writer.end()));
  if (credited > 0) await writeCredits(folder);
  rmSync(waiting);
  rmSync(join(folder, 'credits.waiting'));
}

async function writeCredits(folder: string): Promise<void> {
  const lines: string[] = [];
  for await (const credit of readJsonLines<string>(join(folder, 'credits.waiting'))) lines.push(credit);
  writeFileSync(join(folder, 'ATTRIBUTION.txt'), `${lines.join('\n')}\n`);
}

async function learnTokenizer(
  folder: string,
  { vocabSize, contextLength, signal, onProgress }: PrepareOptions,
): Promise<TokenizerFiles> {
  const { size } = statSync(join(folder, 'train.jsonl'));
  const every = Math.ceil(size / TOKENIZER_SAMPLE);
  async function* texts(): AsyncGenerator<string> {
    let index = 0;
    for await (const { instruction, text } of readDocuments(folder, 'train', signal)) {
      if (index++ % every !== 0) continue;
      if (instruction) yield instruction;
      yield text;
    }
  }
  const model = await trainBpe(texts(), {
    vocabSize,
    specialTokens,
    onProgress: ({ stage, done, total }) =>
      onProgress?.({
        stage: `tokenizer: ${stage}`,
        done,
        total,
        unit: stage === 'count' ? 'character' : 'merge',
      }),
  });
  return {
    tokenizer: tokenizerJson(model),
    tokenizerConfig: tokenizerConfigJson({ modelMaxLength: contextLength }),
  };
}

async function* readDocuments(
  folder: string,
  name: 'train' | 'validation',
  signal?: AbortSignal,
): AsyncGenerator<CleanDocument> {
  for await (const document of readJsonLines<CleanDocument>(join(folder, `${name}.jsonl`))) {
    signal?.throwIfAborted();
    yield document;
  }
}

function openTokenizer(place: string, modelMaxLength: number): TokenizerFiles {
  const { tokenizer, tokenizerConfig } = readTokenizer(place, specialTokens);
  return { tokenizer, tokenizerConfig: tokenizerConfig ?? tokenizerConfigJson({ modelMaxLength }) };
}

/** One more than the highest id: ids may have gaps. */
function vocabularySize(tokenizer: object): number {
  const { model, added_tokens = [] } = tokenizer as {
    model: { vocab: Record<string, number> };
    added_tokens?: { id: number }[];
  };
  let highest = 0;
  for (const id of Object.values(model.vocab)) highest = Math.max(highest, id);
  for (const { id } of added_tokens) highest = Math.max(highest, id);
  return highest + 1;
}

function nothingLeft(tally: Tally): string {
  const { documents, dropped } = tally.report();
  const problems = tally.problems.slice(0, 3).map(({ source, detail }) => `${source}: ${detail}`);
  const reasons = dropped.slice(0, 3).map(({ reason, count }) => `${count} for "${reason}"`);
  const why = reasons.length > 0 ? ` Dropped were ${reasons.join(', ')}.` : '';
  return `Nothing is left to train on: ${documents.read} documents were read and none was kept.${why} ${problems.join(' ')}`.trim();
}

function checkOptions({ sources, validation, seed, vocabSize, language, limit = 1 }: PrepareOptions): void {
  const smallest = specialTokens.length + 256;
  if (sources.length === 0) throw new Error('Name at least one file, folder or pattern to read.');
  if (!(validation >= 0 && validation < 1))
    throw new Error(`The share held out is at least 0 and under 1, not ${validation}.`);
  if (!Number.isInteger(seed)) throw new Error(`The seed is a whole number, not ${seed}.`);
  if (!(limit >= 1)) throw new Error(`At least one document has to be read, not ${limit}.`);
  if (!Number.isInteger(vocabSize) || vocabSize < smallest || vocabSize > 1_000_000) {
    throw new Error(
      `The vocabulary has from ${smallest} (bytes and special tokens) to 1,000,000 tokens, not ${vocabSize}.`,
    );
  }
  if (language !== 'any' && !knownLanguages.includes(language)) {
    throw new Error(
      `"${language}" is no language that can be told: it is any, or one of ${knownLanguages.join(', ')}.`,
    );
  }
}
