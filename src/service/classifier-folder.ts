/** Classifiers from folders on disk, run by onnxruntime-node. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Classifier, createClassifier } from '../filtering/classify.ts';
import { readJsonFile } from './json-file.ts';
import { loadRuntime, openSession, type RuntimeOptions } from './runtime.ts';

/** Whether a model folder's config.json speaks of a classifier. One that cannot be read is left to who loads it. */
export const isClassifierFolder = (folder: string): boolean =>
  configOf(folder).problem_type === 'multi_label_classification';

/** Whether it speaks of a model that judges or tags texts, and writes none. */
export const isJudgingFolder = (folder: string): boolean =>
  isClassifierFolder(folder) || configOf(folder).model_type === 'wick_tagger';

function configOf(folder: string): { problem_type?: unknown; model_type?: unknown } {
  try {
    return JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) ?? {};
  } catch {
    return {};
  }
}

/**
 * Loads a classifier's folder: config.json, thresholds.json and onnx/model.onnx.
 * @throws Error naming the file that is missing or not right, or the provider that does not run here
 */
export async function loadClassifierFolder(
  folder: string,
  options: RuntimeOptions = {},
): Promise<Classifier> {
  const path = resolve(folder);
  if (!existsSync(path)) throw new Error(`There is no model folder ${path}.`);
  const config = readJsonFile(join(path, 'config.json'));
  if (!isClassifierFolder(path))
    throw new Error(
      `${path} is no classifier: its config.json has no problem_type multi_label_classification.`,
    );
  const thresholds = readJsonFile(join(path, 'thresholds.json'));
  const ort = await loadRuntime();
  const session = await openSession(ort, join(path, 'onnx', 'model.onnx'), options);
  return createClassifier({ config, thresholds, session, Tensor: ort.Tensor });
}
