/** Drawing on request in a worker thread: pixels from a model, files to the main thread. */
import { parentPort } from 'node:worker_threads';
import type { DrawEvent } from '../api/draw.ts';
import { Failure } from '../api/errors.ts';
import type { drawImage, ImageModel } from '../generation/image/pipeline.ts';
import { InvalidInputError } from '../generation/parameters.ts';
import type { SignImage } from './image-credentials.ts';
import { encodeImage, previewSize } from './image-encode.ts';
import type { Drawing, FromImageWorker, ToImageWorker } from './image-messages.ts';

type ErrorEvent = Extract<DrawEvent, { type: 'error' }>;

/**
 * Loads a model in this worker thread, and draws what the main thread asks for until the thread ends.
 * @param sign what is done to each finished file
 */
export async function serveDrawings(
  load: () => Promise<ImageModel>,
  draw: typeof drawImage,
  sign: () => Promise<SignImage> = async () => async (file) => file,
): Promise<void> {
  const port = parentPort!;
  const send = (message: FromImageWorker) => port.postMessage(message);
  const running = new Map<number, AbortController>();
  let [model, signed]: [ImageModel?, SignImage?] = [];
  port.on('message', (message: ToImageWorker) => {
    if (message.type === 'close') process.exit(0);
    else if (message.type === 'cancel') running.get(message.id)?.abort();
    else void answer(message.id, message.drawing);
  });
  try {
    [model, signed] = [await load(), await sign()];
  } catch (error) {
    send({ type: 'failed', message: (error as Error).message });
    port.unref();
    return;
  }
  for (const note of model.notes) console.warn(`${model.id}: ${note}`);
  const { width, height, multiple, fixed, defaults } = model;
  send({ type: 'ready', model: { width, height, multiple, fixed, defaults } });

  async function answer(id: number, drawing: Drawing): Promise<void> {
    const abort = new AbortController();
    running.set(id, abort);
    try {
      for await (const event of eventsOf(model!, draw, signed!, drawing, abort.signal))
        send({ type: 'event', id, event });
    } catch (error) {
      send(abort.signal.aborted ? { type: 'cancelled', id } : { type: 'event', id, event: failure(error) });
    } finally {
      running.delete(id);
    }
  }
}

async function* eventsOf(
  model: ImageModel,
  draw: typeof drawImage,
  sign: SignImage,
  { index, options, format, quality, width, height }: Drawing,
  signal: AbortSignal,
) {
  const { prompt, negative_prompt, seed } = options;
  const origin = { model: model.id, prompt };
  let partial = 0;
  for await (const step of draw(model, options, signal)) {
    if (step.type === 'progress') {
      yield { type: 'progress', index, step: step.step, steps: step.steps } as const;
      if (step.preview) {
        const size = previewSize({ width, height });
        const file = await encodeImage(step.preview, { format, quality, fast: true, origin, ...size });
        yield {
          type: 'partial',
          index,
          partial: partial++,
          b64_json: file.toString('base64'),
          format,
          ...size,
        } as const;
      }
      // A turn of the event loop, in which a message to cancel arrives however the model is run.
      await new Promise(setImmediate);
      signal.throwIfAborted();
      continue;
    }
    if (step.flagged) {
      yield { type: 'withheld', index } as const;
      continue;
    }
    const { steps, scheduler, guidance_scale } = step;
    const plain = await encodeImage(step.pixels, {
      format,
      quality,
      width,
      height,
      origin,
      settings: { negative_prompt, steps, scheduler, guidance_scale, seed },
    });
    const file = await sign(plain, format);
    yield { type: 'image', index, seed, b64_json: file.toString('base64'), format, width, height } as const;
  }
}

/** What a caller may know of a failure: all of a refused input, nothing of anything else. */
export function failure(error: unknown): ErrorEvent {
  if (error instanceof InvalidInputError) {
    const { status, message, param, code } = error;
    return new Failure({ status, code }, message, { param }).event;
  }
  console.error('A drawing failed:', error);
  return new Failure('internal_error', 'The drawing failed in the service.').event;
}
