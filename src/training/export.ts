/** A checkpoint made into a model folder that answers. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { latestCheckpoint, loadCheckpoint } from './checkpoint.ts';
import type { TrainingConfig } from './config.ts';
import { autoencoderFiles } from './export-autoencoder.ts';
import { classifierFiles } from './export-classifier.ts';
import { diffusionFiles } from './export-diffusion.ts';
import { gptFiles } from './export-gpt.ts';
import { taggerFiles } from './export-tagger.ts';
import { averageOf } from './graphs.ts';
import type { ModelFiles } from './model-files.ts';

export interface ExportResult {
  folder: string;
  checkpoint: string;
  steps: number;
  parameters: number;
  files: { name: string; bytes: number }[];
}

/**
 * Writes a model's configuration, tokenizer and graphs into `folder`: Hugging Face's layout for text, classifiers
 * and taggers of it, a diffusers pipeline's, or its parts, for images. Where the run keeps running averages of the weights, these are what is written. Other files
 * there (a card, say) stay.
 *
 * @param source a run's folder (its newest checkpoint is taken) or a checkpoint file
 * @throws Error where there is no checkpoint, or the prepared data that the run names lacks its tokenizer
 */
export async function exportModel(source: string, folder: string): Promise<ExportResult> {
  const checkpoint = existsSync(source) && statSync(source).isDirectory() ? latestCheckpoint(source) : source;
  if (!checkpoint)
    throw new Error(`${source} holds no checkpoint: a run writes one as checkpoint-0000000.safetensors.`);
  const { config: json, tensors, step } = loadCheckpoint(checkpoint);
  const training = JSON.parse(json) as TrainingConfig;
  const weights = new Map(
    [...tensors].map(([name, { data }]) => [name, tensors.get(averageOf(name))?.data ?? data]),
  );
  const steps = String(step);
  const files = await filesOf(training, weights, steps);
  for (const from of Object.values(files.copy)) {
    if (!existsSync(from))
      throw new Error(
        `${from} is not there, which the model needs: the run's data folder is ${training.data}.`,
      );
  }
  for (const [name, from] of Object.entries(files.copy)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    copyFileSync(from, join(folder, name));
  }
  for (const [name, content] of Object.entries(files.write)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    replace(join(folder, name), content);
  }
  return {
    folder,
    checkpoint,
    steps: step,
    parameters: files.parameters,
    files: [...Object.keys(files.write), ...Object.keys(files.copy)].map((name) => ({
      name,
      bytes: statSync(join(folder, name)).size,
    })),
  };
}

function filesOf(
  training: TrainingConfig,
  weights: ReadonlyMap<string, Float32Array>,
  steps: string,
): ModelFiles | Promise<ModelFiles> {
  if (training.task === 'text-to-image') return diffusionFiles(training, weights, steps);
  if (training.task === 'text-classification') return classifierFiles(training, weights, steps);
  if (training.task === 'token-classification') return taggerFiles(training, weights, steps);
  if (training.task === 'image-autoencoder') return autoencoderFiles(training, weights, steps);
  return gptFiles(training, weights, steps);
}

/** A configuration file as it is written in a run's folder. */
export function readJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`${path} cannot be read: ${(error as Error).message}.`, {
      cause: error,
    });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path} is not JSON: ${(error as Error).message}.`, {
      cause: error,
    });
  }
}

/** Writes under another name first, so that a server reading the folder never sees half a file. */
function replace(path: string, content: Uint8Array | string): void {
  try {
    writeFileSync(`${path}.partial`, content);
    renameSync(`${path}.partial`, path);
  } catch (error) {
    rmSync(`${path}.partial`, { force: true });
    throw error;
  }
}
