/** A safety checker for images that callers send, in a thread of its own that starts when it is first asked. */
import { Worker } from 'node:worker_threads';
import { Failure } from '../api/errors.ts';
import { checkerFiles } from './image-folder.ts';
import type { RuntimeOptions } from './runtime.ts';

export interface CheckerStart extends RuntimeOptions {
  folder: string;
}
export interface ImageToCheck {
  id: number;
  /** A file in base64. */
  image: string;
}
/** Without either field the checker has failed. */
export interface CheckedImage {
  id: number;
  unsafe?: boolean;
  /** Why it is no image that can be looked at. */
  refused?: string;
}

export interface ImageChecker {
  /**
   * Whether the checker objects to an image.
   * @param image a file in base64
   * @throws Failure 400 if it is no image, 503 if too many wait, 500 if it could not be checked
   */
  isUnsafe(image: string): Promise<boolean>;
  close(): Promise<void>;
}

/** Images that may wait. */
const MOST = 32;

/** @throws Error if the folder has no safety checker */
export function createImageChecker({ folder, ...options }: CheckerStart): ImageChecker {
  if (!checkerFiles(folder))
    throw new Error(
      `${folder} has no safety checker: neither model.onnx nor safety_checker/model.onnx is in it.`,
    );
  const waiting = new Map<number, PromiseWithResolvers<boolean>>();
  const failed = () => new Failure('internal_error', 'The image could not be checked.');
  let worker: Worker | undefined;
  let next = 0;

  function start(): Worker {
    const started = new Worker(new URL('./image-checker-worker.ts', import.meta.url), {
      workerData: { folder, ...options } satisfies CheckerStart,
    });
    started.unref();
    started.on('message', ({ id, unsafe, refused }: CheckedImage) => {
      const { resolve, reject } = waiting.get(id)!;
      waiting.delete(id);
      if (unsafe !== undefined) resolve(unsafe);
      else if (refused === undefined) reject(failed());
      else reject(new Failure('invalid_value', refused, { param: 'image' }));
    });
    started.on('error', (error) => console.error('The safety checker broke off:', error));
    started.on('exit', () => {
      // The next to ask starts another.
      if (worker === started) worker = undefined;
      for (const { reject } of waiting.values()) reject(failed());
      waiting.clear();
    });
    return started;
  }

  return {
    isUnsafe(image) {
      if (waiting.size >= MOST)
        throw new Failure('overloaded', 'Too many images wait to be checked. Try again in a moment.', {
          retryAfter: 5,
        });
      const id = next++;
      const answer = Promise.withResolvers<boolean>();
      waiting.set(id, answer);
      worker ??= start();
      worker.postMessage({ id, image } satisfies ImageToCheck);
      return answer.promise;
    },
    async close() {
      await worker?.terminate();
    },
  };
}
