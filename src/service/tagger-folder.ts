/** Taggers from folders on disk, run by onnxruntime-node. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createTagger, type Tagger } from '../filtering/tag.ts';
import { readJsonFile } from './json-file.ts';
import { isTaggerFolder } from './judging-folder.ts';
import { loadRuntime, openSession, type RuntimeOptions } from './runtime.ts';

/**
 * Loads a tagger's folder: config.json, calibration.json and onnx/model.onnx.
 * @throws Error naming the file that is missing or not right, or the provider that does not run here
 */
export async function loadTaggerFolder(folder: string, options: RuntimeOptions = {}): Promise<Tagger> {
  const path = resolve(folder);
  if (!existsSync(path)) throw new Error(`There is no model folder ${path}.`);
  const config = readJsonFile(join(path, 'config.json'));
  if (!isTaggerFolder(path))
    throw new Error(`${path} is no tagger: its config.json has no model_type wick_tagger.`);
  const calibration = readJsonFile(join(path, 'calibration.json'));
  const ort = await loadRuntime();
  const session = await openSession(ort, join(path, 'onnx', 'model.onnx'), options);
  return createTagger({ config, calibration, session, Tensor: ort.Tensor });
}
