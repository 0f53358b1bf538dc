/** Prepared texts with labels on disk: a JSONL file for each split, and the manifest that lists them. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

export const splitNames = ['train', 'validation', 'test'] as const;
export type SplitName = (typeof splitNames)[number];

/** A line of `train.jsonl`, `validation.jsonl` or `test.jsonl`. */
export interface LabelledText {
  text: string;
  /** 0 or 1 for each label that is known. */
  labels: Record<string, number>;
  /** How often it is drawn in training, relative to others. */
  weight: number;
  /** Where it is from. */
  source: string;
  /** What a probe tries a model on. */
  class?: string;
}

const split = z.object({ file: z.string(), texts: z.number().int().min(0), sha256: z.string() });
const manifestSchema = z.object({
  format: z.literal('wick-labels/1'),
  labels: z.array(z.string()).min(1),
  splits: z.object({ train: split, validation: split, test: split }),
});
export type LabelManifest = z.infer<typeof manifestSchema>;

/** The file by which a folder shows that it holds texts with labels. */
export const MANIFEST = 'labels.json';

export interface LabelDataset {
  labels: readonly string[];
  /** Changes when anything that training sees changes. */
  fingerprint: string;
  /** The texts of a split: with labels, or, for a tagger, with spans. */
  split<Row = LabelledText>(name: SplitName): Row[];
}

/** @throws Error naming the file that is missing, not right or changed since it was prepared */
export function openLabelDataset(folder: string): LabelDataset {
  const path = join(folder, MANIFEST);
  if (!existsSync(path)) throw new Error(`${folder} holds no ${MANIFEST}: wick prepare-labels makes one.`);
  const bytes = readFileSync(path);
  const manifest = manifestSchema.safeParse(JSON.parse(bytes.toString()));
  if (!manifest.success) throw new Error(`${path} is not right: ${z.prettifyError(manifest.error)}`);
  const { labels, splits } = manifest.data;
  return {
    labels,
    fingerprint: sha256(bytes),
    split<Row>(name: SplitName) {
      const { file, sha256: wanted } = splits[name];
      const content = readFileSync(join(folder, file));
      if (sha256(content) !== wanted)
        throw new Error(`${join(folder, file)} is not what was prepared: prepare the data again.`);
      return content
        .toString()
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Row);
    },
  };
}

/** Writes the splits of a data set, and the manifest that lists them. */
export function writeLabelDataset(
  folder: string,
  labels: readonly string[],
  rows: Readonly<Record<SplitName, readonly object[]>>,
): void {
  const splits = Object.fromEntries(
    splitNames.map((name) => {
      const file = `${name}.jsonl`;
      const content = rows[name].map((row) => `${JSON.stringify(row)}\n`).join('');
      writeFileSync(join(folder, file), content);
      return [name, { file, texts: rows[name].length, sha256: sha256(content) }];
    }),
  );
  const manifest = { format: 'wick-labels/1', labels, splits };
  writeFileSync(join(folder, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
}

export const sha256 = (bytes: Uint8Array | string): string =>
  createHash('sha256').update(bytes).digest('hex');
