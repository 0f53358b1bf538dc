/** What the service's main thread and a model's worker thread say to each other. */
import type { GenerateRequest, ServiceEvent } from '../api/events.ts';
import type { LoadOptions } from './model-folder.ts';

export interface WorkerStart extends LoadOptions {
  folder: string;
}

export type ToWorker =
  | {
      type: 'generate';
      id: number;
      request: Pick<GenerateRequest, 'input' | 'parameters'>;
    }
  | { type: 'cancel'; id: number }
  | { type: 'close' };

export type FromWorker =
  | { type: 'ready' }
  | { type: 'failed'; message: string }
  | { type: 'event'; id: number; event: ServiceEvent }
  | { type: 'cancelled'; id: number };
