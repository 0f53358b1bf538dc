/** An image model's thread as the service sees it: requests prepared, a line before it, and a new thread when one dies. */
import { randomInt } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type { DrawRequest } from '../api/draw.ts';
import { Failure } from '../api/errors.ts';
import { InvalidInputError } from '../generation/parameters.ts';
import { endThread } from './end-thread.ts';
import { decodeGiven, type GivenImages } from './image-decode.ts';
import { failure } from './image-drawing.ts';
import { folderVersion } from './image-folder.ts';
import type { DrawStream, Job } from './image-job.ts';
import type {
  Drawing,
  FromImageWorker,
  ImageModelInfo,
  ImageWorkerStart,
  ToImageWorker,
} from './image-messages.ts';
import { createImageQueue } from './image-queue.ts';
import { sizeToDraw, sizeToSend } from './image-size.ts';

export interface ImageHostOptions extends Omit<ImageWorkerStart, 'folder'> {
  /** Requests that wait, besides the one that is drawn. */
  maxQueue: number;
  /** The thread's module. */
  worker?: URL;
  onNote?: (note: string) => void;
}

export interface ImageHost {
  /** Resolves when the model can draw. Rejects if it cannot be loaded. */
  ready: Promise<ImageModelInfo>;
  /** Changes with the model's files: the same seed then gives another image. */
  version: string;
  /** What is known of the model; absent until it is ready. */
  info(): ImageModelInfo | undefined;
  load(): { running: number; queued: number; seconds_per_image: number };
  /** Admits a request, or says in how many seconds to come again. */
  admit(request: Omit<DrawRequest, 'model'>): DrawStream | { retryAfter: number };
  close(): Promise<void>;
}

/** Milliseconds until a thread that died is followed by another; doubled while they die before the model is loaded. */
const [RESTART, LONGEST_RESTART] = [1000, 30_000];
const SEEDS = 2 ** 32;

const restarting = new Failure('model_restarting', 'The model broke off and starts again. Try once more.')
  .event;

/** Starts a thread for the image model in `folder`. */
export function createImageHost(folder: string, options: ImageHostOptions): ImageHost {
  const { maxQueue, provider, threads, variant, credentials, onNote = () => {} } = options;
  const { worker: module = new URL('./image-worker.ts', import.meta.url) } = options;
  const workerData: ImageWorkerStart = { folder, provider, threads, variant, credentials };
  const ready = Promise.withResolvers<ImageModelInfo>();
  ready.promise.catch(() => {});
  let info: ImageModelInfo | undefined;
  let [worker, closed, wait] = [startWorker(), false, RESTART];
  const post = (message: ToImageWorker) => worker.postMessage(message);
  const queue = createImageQueue({
    maxQueue,
    draw: (id, drawing) => post({ type: 'draw', id, drawing }),
    cancel: (id) => post({ type: 'cancel', id }),
  });
  /** One file is decoded after another: each may take as much memory as is allowed. */
  let decoding = Promise.resolve();

  function startWorker(): Worker {
    const started = new Worker(module, { workerData });
    let loaded = false;
    started.on('message', (message: FromImageWorker) => {
      if (message.type === 'ready') {
        loaded = true;
        wait = RESTART;
        info = message.model;
        ready.resolve(info);
        queue.setReady(true);
      }
      if (message.type === 'failed') {
        onNote(`${folder} cannot be loaded: ${message.message}`);
        ready.reject(new Error(message.message));
      }
      if (message.type === 'event') queue.receive(message.id, message.event);
      if (message.type === 'cancelled') queue.receive(message.id, undefined);
    });
    started.on('error', (error) => onNote(`The thread of ${folder} failed: ${error.message}`));
    started.on('exit', (code) => {
      if (closed) return;
      ready.reject(new Error(`The thread of ${folder} ended with code ${code} before the model was loaded.`));
      queue.setReady(false, restarting);
      // Nobody waits for a model that cannot be loaded any more.
      if (!loaded) {
        queue.failAll(restarting);
        wait = Math.min(2 * wait, LONGEST_RESTART);
      }
      onNote(`The thread of ${folder} ended with code ${code}; a new one starts.`);
      setTimeout(() => {
        if (!closed) worker = startWorker();
      }, wait).unref();
    });
    return started;
  }

  async function prepare(job: Job, request: Omit<DrawRequest, 'model'>): Promise<void> {
    if (job.over) return;
    try {
      const model = await ready.promise;
      const { image, mask, parameters } = request;
      if (mask !== undefined && image === undefined)
        throw new InvalidInputError('A mask needs an image that it lies on.', { param: 'mask' });
      const { width, height } = parameters;
      const asked = width !== undefined && height !== undefined ? { width, height } : undefined;
      const given =
        image === undefined
          ? undefined
          : await decodeGiven({ image, mask }, (own) => sizeToDraw(model, asked ?? own));
      queue.prepared(job, drawingOf(request, job.seed, model, given));
    } catch (error) {
      queue.fail(job, failure(error));
    }
  }

  return {
    ready: ready.promise,
    version: folderVersion(folder),
    info: () => info,
    load: queue.load,
    admit(request) {
      const { n = 1, seed = randomInt(SEEDS), num_inference_steps } = request.parameters;
      const steps = num_inference_steps ?? info?.defaults.num_inference_steps ?? 0;
      const admitted = queue.admit({ n, seed, steps });
      if ('retryAfter' in admitted) return admitted;
      const { job, events } = admitted;
      if (request.image === undefined) void prepare(job, request);
      else decoding = decoding.then(() => prepare(job, request));
      return events;
    },
    async close() {
      closed = true;
      await endThread(worker);
    },
  };
}

/** What to draw for each image of a request. */
function drawingOf(
  { prompt, parameters }: Omit<DrawRequest, 'model'>,
  seed: number,
  model: ImageModelInfo,
  given: GivenImages | undefined,
): (index: number) => Drawing {
  const { width, height, n, output_format, output_compression, partial_images, ...rest } = parameters;
  const asked = width !== undefined && height !== undefined ? { width, height } : model;
  const drawn = given?.image ?? sizeToDraw(model, asked);
  const size = sizeToSend(drawn, { width, height });
  return (index) => ({
    index,
    options: {
      ...rest,
      ...given,
      prompt,
      seed: (seed + index) % SEEDS,
      width: drawn.width,
      height: drawn.height,
      previews: partial_images ?? 0,
    },
    format: output_format ?? 'png',
    quality: output_compression,
    ...size,
  });
}
