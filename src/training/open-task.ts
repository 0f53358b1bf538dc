/** Configurations to tasks. */
import { autoencoderTask } from './autoencoder-task.ts';
import { classificationTask } from './classification-task.ts';
import type { TrainingConfig } from './config.ts';
import { imageTask } from './image-task.ts';
import type { RuntimeOptions } from './runtime.ts';
import { taggingTask } from './tagging-task.ts';
import type { TrainingTask } from './task.ts';
import { textTask } from './text-task.ts';

/**
 * The task that a configuration describes, its data opened.
 * @throws Error where data and configuration do not fit
 */
export async function taskOf(config: TrainingConfig, options: RuntimeOptions): Promise<TrainingTask> {
  if (config.task === 'text-to-image') return imageTask(config, options);
  if (config.task === 'text-classification') return classificationTask(config);
  if (config.task === 'token-classification') return taggingTask(config);
  return config.task === 'image-autoencoder' ? autoencoderTask(config) : textTask(config);
}
