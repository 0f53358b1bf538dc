/** Step 1 for images: collect, clean, deduplicate, standardise, vary and vectorise. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openOutput } from '../output-folder.ts';
import { createRandom, mix } from '../random.ts';
import { readCaptionTokenizer, trainCaptionTokenizer } from './caption-tokenizer.ts';
import { captionsOf, conceptOf, KeywordCounts, withoutColours } from './captions.ts';
import { dominantColour, hues, recolour } from './colour.ts';
import { fingerprint, SeenImages } from './duplicates.ts';
import { createImageReport, type ImageReport } from './image-report.ts';
import { type ImageManifest, type ImageRecord, imageShardWriter } from './image-shards.ts';
import type { PrepareImagesOptions } from './options.ts';
import { type ImageRow, readRows } from './rows.ts';
import { flatten, standardise } from './standardise.ts';

/** Files that are decoded at the same time. */
const AHEAD = 8;
/** A colour is an image's own if so much of the image has it. */
const OWN_COLOUR = 0.4;

/**
 * Reads images and captions and writes `images.json`, shards, captions, a tokenizer and a report into `options.out`,
 * which appears whole or not at all.
 * @throws Error if nothing is left to learn from, or the output folder is not right
 */
export async function prepareImages(options: PrepareImagesOptions): Promise<ImageReport> {
  const { sources, out, size, seed, signal } = options;
  const folder = openOutput(out, { sources, mark: 'images.json', force: options.force });
  try {
    const report = createImageReport(options);
    const counts = await countKeywords(sources);
    const background = bytesOf(options.background);
    const writers = {
      train: imageShardWriter(folder.work, 'train'),
      validation: imageShardWriter(folder.work, 'validation'),
    };
    const records: Record<'train' | 'validation', (ImageRecord & { concept: string })[]> = {
      train: [],
      validation: [],
    };
    const seen = new SeenImages();
    let done = 0;
    const add = (
      split: 'train' | 'validation',
      rgba: Uint8Array,
      record: ImageRecord & { concept: string },
    ) => {
      const pixels = flatten(rgba, background);
      writers[split].write(pixels);
      records[split].push(record);
      report.kept(split, record, pixels);
    };
    for await (const { row, image, error } of decoded(readRows(sources, report.problem), size, signal)) {
      options.onProgress?.(++done);
      report.read();
      if (!image) {
        report.problem({ source: row.name, kind: 'unreadable', detail: error! });
        report.dropped('unreadable', row.name);
        continue;
      }
      const { rgba, width, height } = image;
      if (Math.min(width, height) < options.minSide) {
        report.dropped(`smaller than ${options.minSide} pixels`, row.name);
        continue;
      }
      const pixels = flatten(rgba, background);
      if (isBlank(pixels)) {
        report.dropped('one colour all over', row.name);
        continue;
      }
      const twin = seen.repeats(fingerprint(pixels, size), row.name);
      if (twin) {
        report.dropped('a duplicate', `${row.name}, of ${twin}`, pixels);
        continue;
      }
      const random = createRandom(mix(seed + done));
      const held = matches(row, options.holdOut) && random() < options.validation;
      const dominant = dominantColour(rgba);
      const keeps = options.keepColours.some((field) => matches(row, field));
      const colour = !keeps && dominant && dominant.share >= OWN_COLOUR ? dominant : undefined;
      const concept =
        withoutColours(conceptOf(row.title ?? row.captions[0])) || conceptOf(row.title ?? row.captions[0]);
      const captions = (options: { colour?: string; recoloured?: boolean }): string[] =>
        row.title
          ? captionsOf(row.title, row.keywords, counts, options)
          : options.recoloured
            ? row.captions.map((caption) => `${options.colour} ${withoutColours(caption)}`)
            : row.captions;
      const record = { file: row.name, captions: captions({ colour: colour?.name }), weight: 1, concept };
      add(held ? 'validation' : 'train', rgba, record);
      if (held || !colour || !hues.includes(colour.name as (typeof hues)[number])) continue;
      const others = hues.filter((name) => name !== colour.name);
      for (let i = 0; i < Math.min(options.recolour, others.length); i++) {
        const [name] = others.splice(Math.floor(random() * others.length), 1);
        const varied = { ...record, captions: captions({ colour: name, recoloured: true }) };
        if (varied.captions.length > 0) add('train', recolour(rgba, colour.lab, name), varied);
      }
    }
    if (records.train.length === 0) throw new Error(report.nothingLeft());
    balance(records.train);
    const { tokenizer, vocabSize, contextLength } = options;
    const captions = records.train.flatMap(({ captions }) => captions);
    const files = tokenizer
      ? readCaptionTokenizer(tokenizer, contextLength)
      : await trainCaptionTokenizer(captions, vocabSize, contextLength);
    const manifest: ImageManifest = {
      format: 'wick-images/1',
      size,
      vocab_size: vocabularySize(files.tokenizer),
      context_length: contextLength,
      splits: { train: writers.train.end(), validation: writers.validation.end() },
    };
    const write = (name: string, text: string) => writeFileSync(join(folder.work, name), text);
    for (const split of ['train', 'validation'] as const) {
      write(
        `${split}.jsonl`,
        records[split].map(({ concept, ...record }) => `${JSON.stringify(record)}\n`).join(''),
      );
    }
    write('tokenizer.json', JSON.stringify(files.tokenizer));
    write('tokenizer_config.json', JSON.stringify(files.tokenizerConfig, null, 2));
    const result = await report.finish(manifest, folder.work);
    write('images.json', `${JSON.stringify(manifest, null, 2)}\n`);
    signal?.throwIfAborted();
    folder.finish();
    return result;
  } catch (error) {
    folder.discard();
    throw error;
  }
}

async function countKeywords(sources: readonly string[]): Promise<KeywordCounts> {
  const counts = new KeywordCounts();
  for await (const { title, keywords } of readRows(sources, () => {})) if (title) counts.add(title, keywords);
  return counts;
}

interface Decoded {
  row: ImageRow;
  image?: Awaited<ReturnType<typeof standardise>>;
  error?: string;
}

/** Decodes some files ahead; what comes out is in the order of what went in. */
async function* decoded(
  rows: AsyncIterable<ImageRow>,
  size: number,
  signal?: AbortSignal,
): AsyncGenerator<Decoded> {
  const waiting: Promise<Decoded>[] = [];
  for await (const row of rows) {
    signal?.throwIfAborted();
    const reading = standardise(row.path, size).then(
      (image) => ({ row, image }),
      (error: Error) => ({ row, error: error.message.split('\n')[0] }),
    );
    waiting.push(reading);
    if (waiting.length >= AHEAD) yield await waiting.shift()!;
  }
  for (const reading of waiting) yield await reading;
}

/** A concept with many images (a gesture in all skin tones, a heart in all colours) is seen √n times as often, not n. */
function balance(records: (ImageRecord & { concept: string })[]): void {
  const sizes = new Map<string, number>();
  for (const { concept } of records) sizes.set(concept, (sizes.get(concept) ?? 0) + 1);
  for (const record of records) record.weight = 1 / Math.sqrt(sizes.get(record.concept)!);
}

function matches(row: ImageRow, field: string | undefined): boolean {
  if (!field) return true;
  const at = field.indexOf('=');
  return String(row.fields[field.slice(0, at)]) === field.slice(at + 1);
}

function isBlank(pixels: Uint8Array): boolean {
  let [low, high] = [255, 0];
  for (const value of pixels) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return high - low < 8;
}

const bytesOf = (hex: string) =>
  [0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)) as [number, number, number];

function vocabularySize(tokenizer: object): number {
  return Object.keys((tokenizer as { model: { vocab: object } }).model.vocab).length;
}

export type { PrepareImagesOptions };
