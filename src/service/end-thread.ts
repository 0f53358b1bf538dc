/** The end of a model's thread, asked for and not forced. */
import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';

/**
 * Asks a thread to end with the message `{ type: 'close' }`, and waits for it; forces it after `within` milliseconds.
 * A thread that is terminated inside onnxruntime takes the whole process with it, so that asking comes first: the
 * message is read between two runs of a graph.
 */
export async function endThread(worker: Worker, within = 10_000): Promise<void> {
  if (worker.threadId < 0) return;
  const ended = once(worker, 'exit');
  worker.postMessage({ type: 'close' });
  const force = setTimeout(() => void worker.terminate(), within);
  await ended;
  clearTimeout(force);
}
