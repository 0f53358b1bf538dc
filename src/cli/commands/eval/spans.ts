/** Texts with spans: what the detectors and the tagger find of them. */
import { z } from 'zod';
import { defaultPolicy } from '../../../filtering/load-policy.ts';
import { filterTaggedText } from '../../../filtering/tagged-stream.ts';
import { loadTaggerFolder } from '../../../service/tagger-folder.ts';
import { resolveModel } from '../../hub/model-cache.ts';
import { inOrder } from '../../in-order.ts';
import { printJson } from '../../output.ts';
import { createProgress } from '../../progress.ts';
import { linesOf, readRows, type Where } from './rows.ts';
import { createSpanCounter } from './span-figures.ts';

interface Options {
  tagger: string;
  where?: Where;
  json?: boolean;
}

const place = z.object({ start: z.number().int().min(0), end: z.number().int().min(0) });
const rowSchema = z.object({
  text: z.string(),
  spans: z.array(place.extend({ type: z.string() })),
  unknown: z.array(place).default([]),
});
type Row = z.infer<typeof rowSchema>;

/** Texts that are read at a time. */
const AT_ONCE = 16;

/** Whether the first row of the files tells spans. */
export async function haveSpans(files: readonly string[]): Promise<boolean> {
  for await (const { json } of linesOf(files)) {
    try {
      return Array.isArray((JSON.parse(json) as { spans?: unknown } | null)?.spans);
    } catch {
      return false;
    }
  }
  return false;
}

export async function evalSpans(
  files: readonly string[],
  { tagger: folder, where, json }: Options,
): Promise<void> {
  const tagger = await loadTaggerFolder(resolveModel(folder), { threads: 1 });
  const counter = createSpanCounter();
  const progress = createProgress({ label: 'judge', unit: 'text' });
  const policy = defaultPolicy();
  // All that is found is told, whatever is done about it.
  const rules = [{ entities: ['*'], action: 'allow' as const }];
  const judged = inOrder(readRows(files, where, readRow), AT_ONCE, async (row) => {
    const { spans } = await filterTaggedText(row.text, { ...policy, rules }, 'input', tagger);
    return { ...row, found: spans };
  });
  let texts = 0;
  for await (const { spans, found, unknown } of judged) {
    counter.add(spans, found, unknown);
    progress.update(++texts);
  }
  progress.finish();
  if (texts === 0) throw new Error('There is no such text.');
  const types = counter.figures();
  if (json) return printJson({ texts, types });
  const shown = (value: number) => (Number.isNaN(value) ? '' : value.toFixed(3));
  console.table(
    Object.fromEntries(
      Object.entries(types).map(([type, { there, found, ...shares }]) => [
        type,
        {
          ...{
            there,
            found,
            precision: shown(shares.precision),
            recall: shown(shares.recall),
            F1: shown(shares.f1),
          },
          ...{
            'overlap precision': shown(shares.overlap_precision),
            'overlap recall': shown(shares.overlap_recall),
          },
        },
      ]),
    ),
  );
}

function readRow(row: unknown): Row {
  const { success, data, error } = rowSchema.safeParse(row);
  if (success) return data;
  const [{ path, message }] = error.issues;
  throw new Error(`${path.join('.') || 'the row'}: ${message}`);
}
