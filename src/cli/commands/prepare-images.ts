import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import type { ImageReport } from '../../data/images/image-report.ts';
import { type PrepareImagesOptions, prepareImages } from '../../data/images/prepare-images.ts';
import { formatCount, printJson } from '../output.ts';
import { createProgress } from '../progress.ts';
import { untilStopped } from '../until-stopped.ts';

type Options = Omit<PrepareImagesOptions, 'sources' | 'signal' | 'onProgress'> & { json?: boolean };

/** `wick prepare-images SOURCES… --out DIR`: captioned images made into a data set to train on. */
export function prepareImagesCommand(): Command {
  const collect = (value: string, all: string[]) => [...all, fieldValue(value)];
  return new Command('prepare-images')
    .description(
      'Clean, deduplicate and vectorise images with captions: JSONL files ({"file", "caption"}, or "name" and "keywords"), or folders of images with .txt captions beside them.',
    )
    .argument('<sources...>', 'JSONL files, and folders with all below them')
    .requiredOption('--out <dir>', 'the folder of the data set; it appears whole or not at all')
    .option('--size <n>', 'pixels a side', wholeNumber(8, 1024), 64)
    .option('--background <rrggbb>', 'the colour behind transparent images', hexColour, 'ffffff')
    .option(
      '--min-side <n>',
      'drop images with fewer pixels on their shorter side',
      wholeNumber(1, 100_000),
      32,
    )
    .option(
      '--vocab-size <n>',
      'tokens of the vocabulary that is learnt from the captions',
      wholeNumber(259, 65_536),
      2048,
    )
    .option('--tokenizer <file>', 'a tokenizer.json, or its folder, to take instead of learning one')
    .option('--context-length <n>', 'tokens of the longest caption', wholeNumber(4, 512), 32)
    .option('--validation <share>', 'share of images held out, from 0 up to 1', share, 0.02)
    .option('--hold-out <field=value>', 'hold out only rows with this value', fieldValue)
    .option('--recolour <n>', 'see an image of one colour in so many others too', wholeNumber(0, 7), 0)
    .option(
      '--keep-colours <field=value>',
      'rows with this value keep their colours; may be said again',
      collect,
      [],
    )
    .option('--seed <n>', 'decides what is held out and the colours', wholeNumber(0, 2 ** 32 - 1), 1)
    .option('--force', 'write also into a folder that holds other things; they stay')
    .option('--json', 'print the report as one line of JSON')
    .action(async (sources: string[], { json, ...options }: Options) => {
      const progress = createProgress({ label: 'read', unit: 'image' });
      const onProgress = (done: number) => progress.update(done);
      const report = await untilStopped(
        () => progress.finish(),
        (signal) => prepareImages({ ...options, sources, signal, onProgress }),
      );
      if (!report) return;
      tellProblems(report);
      if (json) printJson(report);
      else tellReport(report, options.out);
    });
}

const SHOWN = 10;

function tellProblems({ problems, problem_count }: ImageReport): void {
  for (const { source, kind, detail } of problems.slice(0, SHOWN))
    console.error(`wick: ${source}: ${kind}. ${detail}`);
  if (problem_count > SHOWN)
    console.error(`wick: ${formatCount(problem_count)} problems in all, told in report.json.`);
}

function tellReport({ images, dropped, captions, vocabulary }: ImageReport, out: string): void {
  console.log(
    `${formatCount(images.read)} images read; ${formatCount(images.train)} to learn from, ${formatCount(images.validation)} held out.`,
  );
  for (const { reason, count } of dropped) console.log(`  ${formatCount(count)} dropped: ${reason}`);
  console.log(
    `${formatCount(captions.count)} captions, ${formatCount(vocabulary)} tokens in the vocabulary.`,
  );
  console.log(`${out}: contact sheets and all that was dropped stand in ${join(out, 'report.html')}.`);
}

const wholeNumber = (least: number, most: number) => (value: string) => {
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < least || number > most)
    throw new InvalidArgumentError(`It is a whole number from ${least} to ${most}.`);
  return number;
};

function hexColour(value: string): string {
  if (!/^#?[0-9a-f]{6}$/i.test(value))
    throw new InvalidArgumentError('It is six hexadecimal digits, like ffffff.');
  return value.replace('#', '');
}

function share(value: string): number {
  const number = Number(value);
  if (value.trim() === '' || !(number >= 0 && number < 1))
    throw new InvalidArgumentError('It is at least 0 and under 1.');
  return number;
}

function fieldValue(value: string): string {
  if (!/^[^=]+=/.test(value))
    throw new InvalidArgumentError('It is a field and its value, like group=Flags.');
  return value;
}
