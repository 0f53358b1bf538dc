/** A model's thread as the service sees it: admission, a line of bounded length, and a new thread when one dies. */
import { Worker } from 'node:worker_threads';
import { Failure } from '../api/errors.ts';
import { endThread } from './end-thread.ts';
import {
  EVENTS_TOLD,
  type FromWorker,
  type ToWorker,
  type Work,
  type WorkEvent,
  type WorkerStart,
} from './worker-messages.ts';

export interface HostOptions extends Omit<WorkerStart, 'folder'> {
  /** Generations that run in turns. */
  maxConcurrent: number;
  /** Requests that wait for one of them to end. */
  maxQueue: number;
  /** Milliseconds for which a reader may take nothing of what is there before its generation is given up. */
  readerPatience?: number;
  onNote?: (note: string) => void;
}

/** Events of one generation or task, ending with `done` or `error`. Leaving it cancels what is done. */
export type EventStream = AsyncGenerator<WorkEvent, void>;

export interface ModelHost {
  /** Resolves when the model answers. Rejects if it cannot be loaded. */
  ready: Promise<void>;
  /** Tells the model from all others, once it is loaded. */
  readonly version: string | undefined;
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
  /** Those it has taken and the thread was not told of. */
  untold: number;
  /** Since when the reader could have taken something, and has not. */
  waiting?: number;
  wake?: () => void;
  state: 'queued' | 'running' | 'over';
  came: number;
  began: number;
}

/** Milliseconds without an event after which the reader is told that it still waits. */
const SILENCE = 5_000;

export function createModelHost(folder: string, options: HostOptions): ModelHost {
  const { maxConcurrent, maxQueue, provider, threads, variant, onNote = () => {} } = options;
  const { readerPatience = 30_000 } = options;
  const workerData: WorkerStart = { folder, provider, threads, variant };
  const jobs = new Map<number, Job>();
  const queue: Job[] = [];
  // Only a thread that has loaded its model is given work: what is posted to a dead one is lost.
  let [running, nextId, seconds, closed, up] = [0, 1, 2, false, false];
  let worker: Worker;
  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => {});
  let version: string | undefined;
  startWorker();
  const watch = setInterval(giveUpUnread, readerPatience / 4).unref();

  function startWorker(): void {
    worker = new Worker(new URL('./model-worker.ts', import.meta.url), {
      workerData,
    });
    worker.on('message', (message: FromWorker) => {
      if (message.type === 'ready') {
        up = true;
        version = message.revision;
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
    job.events.push(event);
    job.waiting ??= performance.now();
    if (event.type === 'done' || event.type === 'error') settle(id);
    job.wake?.();
  }

  /** Ends the generations whose readers stay away, so that others have their places. */
  function giveUpUnread(): void {
    for (const job of jobs.values()) {
      if (job.state !== 'running' || performance.now() - (job.waiting ?? Infinity) < readerPatience) continue;
      const seconds = Math.round(readerPatience / 1000);
      const sentence = `Nothing of the answer was read for ${seconds} s, and it was given up.`;
      receive(job.id, new Failure('not_read', sentence).event);
      post({ type: 'cancel', id: job.id });
    }
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
      post({ type: 'work', id: job.id, work: job.work, queue: job.began - job.came });
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

  /** An event goes to the reader: the thread may write another. */
  function take(job: Job): void {
    job.waiting = job.events.length > 0 ? performance.now() : undefined;
    if (++job.untold < EVENTS_TOLD) return;
    if (job.state === 'running') post({ type: 'taken', id: job.id, count: job.untold });
    job.untold = 0;
  }

  const isOver = (job: Job): boolean => job.state === 'over';
  /** In the line, 1 being next; 0 for one that runs. */
  const placeOf = (job: Job): number => queue.indexOf(job) + 1;

  async function* stream(job: Job): EventStream {
    try {
      for (;;) {
        const event = job.events.shift();
        if (event) {
          take(job);
          yield event;
          if (event.type === 'done' || event.type === 'error') return;
        } else if (job.state === 'over') return;
        else {
          const { promise, resolve } = Promise.withResolvers<void>();
          job.wake = resolve;
          const timer = setTimeout(resolve, SILENCE);
          await promise;
          clearTimeout(timer);
          job.wake = undefined;
          if (job.events.length === 0 && !isOver(job)) yield { type: 'waiting', place: placeOf(job) };
        }
      }
    } finally {
      leave(job);
    }
  }

  return {
    ready: ready.promise,
    get version() {
      return version;
    },
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
        untold: 0,
        state: 'queued',
        came: performance.now(),
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
      clearInterval(watch);
      await endThread(worker);
    },
  };
}
