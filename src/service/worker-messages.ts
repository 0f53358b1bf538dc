/** What the service's main thread and a model's worker thread say to each other. */
import type { GenerateRequest, ServiceEvent } from '../api/events.ts';
import type { TaskEvent, TextTask } from '../api/tasks.ts';
import type { LoadOptions } from './model-folder.ts';

export interface WorkerStart extends LoadOptions {
  folder: string;
}

/** What a model's thread is asked to do, and the events of it. */
export type Work = Pick<GenerateRequest, 'input' | 'parameters'> | { task: TextTask };
export type WorkEvent = ServiceEvent | TaskEvent;

export type ToWorker =
  | { type: 'work'; id: number; work: Work }
  | { type: 'cancel'; id: number }
  | { type: 'close' };

export type FromWorker =
  | { type: 'ready' }
  | { type: 'failed'; message: string }
  | { type: 'event'; id: number; event: WorkEvent }
  | { type: 'cancelled'; id: number };
