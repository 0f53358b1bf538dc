import { Command, InvalidArgumentError } from 'commander';
import { type KnownLabels, knownLabels } from '../../../data/labels/known-labels.ts';
import type { Classifier, Judgement } from '../../../filtering/classify.ts';
import { judgeText } from '../../../filtering/safety.ts';
import { loadClassifierFolder } from '../../../service/classifier-folder.ts';
import { calibrationError, reliability, type Weighed } from '../../../training/calibration.ts';
import { auprc, auroc } from '../../../training/ranking.ts';
import { resolveModel } from '../../hub/model-cache.ts';
import { printJson } from '../../output.ts';
import { createProgress } from '../../progress.ts';
import { drawReliability } from '../../reliability-chart.ts';
import { readRows, type Where } from './rows.ts';
import { evalSpans, haveSpans } from './spans.ts';

interface Options {
  model: string;
  tagger: string;
  where?: Where;
  by?: string;
  reliability?: string;
  json?: boolean;
}

/** A text with a score, and whether it is said to have the label. */
interface Said extends Weighed {
  said: boolean;
}

/** How a label, or flagging, fares. What cannot be told without texts of both kinds is null in JSON. */
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
      'Judge texts. Of those with "spans": for each type, how many of the spans are found, and how many of those found are right. Of those with labels: for each label the areas under the ROC and the precision-recall curve, how much is blocked too much and too little at the thresholds that ship, and how far scores are from probabilities.',
    )
    .argument(
      '<files...>',
      'JSONL: "text" or "prompt", and "labels", "label", "flagged", OpenAI\'s short names, or "spans" of "start", "end", "type"',
    )
    .option('--model <dir>', "a classifier's folder", 'models/wick-guard')
    .option('--tagger <dir>', "a tagger's folder, for texts with spans", 'models/wick-tagger')
    .option('--where <field=value>', 'judge only rows with this value', fieldValue)
    .option('--by <field>', 'tell for each value of a field how many of its texts are flagged, too')
    .option('--reliability <file>', 'draw how often texts of each score have the label, as PNG')
    .option('--json', 'print {"texts", "flagged", "categories"} as one line of JSON')
    .action(async (files: string[], options: Options) => {
      if (await haveSpans(files)) return evalSpans(files, options);
      const classifier = await loadClassifierFolder(resolveModel(options.model), { threads: 1 });
      const judged = await judgeFiles(files, classifier, options.where);
      if (judged.length === 0) throw new Error('There is no such text.');
      const byLabel = new Map(classifier.labels.map((label) => [label, ofLabel(label, judged)]));
      const categories = Object.fromEntries(
        [...byLabel].map(([label, said]) => [
          label,
          { ...figures(said), calibration_error: calibrationError(said) },
        ]),
      );
      const flagged = figures(ofFlag(judged, classifier));
      const groups = options.by ? flaggedBy(options.by, judged) : undefined;
      if (options.reliability) {
        const told = [...byLabel].filter(([, said]) => said.some(({ positive }) => positive));
        const bins = new Map(told.map(([label, said]) => [label, reliability(said)]));
        await drawReliability(options.reliability, bins);
      }
      if (options.json) return printJson({ texts: judged.length, flagged, categories, by: groups });
      const rows = Object.entries({ flagged, ...categories });
      console.table(
        Object.fromEntries(
          rows.filter(([, { positive, negative }]) => positive + negative > 0).map(shownRow),
        ),
      );
      if (groups) console.table(groups);
    });
}

interface Row {
  /** The row as it was read. */
  fields: Record<string, unknown>;
  known: KnownLabels;
  judgement: Judgement;
}

async function judgeFiles(files: readonly string[], classifier: Classifier, where: Where): Promise<Row[]> {
  const progress = createProgress({ label: 'judge', unit: 'text' });
  const judged: Row[] = [];
  const read = (row: unknown) => ({
    fields: (row ?? {}) as Record<string, unknown>,
    known: knownLabels(row, classifier.labels),
  });
  for await (const row of readRows(files, where, read)) {
    judged.push({ ...row, judgement: await judgeText(classifier, row.known.text) });
    progress.update(judged.length);
  }
  progress.finish();
  return judged;
}

/** For each value of a field the texts that have it, and the share of them that is flagged. */
function flaggedBy(
  field: string,
  judged: readonly Row[],
): Record<string, { texts: number; flagged: number }> {
  const groups = Map.groupBy(
    judged.filter(({ fields }) => fields[field] !== undefined),
    ({ fields }) => String(fields[field]),
  );
  return Object.fromEntries(
    [...groups].map(([value, rows]) => {
      const flagged = rows.filter(({ judgement }) => judgement.flagged).length;
      return [value, { texts: rows.length, flagged: flagged / rows.length }];
    }),
  );
}

/** The texts of which it is known whether they have a label. */
function ofLabel(label: string, judged: readonly Row[]): Said[] {
  return judged.flatMap(({ known: { labels, weight }, judgement: { scores, categories } }) => {
    const positive = labels.get(label);
    return positive === undefined
      ? []
      : [{ positive, weight, score: scores[label], said: categories[label] }];
  });
}

/** The texts of which it is known whether they are to be flagged. */
function ofFlag(judged: readonly Row[], classifier: Classifier): Said[] {
  return judged.flatMap(({ known, judgement }) => {
    const positive = known.flagged ?? toBeFlagged(known, classifier);
    const { flagged: said } = judgement;
    if (positive === undefined) return [];
    return [{ positive, weight: known.weight, score: excess(judgement, classifier), said }];
  });
}

/** Whether labels that flag are known to be there, or all known to be absent. */
function toBeFlagged({ labels }: KnownLabels, { thresholds }: Classifier): boolean | undefined {
  const flagging = Object.keys(thresholds).filter((label) => thresholds[label].flags);
  if (flagging.some((label) => labels.get(label))) return true;
  return flagging.every((label) => labels.get(label) === false) ? false : undefined;
}

/** How far beyond its threshold the label is that is farthest: from 1 on the text is flagged. */
const excess = ({ scores }: Judgement, { thresholds }: Classifier): number =>
  Math.max(
    ...Object.entries(thresholds)
      .filter(([, { flags }]) => flags)
      .map(([label, { threshold }]) => odds(scores[label]) / odds(threshold)),
  );

const odds = (probability: number) => probability / Math.max(1e-12, 1 - probability);

function figures(judged: readonly Said[]): Figures {
  const [having, lacking] = [true, false].map((kind) => judged.filter(({ positive }) => positive === kind));
  const share = (of: readonly Said[], said: boolean) =>
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

function shownRow([name, { auroc, auprc, over_blocking, under_blocking, ...counts }]: [string, Figures]) {
  const shown = (value: number) => (Number.isNaN(value) ? '' : value.toFixed(3));
  const { positive, negative } = counts;
  const cells = {
    ...{ positive, negative, AUROC: shown(auroc), AUPRC: shown(auprc) },
    ...{ 'over-blocking': shown(over_blocking), 'under-blocking': shown(under_blocking) },
  };
  return [name, cells] as const;
}

function fieldValue(value: string): [string, string] {
  const at = value.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It is a field and its value, like source=mine.jsonl.');
  return [value.slice(0, at), value.slice(at + 1)];
}
