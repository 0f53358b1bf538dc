import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type PrepareOptions, prepare } from '../../data/prepare.ts';
import { kinds } from '../../data/quality.ts';
import type { Report } from '../../data/report.ts';
import { formatCount, printJson } from '../output.ts';
import { createProgress } from '../progress.ts';
import { untilStopped } from '../until-stopped.ts';

type Options = Omit<PrepareOptions, 'sources' | 'signal' | 'onProgress'> & {
  json?: boolean;
};

/** `wick prepare SOURCES… --out DIR`: text files made into a data set to train on. */
export function prepareCommand(): Command {
  return new Command('prepare')
    .description(
      'Clean, deduplicate and tokenise text: .md .txt .jsonl .html .csv .parquet, also in .gz and .zip, from files, folders and patterns.',
    )
    .argument('<sources...>', 'files, folders (with all below them) and patterns')
    .requiredOption('--out <dir>', 'the folder of the data set; it appears whole or not at all')
    .option('--vocab-size <n>', 'tokens of the vocabulary that is learnt', wholeNumber, 4096)
    .option('--tokenizer <file>', 'a tokenizer.json, or its folder, to take instead of learning one')
    .option('--context-length <n>', "the longest sequence, for the tokenizer's files", wholeNumber, 512)
    .option('--validation <share>', 'share of documents held out, from 0 up to 1', share, 0.01)
    .option('--seed <n>', 'decides what is held out and the order of training', wholeNumber, 1)
    .option('--language <code>', 'keep this language (ISO 639-1), or any', 'en')
    .addOption(
      new Option('--kind <kind>', 'by whose rules quality is judged').choices(kinds).default('prose'),
    )
    .option('--text-field <name>', 'field of tables that holds the text, or INSTRUCTION,RESPONSE')
    .option('--limit <n>', 'read at most this many documents', wholeNumber)
    .option('--force', 'write also into a folder that holds other things; they stay')
    .option('--json', 'print the report as one line of JSON')
    .action(async (sources: string[], { json, ...options }: Options) => {
      let stage = '';
      let progress: ReturnType<typeof createProgress> | undefined;
      const onProgress: PrepareOptions['onProgress'] = (now) => {
        if (now.stage !== stage) {
          progress?.finish();
          stage = now.stage;
          progress = createProgress({ label: stage, total: now.total, unit: now.unit });
        }
        progress?.update(now.done);
      };
      const report = await untilStopped(
        () => progress?.finish(),
        (signal) => prepare({ ...options, sources, signal, onProgress }),
      );
      if (!report) return;
      tellProblems(report);
      if (json) printJson(report);
      else tellReport(report, options.out);
    });
}

const SHOWN = 10;

function tellProblems({ problems, problem_count }: Report): void {
  for (const { source, kind, detail, count = 1 } of problems.slice(0, SHOWN)) {
    console.error(`wick: ${source}: ${kind}${count > 1 ? `, ${formatCount(count)} times` : ''}. ${detail}`);
  }
  if (problems.length > SHOWN) {
    console.error(
      `wick: ${formatCount(problem_count)} problems in all, ${formatCount(problems.length - SHOWN)} more lines of them in report.json.`,
    );
  }
}

function tellReport({ documents, dropped, splits, tokenizer }: Report, out: string): void {
  console.log(
    `${formatCount(documents.read)} documents read, ${formatCount(documents.kept)} kept, ${formatCount(documents.validation)} of them held out.`,
  );
  for (const { reason, count } of dropped.slice(0, SHOWN))
    console.log(`  ${formatCount(count)} dropped: ${reason}`);
  if (splits) {
    const rate = tokenizer ? `, ${tokenizer.bytes_per_token.toFixed(2)} bytes each` : '';
    console.log(
      `${formatCount(splits.train.tokens)} training tokens${rate}; ${formatCount(splits.validation.tokens)} for validation.`,
    );
  }
  console.log(`${out}: what was dropped and why stands in ${join(out, 'report.html')}.`);
}

function wholeNumber(value: string): number {
  if (!/^\d+$/.test(value)) throw new InvalidArgumentError('It is a whole number.');
  return Number(value);
}

function share(value: string): number {
  const number = Number(value);
  if (value.trim() === '' || !(number >= 0 && number < 1))
    throw new InvalidArgumentError('It is at least 0 and under 1.');
  return number;
}
