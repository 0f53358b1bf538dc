import { Command, InvalidArgumentError, Option } from 'commander';
import { prepare } from '../../data/prepare.ts';
import type { Kind } from '../../data/quality.ts';
import { formatCount, printJson } from '../output.ts';
import { createProgress, type Progress } from '../progress.ts';

interface Options {
  out: string;
  vocabSize: number;
  contextLength: number;
  tokenizer?: string;
  validation: number;
  seed: number;
  language: string;
  kind: Kind;
  textField?: string;
  force?: boolean;
  json?: boolean;
}

/** `wick prepare SOURCES… --out DIR`: files to clean, deduplicated, tokenised training data. */
export function prepareCommand(): Command {
  return new Command('prepare')
    .description('Read files, clean and deduplicate them, hold some out, learn a tokenizer, and write shards of tokens and a report.')
    .argument('<sources...>', 'files, folders or patterns: .md .txt .jsonl .html .csv .parquet, also in .gz and .zip')
    .requiredOption('--out <dir>', 'the folder to make')
    .option('--vocab-size <n>', 'tokens in the vocabulary', number, 4096)
    .option('--context-length <n>', 'the longest sequence of the model to come, named in the tokenizer', number, 512)
    .option('--tokenizer <dir>', "take this folder's tokenizer instead of learning one")
    .option('--validation <share>', 'share of documents held out', number, 0.01)
    .option('--seed <n>', 'decides the order and what is held out', number, 1)
    .option('--language <code>', 'keep texts in this language (ISO 639-1), or any', 'en')
    .addOption(new Option('--kind <kind>', 'which rules of quality hold').choices(['prose', 'code', 'any']).default('prose'))
    .option('--text-field <name>', 'the field that holds the text in .jsonl, .csv and .parquet')
    .option('--force', 'take the place of whatever the folder holds')
    .option('--json', 'print the report as one line of JSON')
    .action(async (sources: string[], options: Options) => {
      let progress: Progress | undefined;
      let stage = '';
      const report = await prepare({
        sources,
        ...options,
        onProgress: (at) => {
          if (at.stage !== stage) {
            progress?.finish();
            stage = at.stage;
            progress = createProgress({ label: stage, total: at.total, unit: at.unit });
          }
          progress!.update(at.done);
        },
      });
      progress?.finish();
      for (const { source, kind, detail, count } of report.problems.slice(0, 20)) {
        console.error(`${source}: ${kind}${count ? ` (${count} times)` : ''}. ${detail}`);
      }
      if (report.problem_count > 20) console.error(`${report.problem_count} problems in all; report.json lists them.`);
      if (options.json) return printJson(report);
      const { documents, splits, tokenizer } = report;
      console.log(
        `${formatCount(documents.read)} documents read, ${formatCount(documents.kept)} kept; ${formatCount(splits!.train.tokens)} training and ${formatCount(splits!.validation.tokens)} validation tokens, ${tokenizer!.bytes_per_token.toFixed(2)} bytes each.\n${options.out}/report.html shows what was dropped, and why.`,
      );
    });
}

function number(value: string): number {
  const parsed = Number(value);
  if (value.trim() === '' || !Number.isFinite(parsed)) throw new InvalidArgumentError('It is a number.');
  return parsed;
}
