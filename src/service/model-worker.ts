/**
 * The thread in which one model generates. onnxruntime-node's `run` holds its thread, so that a thread that answers
 * requests must not be the one that generates.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Failure } from '../api/errors.ts';
import type { ServiceEvent } from '../api/events.ts';
import { createBatchDecoder } from '../generation/engine/batch-decoder.ts';
import { createDraft, sameTokens } from '../generation/engine/draft.ts';
import { createEngine, type Engine, type EngineOptions } from '../generation/engine/engine.ts';
import { generate } from '../generation/generate.ts';
import type { TextModel } from '../generation/model.ts';
import { InvalidInputError } from '../generation/parameters.ts';
import { runTask } from '../generation/tasks.ts';
import { type LoadOptions, loadModelFolder } from './model-folder.ts';
import {
  CACHE_BYTES,
  EVENTS_AHEAD,
  type FromWorker,
  STATS_INTERVAL,
  type ToWorker,
  type WorkerStart,
} from './worker-messages.ts';

const port = parentPort!;
const send = (message: FromWorker) => port.postMessage(message);

interface Running {
  abort: AbortController;
  /** Events that the reader has not taken yet. */
  ahead: number;
  /** Goes on when the reader has taken some, or has left. */
  wake: () => void;
}
const running = new Map<number, Running>();

let model: TextModel;
let engine: Engine | undefined;

port.on('message', (message: ToWorker) => {
  if (message.type === 'close') process.exit(0);
  else if (message.type === 'work') void answer(message);
  else {
    const job = running.get(message.id);
    if (!job) return;
    if (message.type === 'cancel') job.abort.abort();
    else job.ahead -= message.count;
    job.wake();
  }
});
try {
  const { folder, draft, cacheBytes = CACHE_BYTES, ...options } = workerData as WorkerStart;
  const loaded = await loadModelFolder(folder, {
    ...options,
    embeddings: true,
    steps: (why) =>
      send({ type: 'note', note: `Its sequences are computed one by one, token by token: ${why}.` }),
  });
  const { contextLength } = loaded;
  // An engine has its cache in the processor's memory, and graphs of steps are the processor's alone: on a GPU answers
  // are written a token at a time in turns, their prompts taken in at once.
  if ((options.provider ?? 'cpu') === 'cpu')
    engine = createEngine(createBatchDecoder(loaded), {
      contextLength,
      cacheBytes,
      draft: draft === undefined ? undefined : await draftOf(loaded, draft, options, cacheBytes),
      onChange: tellStats(),
    });
  model = { ...loaded, contextLength: engine?.contextLength ?? contextLength };
  send({ type: 'ready', revision: model.revision });
} catch (error) {
  send({ type: 'failed', message: (error as Error).message });
  port.unref();
}

/** What proposes the tokens of a smaller model, where both have the same. */
async function draftOf(
  target: TextModel,
  folder: string,
  options: LoadOptions,
  cacheBytes: number,
): Promise<EngineOptions['draft']> {
  const draft = await loadModelFolder(folder, { ...options, steps: () => {} });
  if (draft.revision === target.revision) return undefined;
  if (!sameTokens(draft, target)) {
    send({
      type: 'note',
      note: `${draft.id} proposes nothing to ${target.id}: their tokens are not the same.`,
    });
    return undefined;
  }
  const { contextLength } = draft;
  const own = createEngine(createBatchDecoder(draft), { contextLength, cacheBytes, lookup: false });
  return (salt) => createDraft(own, salt);
}

/** Tells of the engine's figures when they change, but not too often. */
function tellStats(): () => void {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    setTimeout(() => {
      due = false;
      send({ type: 'stats', stats: engine!.stats() });
    }, STATS_INTERVAL);
  };
}

async function answer({ id, work, queue }: Extract<ToWorker, { type: 'work' }>): Promise<void> {
  const abort = new AbortController();
  const job: Running = { abort, ahead: 0, wake: () => {} };
  running.set(id, job);
  try {
    const events =
      'task' in work
        ? runTask(model, work.task, abort.signal)
        : generate(model, work.input, work.parameters, abort.signal, {
            queue,
            place: 'service',
            engine,
            trace: work.trace,
            salt: work.salt,
            priority: work.priority,
          });
    for await (const event of events) {
      send({ type: 'event', id, event });
      job.ahead++;
      while (job.ahead >= EVENTS_AHEAD) {
        await new Promise<void>((resolve) => {
          job.wake = resolve;
        });
        abort.signal.throwIfAborted();
      }
    }
  } catch (error) {
    send(abort.signal.aborted ? { type: 'cancelled', id } : { type: 'event', id, event: failure(error) });
  } finally {
    running.delete(id);
  }
}

/** What a caller may know of a failure: all of a refused input, nothing of anything else. */
function failure(error: unknown): ServiceEvent {
  if (error instanceof InvalidInputError) {
    const { status, message, param, code } = error;
    return new Failure({ status, code }, message, { param }).event;
  }
  console.error('A generation failed:', error);
  return new Failure('internal_error', 'The generation failed in the service.').event;
}
