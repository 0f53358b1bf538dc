/** An image model as the service asks it: loaded when it is asked for, requests prepared, a line before it. */
import { randomInt } from 'node:crypto';
import type { DrawEvent, DrawRequest } from '../api/draw.ts';
import { InvalidInputError } from '../generation/parameters.ts';
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
import type { Host, HostOptions } from './model-host.ts';
import { createModelThread, notLoaded, restarting, type Thread } from './model-thread.ts';

export interface ImageHostOptions
  extends Omit<ImageWorkerStart, 'folder'>,
    Pick<HostOptions, 'memory' | 'bytes' | 'pinned' | 'worker' | 'onNote'> {
  /** Requests that wait, besides the one that is drawn. */
  maxQueue: number;
}

export interface ImageHost extends Host {
  /** Changes with the model's files: the same seed then gives another image. */
  readonly version: string;
  /** What is known of the model; absent until it was loaded once. */
  info(): ImageModelInfo | undefined;
  load(): { running: number; queued: number; seconds_per_image: number };
  /**
   * Admits a request, or says in how many seconds to come again.
   * @param told of each event when it happens
   */
  admit(
    request: Omit<DrawRequest, 'model'>,
    told?: (event: DrawEvent) => void,
  ): DrawStream | { retryAfter: number };
}

const SEEDS = 2 ** 32;

/** The image model in `folder`, in a thread of its own. */
export function createImageHost(folder: string, options: ImageHostOptions): ImageHost {
  const { maxQueue, provider, threads, variant, safetyChecker, credentials, onNote = () => {} } = options;
  const { memory, bytes, pinned } = options;
  const { worker: module = new URL('./image-worker.ts', import.meta.url) } = options;
  const workerData: ImageWorkerStart = { folder, provider, threads, variant, safetyChecker, credentials };
  let info: ImageModelInfo | undefined;
  let version = folderVersion(folder);
  /** Resolves when it is known what the model can draw. */
  let known = Promise.withResolvers<ImageModelInfo>();
  known.promise.catch(() => {});
  let up: Thread<ToImageWorker> | undefined;
  /** The one that draws now, and whether another has taken its place. */
  let [drawing, old]: [Thread<ToImageWorker>?, Thread<ToImageWorker>?] = [];
  const queue = createImageQueue({
    maxQueue,
    draw(id, task) {
      drawing = up;
      up?.post({ type: 'draw', id, drawing: task });
    },
    cancel: (id) => drawing?.post({ type: 'cancel', id }),
    idle() {
      void old?.end();
      old = undefined;
      memory.settle();
    },
  });
  /** One file is decoded after another: each may take as much memory as is allowed. */
  let decoding = Promise.resolve();
  const thread = createModelThread<ToImageWorker, FromImageWorker>({
    module,
    workerData,
    name: folder,
    onNote,
    memory,
    tenant: { bytes, pinned, load: queue.load, hold: queue.hold },
    onLoaded(loaded, { model }, before) {
      up = loaded;
      info = model;
      known.resolve(model);
      if (before && queue.load().running > 0) old = before;
      else void before?.end();
      queue.hold(false);
      queue.setReady(true);
    },
    onLeaving() {
      up = undefined;
      queue.setReady(false);
    },
    onMessage(message) {
      if (message.type === 'event') queue.receive(message.id, message.event);
      if (message.type === 'cancelled') queue.receive(message.id, undefined);
    },
    onLost(lost, again) {
      if (old === lost) old = undefined;
      if (up === lost) up = undefined;
      if (drawing === lost || !up) queue.setReady(up !== undefined, restarting.event);
      if (again) return;
      // Nobody waits for a model that cannot be loaded.
      known.reject(notLoaded);
      known = Promise.withResolvers();
      known.promise.catch(() => {});
      queue.failAll(notLoaded.event);
    },
  });

  async function prepare(job: Job, request: Omit<DrawRequest, 'model'>): Promise<void> {
    if (job.over) return;
    try {
      const model = await known.promise;
      job.steps ||= model.defaults.num_inference_steps;
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
      if (!job.over) queue.fail(job, failure(error));
    }
  }

  return {
    bytes,
    pinned,
    state: thread.state,
    fault: thread.fault,
    deaths: thread.deaths,
    want: thread.want,
    async replace() {
      await thread.replace();
      version = folderVersion(folder);
    },
    close: thread.close,
    get version() {
      return version;
    },
    info: () => info,
    load: queue.load,
    admit(request, told) {
      if (thread.state() === 'idle' && thread.wait() > 0) return { retryAfter: Math.ceil(thread.wait()) };
      const { n = 1, seed = randomInt(SEEDS), num_inference_steps } = request.parameters;
      const steps = num_inference_steps ?? info?.defaults.num_inference_steps ?? 0;
      const admitted = queue.admit({ n, seed, steps }, told);
      if ('retryAfter' in admitted) return admitted;
      const { job, events } = admitted;
      void thread.want().catch(() => {});
      if (request.image === undefined) void prepare(job, request);
      else decoding = decoding.then(() => prepare(job, request));
      return events;
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
