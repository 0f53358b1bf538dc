/** A checkpoint made into a model folder that answers: Hugging Face's layout, ONNX graphs inside. */
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
import { join } from 'node:path';
import { gptInference, gptParameters } from '../architecture/gpt.ts';
import { toOnnx } from '../graph/onnx.ts';
import { latestCheckpoint, loadCheckpoint } from './checkpoint.ts';
import type { TrainingConfig } from './config.ts';

export interface ExportResult {
  folder: string;
  checkpoint: string;
  steps: number;
  parameters: number;
  files: { name: string; bytes: number }[];
}

/**
 * Writes config.json, generation_config.json, the tokenizer's files and onnx/model.onnx into `folder`. Other files
 * there (a card, say) stay.
 *
 * @param source a run's folder (its newest checkpoint is taken) or a checkpoint file
 * @throws Error where there is no checkpoint, or the prepared data that the run names lacks its tokenizer
 */
export function exportModel(source: string, folder: string): ExportResult {
  const checkpoint = existsSync(source) && statSync(source).isDirectory() ? latestCheckpoint(source) : source;
  if (!checkpoint)
    throw new Error(`${source} holds no checkpoint: a run writes one as checkpoint-0000000.safetensors.`);
  const { config: json, tensors, step } = loadCheckpoint(checkpoint);
  const training = JSON.parse(json) as TrainingConfig;
  const config = training.model;
  const weights = new Map([...tensors].map(([name, { data }]) => [name, data]));
  const model = toOnnx(gptInference(config, weights), {
    producer: 'wick',
    steps: String(step),
  });

  mkdirSync(join(folder, 'onnx'), { recursive: true });
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    const from = join(training.data, name);
    if (!existsSync(from))
      throw new Error(`The run's data folder ${training.data} lacks ${name}, which the model needs.`);
    copyFileSync(from, join(folder, name));
  }
  const { bos_token_id, eos_token_id, pad_token_id = eos_token_id } = config;
  const files: Record<string, Uint8Array | string> = {
    'config.json': lines({
      ...config,
      torch_dtype: 'float32',
      use_cache: true,
    }),
    'generation_config.json': lines({
      bos_token_id,
      eos_token_id,
      pad_token_id,
      do_sample: true,
      temperature: 0.7,
      top_p: 0.9,
    }),
    'onnx/model.onnx': model,
  };
  for (const [name, content] of Object.entries(files)) replace(join(folder, name), content);
  return {
    folder,
    checkpoint,
    steps: step,
    parameters: gptParameters(config).reduce((sum, { name }) => sum + weights.get(name)!.length, 0),
    files: [...Object.keys(files), 'tokenizer.json', 'tokenizer_config.json'].map((name) => ({
      name,
      bytes: statSync(join(folder, name)).size,
    })),
  };
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

const lines = (json: unknown) => `${JSON.stringify(json, null, 2)}\n`;

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
