import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Command, InvalidArgumentError } from 'commander';
import { type KnownLabels, knownLabels } from '../../../data/labels/known-labels.ts';
import type { Classifier, Judgement } from '../../../filtering/classify.ts';
import { loadClassifierFolder } from '../../../service/classifier-folder.ts';
import { auprc, auroc, type Judged } from '../../../training/ranking.ts';
import { resolveModel } from '../../hub/model-cache.ts';
import { printJson } from '../../output.ts';
import { createProgress } from '../../progress.ts';

interface Options {
  model: string;
  where?: [string, string];
  json?: boolean;
}

/** How a label, or flagging, fares. */
interface Figures {
  positive: number;
  negative: number;
  auroc: number;
  auprc: number;
  /** The share of texts without it that are said to have it. */
  over_blocking: number;
  /** The share of texts with it that are said to lack it. */
  under_blocking: number;
}

/** `wick eval filter`: how well a classifier tells what texts are, and what its thresholds cost. */
export function filterCommand(): Command {
  return new Command('filter')
    .description(
      'Judge labelled texts: for each label the areas under the ROC and the precision-recall curve, and how much is blocked too much and too little at the thresholds that ship.',
    )
    .argument(
      '<files...>',
      'JSONL: "text" or "prompt", and "labels", "label", "flagged", or OpenAI\'s short names',
    )
    .option('--model <dir>', "a classifier's folder", 'models/wick-guard')
    .option('--where <field=value>', 'judge only rows with this value', fieldValue)
    .option('--json', 'print {"texts", "flagged", "categories"} as one line of JSON')
    .action(async (files: string[], { model, where, json }: Options) => {
      const classifier = await loadClassifierFolder(resolveModel(model), { threads: 1 });
      const progress = createProgress({ label: 'judge', unit: 'text' });
      const judged: { known: KnownLabels; judgement: Judgement }[] = [];
      for (const file of files) {
        for await (const known of readRows(file, classifier.labels, where)) {
          judged.push({ known, judgement: await classifier.judge(known.text) });
          progress.update(judged.length);
        }
      }
      progress.finish();
      if (judged.length === 0) throw new Error('There is no such text.');
      const categories = Object.fromEntries(
        classifier.labels.map((label) => [
          label,
          figures(
            judged.flatMap(({ known: { labels }, judgement: { scores, categories } }) => {
              const positive = labels.get(label);
              return positive === undefined
                ? []
                : [{ positive, score: scores[label], said: categories[label] }];
            }),
          ),
        ]),
      );
      const flagged = figures(
        judged.flatMap(({ known, judgement }) => {
          const positive = known.flagged ?? flaggedBy(known, classifier);
          const said = judgement.flagged;
          return positive === undefined ? [] : [{ positive, score: excess(judgement, classifier), said }];
        }),
      );
      if (json) return printJson({ texts: judged.length, flagged, categories });
      console.table(
        Object.fromEntries(
          Object.entries({ flagged, ...categories })
            .filter(([, { positive, negative }]) => positive + negative > 0)
            .map(([name, { auroc, auprc, over_blocking, under_blocking, ...counts }]) => {
              const shown = (value: number) => (Number.isNaN(value) ? '' : value.toFixed(3));
              return [
                name,
                {
                  ...counts,
                  AUROC: shown(auroc),
                  AUPRC: shown(auprc),
                  'over-blocking': shown(over_blocking),
                  'under-blocking': shown(under_blocking),
                },
              ];
            }),
        ),
      );
    });
}

/** Whether labels that flag are known to be there, or all known to be absent. */
function flaggedBy({ labels }: KnownLabels, { thresholds }: Classifier): boolean | undefined {
  const flagging = Object.keys(thresholds).filter((label) => thresholds[label].flags);
  if (flagging.some((label) => labels.get(label))) return true;
  return flagging.every((label) => labels.get(label) === false) ? false : undefined;
}

/** How far beyond its threshold the label is that is farthest: above 1 the text is flagged. */
const excess = ({ scores }: Judgement, { thresholds }: Classifier): number =>
  Math.max(
    ...Object.entries(thresholds)
      .filter(([, { flags }]) => flags)
      .map(([label, { threshold }]) => odds(scores[label]) / odds(threshold)),
  );

const odds = (probability: number) => probability / Math.max(1e-12, 1 - probability);

function figures(judged: readonly (Judged & { said: boolean })[]): Figures {
  const [having, lacking] = [true, false].map((kind) => judged.filter(({ positive }) => positive === kind));
  const share = (of: readonly { said: boolean }[], said: boolean) =>
    of.filter((each) => each.said === said).length / of.length;
  return {
    positive: having.length,
    negative: lacking.length,
    auroc: auroc(judged),
    auprc: auprc(judged),
    over_blocking: share(lacking, true),
    under_blocking: share(having, false),
  };
}

async function* readRows(
  file: string,
  names: readonly string[],
  where: Options['where'],
): AsyncGenerator<KnownLabels> {
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    number++;
    if (line.trim() === '') continue;
    try {
      const row: unknown = JSON.parse(line);
      if (where && String((row as Record<string, unknown> | null)?.[where[0]]) !== where[1]) continue;
      yield knownLabels(row, names);
    } catch (error) {
      throw new Error(`${file}, line ${number}: ${(error as Error).message}.`, { cause: error });
    }
  }
}

function fieldValue(value: string): [string, string] {
  const at = value.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It is a field and its value, like source=mine.jsonl.');
  return [value.slice(0, at), value.slice(at + 1)];
}
