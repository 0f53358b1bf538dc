/**
 * The thread in which one model generates. onnxruntime-node's `run` holds its thread, so that a thread that answers
 * requests must not be the one that generates.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Failure } from '../api/errors.ts';
import type { ServiceEvent } from '../api/events.ts';
import { generate } from '../generation/generate.ts';
import type { TextModel } from '../generation/model.ts';
import { InvalidInputError } from '../generation/parameters.ts';
import { runTask } from '../generation/tasks.ts';
import { loadModelFolder } from './model-folder.ts';
import type { FromWorker, ToWorker, Work, WorkerStart } from './worker-messages.ts';

const port = parentPort!;
const send = (message: FromWorker) => port.postMessage(message);
const running = new Map<number, AbortController>();

let model: TextModel;

port.on('message', (message: ToWorker) => {
  if (message.type === 'close') process.exit(0);
  else if (message.type === 'cancel') running.get(message.id)?.abort();
  else void answer(message.id, message.work);
});
try {
  const { folder, ...options } = workerData as WorkerStart;
  model = await loadModelFolder(folder, { ...options, embeddings: true });
  send({ type: 'ready' });
} catch (error) {
  send({ type: 'failed', message: (error as Error).message });
  port.unref();
}

async function answer(id: number, work: Work): Promise<void> {
  const abort = new AbortController();
  running.set(id, abort);
  try {
    const events =
      'task' in work
        ? runTask(model, work.task, abort.signal)
        : generate(model, work.input, work.parameters, abort.signal);
    for await (const event of events) send({ type: 'event', id, event });
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
