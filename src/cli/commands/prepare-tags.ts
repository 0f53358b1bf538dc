import { Command } from 'commander';
import { type PrepareTagsOptions, prepareTags, type TagReport } from '../../data/tags/prepare-tags.ts';
import { formatCount, printJson } from '../output.ts';
import { createProgress } from '../progress.ts';
import { untilStopped } from '../until-stopped.ts';

type Options = Pick<PrepareTagsOptions, 'from' | 'out' | 'force' | 'all'> & { json?: boolean };

/** `wick prepare-tags RECIPE --out DIR`: sentences with what is to be found in them, to train a tagger on. */
export function prepareTagsCommand(): Command {
  return new Command('prepare-tags')
    .description(
      'Fill in patterns of sentences, keep where in them the words of entities are, and add plain texts of which little is known: a recipe in JSON names the types, the patterns, the lists of words and the files.',
    )
    .argument('<recipe>', 'a JSON file: types, sentences, words, prose, validation, test, seed')
    .requiredOption('--out <dir>', 'the folder of the data set; it appears whole or not at all')
    .option('--from <dir>', 'the folder from which the recipe names its plain texts', '.')
    .option('--all', 'hold nothing out to judge the model but probes')
    .option('--force', 'write also into a folder that holds other things; they stay')
    .option('--json', 'print the report as one line of JSON')
    .action(async (recipe: string, { json, ...options }: Options) => {
      const progress = createProgress({ label: 'read', unit: 'text' });
      const onProgress = (texts: number) => progress.update(texts);
      const report = await untilStopped(
        () => progress.finish(),
        (signal) => prepareTags({ ...options, recipe, signal, onProgress }),
      );
      if (!report) return;
      if (json) printJson(report);
      else tellReport(report, options.out);
    });
}

function tellReport({ types, splits, problems }: TagReport, out: string): void {
  for (const { source, kind, detail } of problems) console.error(`wick: ${source}: ${kind}. ${detail}`);
  for (const [i, type] of types.entries())
    console.log(`${type}: ${formatCount(splits.train.spans[i])} to learn from`);
  console.log(
    `${out}: ${formatCount(splits.train.texts)} texts to learn from, ${formatCount(splits.validation.texts)} to validate, ${formatCount(splits.test.texts)} to judge.`,
  );
}
