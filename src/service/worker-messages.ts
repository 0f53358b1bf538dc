/** What the service's main thread and a model's worker thread say to each other. */
import type { GenerateRequest, ServiceEvent } from '../api/events.ts';
import type { TaskEvent, TextTask } from '../api/tasks.ts';
import type { EngineStats } from '../generation/engine/engine.ts';
import type { LoadOptions } from './model-folder.ts';

export interface WorkerStart extends LoadOptions {
  folder: string;
  /** Bytes for keys and values; `CACHE_BYTES` where nothing is said. */
  cacheBytes?: number;
  /** The folder of a smaller model that proposes tokens, where it has the same ones. */
  draft?: string;
}

export const CACHE_BYTES = 1 << 30;

/** What a model's thread is asked to do, and the events of it. */
export type Work =
  | Pick<GenerateRequest, 'input' | 'parameters' | 'trace' | 'salt' | 'priority'>
  | { task: TextTask };
export type WorkEvent = ServiceEvent | TaskEvent;

/**
 * Events of a piece of work that may be on their way to its reader. It waits while there are as many, alone: others go
 * on. Memory is bounded by it.
 */
export const EVENTS_AHEAD = 256;
/** The thread is told of events that were taken when there are so many. */
export const EVENTS_TOLD = EVENTS_AHEAD / 4;

/** Milliseconds between two messages of the engine's figures, at least. */
export const STATS_INTERVAL = 250;

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
  | { type: 'cancelled'; id: number }
  /** The figures of the engine, while something happens in it. */
  | { type: 'stats'; stats: EngineStats }
  /** Something that whoever runs the service should know. */
  | { type: 'note'; note: string };
