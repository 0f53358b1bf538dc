/** Step one of a model: raw files in, clean and shuffled tokens out. */
import { createReadStream, createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { basename, dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { type CleanOptions, clean } from './clean.ts';
import { createDeduplicator } from './deduplicate.ts';
import type { CleanDocument } from './document.ts';
import type { Problem } from './problems.ts';
import { mix } from './random.ts';
import { readFile } from './read.ts';
import { createTally, type Report } from './report.ts';
import { reportPage } from './report-page.ts';
import { writeManifest, writeShards } from './shards.ts';
import { listSources } from './sources.ts';
import { specialTokens, tokenizerConfigJson, tokenizerJson } from './tokenizer/tokenizer-json.ts';
import { trainBpe } from './tokenizer/train-bpe.ts';

export interface PrepareOptions extends CleanOptions {
  sources: string[];
  out: string;
  vocabSize: number;
  /** A folder with tokenizer.json and tokenizer_config.json to take instead of learning one. */
  tokenizer?: string;
  /** Share of documents held out. */
  validation: number;
  seed: number;
  /** The longest sequence that the tokenizer's files should name. */
  contextLength: number;
  textField?: string;
  /** Take the place of what `out` holds. */
  force?: boolean;
  onProgress?: (progress: { stage: string; done: number; total?: number; unit: string }) => void;
}

/**
 * Prepares a data set: reads, cleans, removes duplicates, holds some out, learns a tokenizer, and writes shards and a
 * report into `out`, which appears whole or not at all.
 *
 * @throws Error if nothing is left to train on, or `out` holds something else
 */
export async function prepare(options: PrepareOptions): Promise<Report> {
  checkOptions(options);
  const out = resolve(options.out);
  guardOutput(out, options.force);
  const work = join(dirname(out), `.${basename(out)}.partial`);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  try {
    const report = await prepareInto(work, options);
    if (existsSync(out)) rmSync(out, { recursive: true });
    renameSync(work, out);
    return report;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function prepareInto(folder: string, options: PrepareOptions): Promise<Report> {
  const { onProgress = () => {}, seed } = options;
  const tally = createTally(options);
  const { groups, credits } = await collect(folder, options, tally.problem, tally);
  const kept = groups.length;
  if (kept === 0) {
    const problems = tally.report().problems.slice(0, 3).map(({ source, detail }) => `${source}: ${detail}`);
    throw new Error(
      `Nothing is left to train on: ${tally.report().documents.read} documents were read and none was kept. ${problems.join(' ')}`.trim(),
    );
  }
  await splitDocuments(folder, groups, options, tally);
  if (credits.length > 0) writeFileSync(join(folder, 'ATTRIBUTION.txt'), `${credits.join('\n')}\n`);

  const { tokenizer, tokenizerConfig } = await makeTokenizer(folder, options);
  writeFileSync(join(folder, 'tokenizer.json'), `${JSON.stringify(tokenizer)}\n`);
  writeFileSync(join(folder, 'tokenizer_config.json'), `${JSON.stringify(tokenizerConfig, null, 2)}\n`);

  const shards = (split: 'train' | 'validation') =>
    writeShards({
      out: folder,
      split,
      documents: readDocuments(join(folder, `${split}.jsonl`)),
      tokenizer,
      tokenizerConfig,
      seed,
      onProgress: (done) => onProgress({ stage: `tokens of ${split}`, done, total: tally.documentsIn(split), unit: 'document' }),
    });
  const splits = { train: await shards('train'), validation: await shards('validation') };
  const vocabulary = Object.keys((tokenizer as { model: { vocab: object } }).model.vocab).length;
  writeManifest(folder, { vocab_size: vocabulary, seed, tokenizer: 'tokenizer.json', splits });

  const report = tally.report(splits, vocabulary);
  writeFileSync(join(folder, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(join(folder, 'report.html'), reportPage(report));
  return report;
}

type Tally = ReturnType<typeof createTally>;

/** Reads, cleans and compares every document; those kept wait in one file, in order. */
async function collect(folder: string, options: PrepareOptions, problem: (problem: Problem) => void, tally: Tally) {
  const files = listSources(options.sources, problem);
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const deduplicator = createDeduplicator();
  const writer = lineWriter(join(folder, 'kept.jsonl'));
  const credits: string[] = [];
  let before = 0;
  for (const { path, bytes } of files) {
    const onBytes = (read: number) => options.onProgress?.({ stage: 'read and clean', done: before + read, total, unit: 'byte' });
    for await (const record of readFile(path, problem, { textField: options.textField, onBytes })) {
      const cleaned = clean(record, options);
      if (!cleaned.kept) {
        tally.dropped(record.source, cleaned.reason, cleaned.text);
        continue;
      }
      const verdict = deduplicator.add(cleaned.text);
      if (verdict.kind !== 'new') {
        tally.dropped(record.source, verdict.kind === 'exact' ? 'exact duplicate' : 'near duplicate', cleaned.text);
        continue;
      }
      tally.kept(record.source, cleaned);
      if (record.credit) credits.push(record.credit);
      const id = `${basename(record.source)}:${verdict.index}`;
      const document: CleanDocument = { id, source: record.source, instruction: cleaned.instruction, text: cleaned.text };
      await writer.write(document);
    }
    before += bytes;
  }
  await writer.end();
  return { groups: Array.from({ length: deduplicator.size }, (_, index) => deduplicator.group(index)), credits };
}

/** Related documents go to one side together; which side, their group's number and the seed decide. */
async function splitDocuments(folder: string, groups: number[], { validation, seed }: PrepareOptions, tally: Tally) {
  const writers = { train: lineWriter(join(folder, 'train.jsonl')), validation: lineWriter(join(folder, 'validation.jsonl')) };
  let index = 0;
  for await (const document of readDocuments(join(folder, 'kept.jsonl'))) {
    const held = mix(groups[index++] + mix(seed)) / 2 ** 32 < validation;
    const split = held ? 'validation' : 'train';
    tally.placed(split);
    await writers[split].write(document);
  }
  await Promise.all(Object.values(writers).map((writer) => writer.end()));
  rmSync(join(folder, 'kept.jsonl'));
}

async function makeTokenizer(folder: string, options: PrepareOptions): Promise<{ tokenizer: object; tokenizerConfig: object }> {
  if (options.tokenizer) {
    const read = (name: string) => JSON.parse(readFileSync(join(options.tokenizer!, name), 'utf8')) as object;
    return { tokenizer: read('tokenizer.json'), tokenizerConfig: read('tokenizer_config.json') };
  }
  const model = await trainBpe(texts(join(folder, 'train.jsonl')), {
    vocabSize: options.vocabSize,
    specialTokens,
    onProgress: ({ stage, done, total }) =>
      options.onProgress?.({ stage: `tokenizer: ${stage}`, done, total, unit: stage === 'count' ? 'character' : 'merge' }),
  });
  return { tokenizer: tokenizerJson(model), tokenizerConfig: tokenizerConfigJson({ modelMaxLength: options.contextLength }) };
}

async function* texts(path: string): AsyncGenerator<string> {
  for await (const { instruction, text } of readDocuments(path)) {
    if (instruction) yield instruction;
    yield text;
  }
}

async function* readDocuments(path: string): AsyncGenerator<CleanDocument> {
  // A line break inside a text is escaped in JSON, so each line is a document.
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    yield JSON.parse(line) as CleanDocument;
  }
}

function lineWriter(path: string) {
  const stream = createWriteStream(path);
  let failure: Error | undefined;
  stream.on('error', (error) => {
    failure = error;
  });
  return {
    async write(value: unknown): Promise<void> {
      if (failure) throw failure;
      if (!stream.write(`${JSON.stringify(value)}\n`)) await once(stream, 'drain');
    },
    async end(): Promise<void> {
      stream.end();
      if (!failure) await once(stream, 'close');
      if (failure) throw failure;
    },
  };
}

function checkOptions({ sources, validation, seed, vocabSize }: PrepareOptions): void {
  if (sources.length === 0) throw new Error('Name at least one file, folder or pattern to read.');
  if (!(validation >= 0 && validation < 1)) throw new Error(`The share held out is from 0 up to, not with, 1; got ${validation}.`);
  if (!Number.isInteger(seed)) throw new Error(`The seed is a whole number, got ${seed}.`);
  if (!Number.isInteger(vocabSize) || vocabSize > 1_000_000) throw new Error(`The vocabulary's size is a whole number up to 1,000,000, got ${vocabSize}.`);
}

/** A folder that something else filled is not ours to replace. */
function guardOutput(out: string, force = false): void {
  if (!existsSync(out)) return;
  const names = readdirSync(out);
  if (names.length === 0 || names.includes('dataset.json') || force) return;
  throw new Error(`${out} is not empty and holds no prepared data: choose another folder, or say --force to replace it.`);
}
