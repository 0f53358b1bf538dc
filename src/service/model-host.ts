/** A text model as the service asks it: loaded when it is asked for, admission, and a line of bounded length. */
import { Failure } from '../api/errors.ts';
import type { EngineStats } from '../generation/engine/engine.ts';
import type { ModelMemory } from './model-memory.ts';
import { createModelThread, type ModelState, notLoaded, restarting, type Thread } from './model-thread.ts';
import {
  EVENTS_TOLD,
  type FromWorker,
  type ToWorker,
  type Work,
  type WorkEvent,
  type WorkerStart,
} from './worker-messages.ts';

export interface HostOptions extends Omit<WorkerStart, 'folder'> {
  /** Generations that are computed together, or stand in line in the engine. */
  maxConcurrent: number;
  /** Requests that wait for one of them to end. */
  maxQueue: number;
  /** Milliseconds for which a reader may take nothing of what is there before its generation is given up. */
  readerPatience?: number;
  /** What it shares its memory with, and how many bytes of it it takes. */
  memory: ModelMemory;
  bytes: number;
  /** Whether it is loaded at the start, and stays. */
  pinned: boolean;
  /** The thread's module. */
  worker?: URL;
  onNote?: (note: string) => void;
}

/** Events of one generation or task, ending with `done` or `error`. Leaving it cancels what is done. */
export type EventStream = AsyncGenerator<WorkEvent, void>;

/** What text and image models have in common. */
export interface Host {
  readonly bytes: number;
  readonly pinned: boolean;
  state(): ModelState;
  /** Why it could not be loaded when it was tried last. */
  fault(): string | undefined;
  /** How many of its threads have died. */
  deaths(): number;
  load(): { running: number; queued: number };
  /** Loads it, where it is not. Rejects if it cannot be. */
  want(): Promise<void>;
  /** Loads its files as they are now; what runs is finished with those from before. Rejects if they cannot be. */
  replace(): Promise<void>;
  close(): Promise<void>;
}

export interface ModelHost extends Host {
  /** Tells the model from all others, once it is loaded. */
  readonly version: string | undefined;
  /** The figures of its engine, as they were last told; of the thread that runs. */
  stats(): EngineStats | undefined;
  /**
   * Admits a request, or says in how many seconds to come again.
   * @param told of each event when it happens, which may be long before it is read
   */
  admit(work: Work, told?: (event: WorkEvent) => void): EventStream | { retryAfter: number };
}

interface Job {
  id: number;
  work: Work;
  told: (event: WorkEvent) => void;
  /** Events that the reader has not taken yet. */
  events: WorkEvent[];
  /** Those it has taken and the thread was not told of. */
  untold: number;
  /** Since when the reader could have taken something, and has not. */
  waiting?: number;
  wake?: () => void;
  state: 'queued' | 'running' | 'over';
  /** What it runs on. */
  thread?: Thread<ToWorker>;
  came: number;
  began: number;
}

/** Milliseconds without an event after which the reader is told that it still waits. */
const SILENCE = 5_000;

export function createModelHost(folder: string, options: HostOptions): ModelHost {
  const { maxConcurrent, maxQueue, provider, threads, variant, onNote = () => {} } = options;
  const { readerPatience = 30_000, memory, bytes, pinned, cacheBytes, draft } = options;
  const { worker: module = new URL('./model-worker.ts', import.meta.url) } = options;
  const workerData: WorkerStart = { folder, provider, threads, variant, cacheBytes, draft };
  const jobs = new Map<number, Job>();
  const queue: Job[] = [];
  // Only a thread that has loaded its model is given work: what is posted to a dead one is lost.
  let up: Thread<ToWorker> | undefined;
  /** Threads that end as soon as what runs on them is over. */
  const leaving = new Set<Thread<ToWorker>>();
  let [running, nextId, seconds, held] = [0, 1, 2, false];
  let version: string | undefined;
  let stats: EngineStats | undefined;
  const load = () => ({ running, queued: queue.length });
  const thread = createModelThread<ToWorker, FromWorker>({
    module,
    workerData,
    name: folder,
    onNote,
    memory,
    tenant: {
      bytes,
      pinned,
      load,
      hold(on) {
        held = on;
        advance();
      },
    },
    onLoaded(loaded, { revision }, before) {
      [up, version, held, stats] = [loaded, revision, false, undefined];
      if (before) {
        leaving.add(before);
        letGo(before);
      }
      advance();
    },
    onLeaving() {
      [up, stats] = [undefined, undefined];
    },
    onMessage(message, thread) {
      if (message.type === 'event') receive(message.id, message.event);
      if (message.type === 'cancelled') settle(message.id);
      if (message.type === 'stats' && thread === up) stats = message.stats;
      if (message.type === 'note') onNote(message.note);
    },
    onLost(lost, again) {
      if (up === lost) [up, stats] = [undefined, undefined];
      leaving.delete(lost);
      for (const job of [...jobs.values()]) if (job.thread === lost) receive(job.id, restarting.event);
      // Nobody waits for a model that cannot be loaded.
      if (!again) for (const job of queue.splice(0)) receive(job.id, notLoaded.event);
    },
  });
  const watch = setInterval(giveUpUnread, readerPatience / 4).unref();

  /** Ends a thread that was replaced, once nothing runs on it. */
  function letGo(old: Thread<ToWorker> | undefined): void {
    if (!old || !leaving.has(old) || [...jobs.values()].some(({ thread }) => thread === old)) return;
    leaving.delete(old);
    void old.end();
  }

  function receive(id: number, event: WorkEvent): void {
    const job = jobs.get(id);
    if (!job || job.state === 'over') return;
    job.told(event);
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
      job.thread?.post({ type: 'cancel', id: job.id });
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
    letGo(job.thread);
    advance();
    if (running === 0) memory.settle();
  }

  function advance(): void {
    while (up && !held && running < maxConcurrent && queue.length > 0) {
      const job = queue.shift()!;
      job.state = 'running';
      job.began = performance.now();
      running++;
      job.thread = up;
      up.post({ type: 'work', id: job.id, work: job.work, queue: job.began - job.came });
    }
  }

  function leave(job: Job): void {
    if (job.state === 'over') return;
    if (job.state === 'running') job.thread?.post({ type: 'cancel', id: job.id });
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
    if (job.state === 'running') job.thread?.post({ type: 'taken', id: job.id, count: job.untold });
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
    bytes,
    pinned,
    state: thread.state,
    fault: thread.fault,
    deaths: thread.deaths,
    want: thread.want,
    replace: thread.replace,
    load,
    stats: () => stats,
    get version() {
      return version;
    },
    admit(work, told = () => {}) {
      // One that could not be loaded is not tried at every request.
      if (thread.state() === 'idle' && thread.wait() > 0) return { retryAfter: Math.ceil(thread.wait()) };
      if (running >= maxConcurrent && queue.length >= maxQueue) {
        return {
          retryAfter: Math.max(1, Math.ceil((seconds * (queue.length + 1)) / maxConcurrent)),
        };
      }
      const job: Job = {
        id: nextId++,
        work,
        told,
        events: [],
        untold: 0,
        state: 'queued',
        came: performance.now(),
        began: performance.now(),
      };
      jobs.set(job.id, job);
      queue.push(job);
      void thread.want().catch(() => {});
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
      clearInterval(watch);
      await thread.close();
    },
  };
}
