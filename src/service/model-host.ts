/** A model's thread as the service sees it: admission, a line of bounded length, and a new thread when one dies. */
import { Worker } from 'node:worker_threads';
import { Failure } from '../api/errors.ts';
import { endThread } from './end-thread.ts';
import type { FromWorker, ToWorker, Work, WorkEvent, WorkerStart } from './worker-messages.ts';

export interface HostOptions extends Omit<WorkerStart, 'folder'> {
  /** Generations that run in turns. */
  maxConcurrent: number;
  /** Requests that wait for one of them to end. */
  maxQueue: number;
  onNote?: (note: string) => void;
}

/** Events of one generation or task, ending with `done` or `error`. Leaving it cancels what is done. */
export type EventStream = AsyncGenerator<WorkEvent, void>;

export interface ModelHost {
  /** Resolves when the model answers. Rejects if it cannot be loaded. */
  ready: Promise<void>;
  load(): { running: number; queued: number };
  /** Admits a request, or says in how many seconds to come again. */
  admit(work: Work): EventStream | { retryAfter: number };
  close(): Promise<void>;
}

interface Job {
  id: number;
  work: Work;
  /** Events that the reader has not taken yet. */
  events: WorkEvent[];
  wake?: () => void;
  state: 'queued' | 'running' | 'over';
  began: number;
}

/** Events that may wait for a slow reader before its generation is given up: memory is bounded by it. */
const BACKLOG = 100_000;

export function createModelHost(folder: string, options: HostOptions): ModelHost {
  const { maxConcurrent, maxQueue, provider, threads, variant, onNote = () => {} } = options;
  const workerData: WorkerStart = { folder, provider, threads, variant };
  const jobs = new Map<number, Job>();
  const queue: Job[] = [];
  // Only a thread that has loaded its model is given work: what is posted to a dead one is lost.
  let [running, nextId, seconds, closed, up] = [0, 1, 2, false, false];
  let worker: Worker;
  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => {});
  startWorker();

  function startWorker(): void {
    worker = new Worker(new URL('./model-worker.ts', import.meta.url), {
      workerData,
    });
    worker.on('message', (message: FromWorker) => {
      if (message.type === 'ready') {
        up = true;
        ready.resolve();
        advance();
      }
      if (message.type === 'failed') ready.reject(new Error(message.message));
      if (message.type === 'event') receive(message.id, message.event);
      if (message.type === 'cancelled') settle(message.id);
    });
    worker.on('error', (error) => onNote(`The thread of ${folder} failed: ${error.message}`));
    worker.on('exit', (code) => {
      up = false;
      if (closed) return;
      ready.reject(new Error(`The thread of ${folder} ended with code ${code} before the model was loaded.`));
      const lost = [...jobs.values()].filter(({ state }) => state === 'running');
      for (const job of lost) {
        const broken = new Failure(
          'model_restarting',
          'The model broke off and starts again. Try once more.',
        );
        receive(job.id, broken.event);
      }
      onNote(`The thread of ${folder} ended with code ${code}; a new one starts.`);
      setTimeout(startWorker, 1000).unref();
    });
  }

  const post = (message: ToWorker) => worker.postMessage(message);

  function receive(id: number, event: WorkEvent): void {
    const job = jobs.get(id);
    if (!job || job.state === 'over') return;
    if (job.events.length < BACKLOG) job.events.push(event);
    else post({ type: 'cancel', id });
    if (event.type === 'done' || event.type === 'error') settle(id);
    job.wake?.();
  }

  /** A generation is over in the worker: its place goes to the next in line. */
  function settle(id: number): void {
    const job = jobs.get(id);
    if (!job) return;
    jobs.delete(id);
    if (job.state !== 'queued') {
      running--;
      // How long an answer takes lately, for estimates.
      seconds += ((performance.now() - job.began) / 1000 - seconds) / 4;
    }
    job.state = 'over';
    job.wake?.();
    advance();
  }

  function advance(): void {
    while (up && running < maxConcurrent && queue.length > 0) {
      const job = queue.shift()!;
      job.state = 'running';
      job.began = performance.now();
      running++;
      post({ type: 'work', id: job.id, work: job.work });
    }
  }

  function leave(job: Job): void {
    if (job.state === 'over') return;
    if (job.state === 'running') post({ type: 'cancel', id: job.id });
    else {
      queue.splice(queue.indexOf(job), 1);
      jobs.delete(job.id);
      job.state = 'over';
    }
  }

  async function* stream(job: Job): EventStream {
    try {
      for (;;) {
        const event = job.events.shift();
        if (event) {
          yield event;
          if (event.type === 'done' || event.type === 'error') return;
        } else if (job.state === 'over') return;
        else {
          await new Promise<void>((resolve) => {
            job.wake = resolve;
          });
          job.wake = undefined;
        }
      }
    } finally {
      leave(job);
    }
  }

  return {
    ready: ready.promise,
    load: () => ({ running, queued: queue.length }),
    admit(work) {
      if (running >= maxConcurrent && queue.length >= maxQueue) {
        return {
          retryAfter: Math.max(1, Math.ceil((seconds * (queue.length + 1)) / maxConcurrent)),
        };
      }
      const job: Job = {
        id: nextId++,
        work,
        events: [],
        state: 'queued',
        began: performance.now(),
      };
      jobs.set(job.id, job);
      queue.push(job);
      advance();
      const events = stream(job);
      // A generator that is left before its first step runs no `finally`: leaving has to cancel even then.
      const { return: leaveEvents } = events;
      events.return = (value) => {
        leave(job);
        job.wake?.();
        return leaveEvents.call(events, value);
      };
      return events;
    },
    async close() {
      closed = true;
      await endThread(worker);
    },
  };
}
