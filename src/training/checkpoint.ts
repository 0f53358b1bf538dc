/** Checkpoints: everything that a run needs to go on as if it had not been stopped. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type NamedTensor, readSafetensors, writeSafetensors } from './safetensors.ts';

export interface Checkpoint {
  /** Steps done. */
  step: number;
  /** Examples of the training data read so far: the place in the data. */
  examples: number;
  /** The fingerprint of the data it learns from. */
  data: string;
  /** The configuration the run began with, as JSON. */
  config: string;
  /** Parameters and optimiser states by name. */
  tensors: Map<string, NamedTensor>;
}

const pattern = /^checkpoint-(\d+)\.safetensors$/;
const fileOf = (step: number) => `checkpoint-${String(step).padStart(7, '0')}.safetensors`;

/**
 * Writes a checkpoint and then removes the oldest beyond `keep`. The random state of a run is its seed and its place:
 * the order of examples is computed from both, nothing else is drawn.
 * @throws Error where the disk refuses; the checkpoints before stay
 */
export function saveCheckpoint(
  folder: string,
  { step, examples, data, config, tensors }: Checkpoint,
  keep: number,
): string {
  const path = join(folder, fileOf(step));
  const metadata = {
    format: 'wick-checkpoint/1',
    step: String(step),
    examples: String(examples),
    data,
    config,
  };
  writeSafetensors(path, [...tensors.values()], metadata);
  const steps = listCheckpoints(folder);
  for (const old of steps.slice(0, Math.max(0, steps.length - keep))) rmSync(join(folder, fileOf(old)));
  return path;
}

/** The steps of a folder's checkpoints, in rising order. */
export function listCheckpoints(folder: string): number[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .flatMap((name) => pattern.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** The newest checkpoint's path, if the folder has one. */
export function latestCheckpoint(folder: string): string | undefined {
  const step = listCheckpoints(folder).at(-1);
  return step === undefined ? undefined : join(folder, fileOf(step));
}

/**
 * Reads a checkpoint.
 * @throws Error naming the file, what is wrong with it, and the last good one where there is another
 */
export function loadCheckpoint(path: string): Checkpoint {
  let file: ReturnType<typeof readSafetensors>;
  try {
    file = readSafetensors(path);
  } catch (error) {
    throw new Error(`The checkpoint cannot be read: ${(error as Error).message}${others(path)}`, {
      cause: error,
    });
  }
  const { format, step, examples, data, config } = file.metadata;
  if (format !== 'wick-checkpoint/1' || !/^\d+$/.test(step) || !/^\d+$/.test(examples) || !config) {
    throw new Error(`${path} is a safetensors file but no checkpoint of a wick training run.${others(path)}`);
  }
  return {
    step: Number(step),
    examples: Number(examples),
    data,
    config,
    tensors: file.tensors,
  };
}

function others(path: string): string {
  const folder = join(path, '..');
  const rest = listCheckpoints(folder)
    .map((step) => join(folder, fileOf(step)))
    .filter((other) => other !== path);
  return rest.length > 0
    ? ` The one before is ${rest.at(-1)}: name it with --resume to go on from there.`
    : '';
}
