/** A model's thread over its life: started when it is asked for, again when it dies, another in its place, ended. */
import { Worker } from 'node:worker_threads';
import { Failure } from '../api/errors.ts';
import { endThread } from './end-thread.ts';
import type { ModelMemory, Tenant } from './model-memory.ts';

/** A thread that runs, as who asks it sees it. */
export interface Thread<To> {
  post(message: To): void;
  /** Asks it to end. What it still did is lost without a word. */
  end(): Promise<void>;
}

/** What any model's thread says of itself. */
type OfItself = { type: 'ready' } | { type: 'failed'; message: string };

export interface ThreadOptions<To, From extends { type: string }> {
  module: URL;
  workerData: object;
  /** How notes call it. */
  name: string;
  onNote: (note: string) => void;
  memory: ModelMemory;
  /** What it is to that memory. */
  tenant: Pick<Tenant, 'bytes' | 'pinned' | 'load' | 'hold'>;
  /** A thread has loaded the model, and is the one to ask from now on in the place of the one before. */
  onLoaded(thread: Thread<To>, ready: Extract<From, { type: 'ready' }>, before: Thread<To> | undefined): void;
  /** It makes room for another model; nothing runs on it. */
  onLeaving(): void;
  onMessage(message: Exclude<From, OfItself>, thread: Thread<To>): void;
  /** A thread has ended by itself, and what it did is lost. `again`: another follows without being asked for. */
  onLost(thread: Thread<To>, again: boolean): void;
}

/** What is said to whoever waited for a thread that was lost. */
export const restarting = new Failure(
  'model_restarting',
  'The model broke off and starts again. Try once more.',
);
export const notLoaded = new Failure('model_not_loaded', 'The model cannot be loaded now.');

export type ModelState = 'idle' | 'loading' | 'loaded';

export interface ModelThread {
  state(): ModelState;
  /** Why the model could not be loaded when it was tried last. */
  fault(): string | undefined;
  /** How many threads have died. */
  deaths(): number;
  /** Seconds until it is tried again, after it could not be loaded. */
  wait(): number;
  /** It is needed: starts a thread unless there is one. Rejects when the model cannot be loaded. */
  want(): Promise<void>;
  /**
   * Loads the model's files as they are now, beside the thread that goes on.
   * @throws Error if they cannot be loaded; the thread that is there then stays
   */
  replace(): Promise<void>;
  close(): Promise<void>;
}

/** Milliseconds until a thread that died is followed by another; doubled while they die soon. */
const [FIRST_WAIT, LONGEST_WAIT] = [1000, 30_000];
/** Milliseconds after which a thread that dies has not died soon. */
const SOON = 60_000;

interface Live<To, Ready> extends Thread<To> {
  loaded: Promise<Ready>;
  /** Since when it has its model. */
  since?: number;
}

export function createModelThread<To, From extends { type: string }>(
  options: ThreadOptions<To, From>,
): ModelThread {
  type Ready = Extract<From, { type: 'ready' }>;
  const { module, workerData, name, memory, onNote } = options;
  const { pinned, load } = options.tenant;
  const all = new Set<Live<To, Ready>>();
  let current: Live<To, Ready> | undefined;
  let loading: Promise<void> | undefined;
  let [wait, notBefore, deaths, used, closed] = [FIRST_WAIT, 0, 0, 0, false];
  let fault: string | undefined;
  let timer: NodeJS.Timeout | undefined;

  const tenant: Tenant = {
    ...options.tenant,
    lastUsed: () => used,
    async leave() {
      const before = current;
      [current, loading] = [undefined, undefined];
      options.onLeaving();
      onNote(`${name} makes room for another model.`);
      await before?.end();
      if (load().queued > 0) void want();
    },
  };

  function start(): Live<To, Ready> {
    const worker = new Worker(module, { workerData });
    const { promise, resolve, reject } = Promise.withResolvers<Ready>();
    promise.catch(() => {});
    let [why, ending] = [undefined as string | undefined, false];
    const live: Live<To, Ready> = {
      loaded: promise,
      post: (message) => worker.postMessage(message),
      async end() {
        ending = true;
        await endThread(worker);
      },
    };
    all.add(live);
    worker.on('message', (message: From) => {
      if (message.type === 'ready') {
        live.since = performance.now();
        resolve(message as Ready);
      } else if (message.type === 'failed') {
        // It ends by itself.
        why = (message as unknown as { message: string }).message;
      } else options.onMessage(message as Exclude<From, OfItself>, live);
    });
    worker.on('error', (error) => {
      why ??= error.message;
    });
    worker.on('exit', (code) => {
      all.delete(live);
      why ??= `it ended with code ${code}`;
      if (!ending) died(live, why.replace(/\.$/, ''));
      reject(new Error(`${name} cannot be loaded: ${why}`));
    });
    return live;
  }

  function died(live: Live<To, Ready>, why: string): void {
    const wasLoaded = live.since !== undefined;
    deaths += wasLoaded ? 1 : 0;
    onNote(wasLoaded ? `The thread of ${name} broke off: ${why}.` : `${name} cannot be loaded: ${why}.`);
    if (live !== current) {
      options.onLost(live, true);
      return;
    }
    [current, loading] = [undefined, undefined];
    if (!wasLoaded) fault = why;
    if (wasLoaded && performance.now() - live.since! > SOON) wait = FIRST_WAIT;
    const again = wasLoaded || pinned;
    notBefore = performance.now() + wait;
    if (again) {
      onNote(`A new thread for ${name} starts in ${wait / 1000} s.`);
      timer = setTimeout(() => {
        timer = undefined;
        void want();
      }, wait).unref();
    } else memory.giveBack(tenant);
    wait = Math.min(2 * wait, LONGEST_WAIT);
    options.onLost(live, again);
  }

  function want(): Promise<void> {
    used = performance.now();
    // Where one is to be started after a pause, that pause is kept.
    if (timer || closed) return Promise.resolve();
    loading ??= enter();
    loading.catch(() => {});
    return loading;
  }

  async function enter(): Promise<void> {
    await memory.room(tenant);
    if (closed) return;
    current = start();
    settle(current, await current.loaded);
  }

  /** A thread that has loaded takes the place of the one before. */
  function settle(live: Live<To, Ready>, ready: Ready, before?: Live<To, Ready>): void {
    if (live !== current) return;
    fault = undefined;
    options.onLoaded(live, ready, before);
  }

  return {
    state: () => (current?.since !== undefined ? 'loaded' : loading || timer ? 'loading' : 'idle'),
    fault: () => fault,
    deaths: () => deaths,
    wait: () => Math.max(0, notBefore - performance.now()) / 1000,
    want,
    async replace() {
      await loading;
      if (!current) return;
      const next = start();
      const ready = await next.loaded;
      // What it was to replace may have made room, or have died.
      if (closed || !current) return next.end();
      const before = current;
      current = next;
      settle(next, ready, before);
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      memory.giveBack(tenant);
      await Promise.all([...all].map((live) => live.end()));
    },
  };
}
