/** What was kept of images and what was dropped, as JSON and as a page with contact sheets. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import type { Problem } from '../problems.ts';
import { escapeHtml } from '../report-page.ts';
import type { ImageManifest, ImageRecord, ImageSplitName } from './image-shards.ts';
import type { PrepareImagesOptions } from './options.ts';

export interface ImageReport {
  options: Pick<
    PrepareImagesOptions,
    'sources' | 'size' | 'background' | 'minSide' | 'validation' | 'recolour' | 'seed'
  >;
  images: { read: number; kept: number; train: number; validation: number };
  captions: { count: number; mean_characters: number };
  vocabulary: number;
  dropped: { reason: string; count: number; examples: string[] }[];
  problems: Problem[];
  problem_count: number;
}

/** Images on a sheet, and how many problems and examples are told one by one. */
const limits = { sheet: 120, problems: 1000, examples: 20 };
const COLUMNS = 12;

/** Collects what happens to each image. */
export function createImageReport(options: PrepareImagesOptions) {
  const { size } = options;
  let [read, problemCount, captions, characters] = [0, 0, 0, 0];
  const problems: Problem[] = [];
  const dropped = new Map<string, { count: number; examples: string[] }>();
  const sheets = { train: createSheet(size), validation: createSheet(size), duplicates: createSheet(size) };
  return {
    read: () => {
      read++;
    },
    problem(problem: Problem) {
      problemCount++;
      if (problems.length < limits.problems) problems.push(problem);
    },
    dropped(reason: string, example: string, pixels?: Uint8Array) {
      const entry = dropped.get(reason) ?? { count: 0, examples: [] };
      entry.count++;
      if (entry.examples.length < limits.examples) entry.examples.push(example);
      dropped.set(reason, entry);
      if (pixels) sheets.duplicates.add(pixels, example);
    },
    kept(split: ImageSplitName, record: ImageRecord, pixels: Uint8Array) {
      captions += record.captions.length;
      characters += record.captions.reduce((sum, caption) => sum + caption.length, 0);
      sheets[split].add(pixels, record.captions[Math.floor(record.captions.length / 2)]);
    },
    /** Why nothing is left, in a sentence or two. */
    nothingLeft(): string {
      const reasons = [...dropped].map(([reason, { count }]) => `${count} ${reason}`).join(', ');
      const [first] = problems;
      return [
        `No image is left to learn from, of ${read} read${reasons && `: ${reasons}`}.`,
        ...(first ? [`The first problem: ${first.source}: ${first.detail}`] : []),
      ].join(' ');
    },
    /** Writes report.json and report.html. */
    async finish({ splits, vocab_size }: ImageManifest, folder: string): Promise<ImageReport> {
      const { sources, background, minSide, validation, recolour, seed } = options;
      const report: ImageReport = {
        options: { sources, size, background, minSide, validation, recolour, seed },
        images: {
          read,
          kept: splits.train.images + splits.validation.images,
          train: splits.train.images,
          validation: splits.validation.images,
        },
        captions: { count: captions, mean_characters: captions ? characters / captions : 0 },
        vocabulary: vocab_size,
        dropped: [...dropped]
          .map(([reason, entry]) => ({ reason, ...entry }))
          .sort((a, b) => b.count - a.count),
        problems,
        problem_count: problemCount,
      };
      writeFileSync(join(folder, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
      writeFileSync(join(folder, 'report.html'), await page(report, sheets));
      return report;
    },
  };
}

interface Sheet {
  add(pixels: Uint8Array, caption: string): void;
  html(): Promise<string>;
}

/** A sample of images, each as likely to be on it as any other, however many there are (Vitter's algorithm R). */
function createSheet(size: number): Sheet {
  const shown: { pixels: Uint8Array; caption: string; order: number }[] = [];
  let seen = 0;
  let state = 1;
  return {
    add(pixels, caption) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const place = seen < limits.sheet ? seen : Math.floor((state / 2 ** 32) * (seen + 1));
      if (place < limits.sheet) shown[place] = { pixels, caption, order: seen };
      seen++;
    },
    async html() {
      if (shown.length === 0) return '<p>None.</p>';
      shown.sort((a, b) => a.order - b.order);
      const rows = Math.ceil(shown.length / COLUMNS);
      const tiles = await Promise.all(
        shown.map(async ({ pixels }, i) => ({
          input: await sharp(interleaved(pixels), { raw: { width: size, height: size, channels: 3 } })
            .png()
            .toBuffer(),
          left: (i % COLUMNS) * size,
          top: Math.floor(i / COLUMNS) * size,
        })),
      );
      const sheet = await sharp({
        create: { width: COLUMNS * size, height: rows * size, channels: 3, background: '#ffffff' },
      })
        .composite(tiles)
        .webp({ quality: 85 })
        .toBuffer();
      const names = shown.map(({ caption }) => `<li>${escapeHtml(caption)}</li>`).join('');
      return `<img alt="${shown.length} of ${seen} images" src="data:image/webp;base64,${sheet.toString('base64')}"><details><summary>Their captions, row by row</summary><ol>${names}</ol></details>`;
    },
  };
}

/** Bytes `[3, size, size]` as pixels of three bytes. */
export function interleaved(chw: Uint8Array): Uint8Array {
  const count = chw.length / 3;
  const out = new Uint8Array(chw.length);
  for (let i = 0; i < count; i++) for (let c = 0; c < 3; c++) out[3 * i + c] = chw[c * count + i];
  return out;
}

async function page(report: ImageReport, sheets: Record<string, Sheet>): Promise<string> {
  const { images, captions, dropped, problems, problem_count } = report;
  const number = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
  const figures = Object.entries({
    'images read': images.read,
    'to learn from, with variations': images.train,
    'held out': images.validation,
    captions: captions.count,
    'characters a caption': captions.mean_characters,
    vocabulary: report.vocabulary,
  }).map(([name, value]) => `<div><dt>${name}</dt><dd>${number.format(value)}</dd></div>`);
  const list = (items: string[]) => (items.length === 0 ? '<p>None.</p>' : `<ul>${items.join('')}</ul>`);
  const reasons = dropped.map(
    ({ reason, count, examples }) =>
      `<li>${escapeHtml(reason)}: ${number.format(count)}<details><summary>Examples</summary>${list(examples.map((name) => `<li>${escapeHtml(name)}</li>`))}</details></li>`,
  );
  const wrong = problems
    .slice(0, 200)
    .map(
      ({ source, kind, detail }) => `<li><b>${escapeHtml(source)}</b>: ${kind}. ${escapeHtml(detail)}</li>`,
    );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Prepared images</title><style>${style}</style></head><body><main>
<h1>Prepared images</h1><dl>${figures.join('')}</dl>
<section><h2>To learn from</h2>${await sheets.train.html()}</section>
<section><h2>Held out</h2>${await sheets.validation.html()}</section>
<section><h2>What was dropped</h2>${list(reasons)}</section>
<section><h2>Duplicates</h2>${await sheets.duplicates.html()}</section>
<section><h2>What was wrong with the input: ${number.format(problem_count)}</h2>${list(wrong)}</section>
</main></body></html>
`;
}

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; }
dl { display: flex; flex-wrap: wrap; gap: 1rem 2rem; margin: 0; }
dt { opacity: 0.7; } dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
img { max-width: 100%; background: #fff; border-radius: 4px; }
ol, ul { columns: 18rem; padding-left: 1.5rem; overflow-wrap: anywhere; }
`;
