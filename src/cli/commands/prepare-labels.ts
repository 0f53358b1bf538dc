import { Command } from 'commander';
import {
  type LabelReport,
  type PrepareLabelsOptions,
  prepareLabels,
} from '../../data/labels/prepare-labels.ts';
import { formatCount, printJson } from '../output.ts';
import { createProgress } from '../progress.ts';
import { untilStopped } from '../until-stopped.ts';

type Options = Pick<PrepareLabelsOptions, 'from' | 'out' | 'force'> & { json?: boolean };

/** `wick prepare-labels RECIPE --out DIR`: texts with labels made into a data set to train a classifier on. */
export function prepareLabelsCommand(): Command {
  return new Command('prepare-labels')
    .description(
      'Gather, deduplicate and split texts with labels: a recipe in JSON names the labels, the files (JSONL with a text and fields that tell its labels, or plain texts) and patterns of sentences that are filled in.',
    )
    .argument('<recipe>', 'a JSON file: labels, sources, sentences, validation, test, seed')
    .requiredOption('--out <dir>', 'the folder of the data set; it appears whole or not at all')
    .option('--from <dir>', 'the folder from which the recipe names its sources', '.')
    .option('--force', 'write also into a folder that holds other things; they stay')
    .option('--json', 'print the report as one line of JSON')
    .action(async (recipe: string, { json, ...options }: Options) => {
      const progress = createProgress({ label: 'read', unit: 'text' });
      const onProgress = (texts: number) => progress.update(texts);
      const report = await untilStopped(
        () => progress.finish(),
        (signal) => prepareLabels({ ...options, recipe, signal, onProgress }),
      );
      if (!report) return;
      if (json) printJson(report);
      else tellReport(report, options.out);
    });
}

function tellReport({ labels, splits, sources, dropped, problems }: LabelReport, out: string): void {
  for (const { source, kind, detail } of problems) console.error(`wick: ${source}: ${kind}. ${detail}`);
  for (const { source, read, kept } of sources)
    console.log(`${source}: ${formatCount(read)} texts read, ${formatCount(kept)} kept`);
  for (const [reason, count] of Object.entries(dropped))
    console.log(`  ${formatCount(count)} dropped: ${reason}`);
  const width = Math.max(...labels.map((label) => label.length));
  for (const [i, label] of labels.entries()) {
    const { positive, negative } = splits.train;
    console.log(
      `${label.padEnd(width)}  ${formatCount(positive[i])} texts have it, ${formatCount(negative[i])} do not`,
    );
  }
  console.log(
    `${out}: ${formatCount(splits.train.texts)} to learn from, ${formatCount(splits.validation.texts)} to validate, ${formatCount(splits.test.texts)} to judge.`,
  );
}
