/** Classifiers from folders on disk, run by onnxruntime-node. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Classifier, createClassifier } from '../filtering/classify.ts';
import { readJsonFile } from './json-file.ts';
import { isClassifierFolder } from './judging-folder.ts';
import { loadRuntime, openSession, type RuntimeOptions } from './runtime.ts';

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
