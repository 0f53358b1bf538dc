/** Configurations to tasks. */
import type { TrainingConfig } from './config.ts';
import { imageTask } from './image-task.ts';
import type { TrainingTask } from './task.ts';
import { textTask } from './text-task.ts';

/**
 * The task that a configuration describes, its data opened.
 * @throws Error where data and configuration do not fit
 */
export function taskOf(config: TrainingConfig): TrainingTask {
  return config.task === 'text-to-image' ? imageTask(config) : textTask(config);
}
