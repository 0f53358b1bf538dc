/** Folders of models that judge or tag texts, and write none. One that cannot be read is left to who loads it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Whether a model folder's config.json speaks of a classifier. */
export const isClassifierFolder = (folder: string): boolean =>
  configOf(folder).problem_type === 'multi_label_classification';

/** Whether it speaks of a tagger. */
export const isTaggerFolder = (folder: string): boolean => configOf(folder).model_type === 'wick_tagger';

/** Whether it speaks of either. */
export const isJudgingFolder = (folder: string): boolean =>
  isClassifierFolder(folder) || isTaggerFolder(folder);

function configOf(folder: string): { problem_type?: unknown; model_type?: unknown } {
  try {
    return JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) ?? {};
  } catch {
    return {};
  }
}
