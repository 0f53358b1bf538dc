/** What the service's main thread and a model's worker thread say to each other. */
import type { GenerateRequest, ServiceEvent } from '../api/events.ts';
import type { TaskEvent, TextTask } from '../api/tasks.ts';
import type { LoadOptions } from './model-folder.ts';

export interface WorkerStart extends LoadOptions {
  folder: string;
}

/** What a model's thread is asked to do, and the events of it. */
export type Work = Pick<GenerateRequest, 'input' | 'parameters' | 'trace'> | { task: TextTask };
export type WorkEvent = ServiceEvent | TaskEvent;

/**
 * Events of a piece of work that may be on their way to its reader. It waits while there are as many, alone: others go
 * on. Memory is bounded by it.
 */
export const EVENTS_AHEAD = 256;
/** The thread is told of events that were taken when there are so many. */
export const EVENTS_TOLD = EVENTS_AHEAD / 4;

export type ToWorker =
  | {
      type: 'work';
      id: number;
      work: Work;
      /** Milliseconds for which it has stood in line. */
      queue: number;
    }
  /** The reader has taken so many events. */
  | { type: 'taken'; id: number; count: number }
  | { type: 'cancel'; id: number }
  | { type: 'close' };

export type FromWorker =
  | { type: 'ready'; revision: string }
  | { type: 'failed'; message: string }
  | { type: 'event'; id: number; event: WorkEvent }
  | { type: 'cancelled'; id: number };
