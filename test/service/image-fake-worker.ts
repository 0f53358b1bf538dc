/** A thread with a model that draws noise of its seed. Words in the prompt say how it goes wrong. */
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { workerData } from 'node:worker_threads';
import type { DrawOptions, ImageModel, Pixels } from '../../src/generation/image/pipeline.ts';
import { InvalidInputError } from '../../src/generation/parameters.ts';
import { serveDrawings } from '../../src/service/image-drawing.ts';

const id = basename((workerData as { folder: string }).folder);
if (id.includes('broken')) throw new Error('It cannot be loaded.');
const model = {
  id,
  width: 64,
  height: 64,
  multiple: 8,
  fixed: id.includes('fixed'),
  notes: [] as string[],
  defaults: { num_inference_steps: 4, guidance_scale: 2 },
} as unknown as ImageModel;

async function* draw(_: ImageModel, options: DrawOptions, signal: AbortSignal) {
  const { prompt, seed, width = 64, height = 64, previews = 0, image, mask } = options;
  const { num_inference_steps: steps = 4, guidance_scale = 2, scheduler = 'euler' } = options;
  if (prompt.includes('refused')) throw new InvalidInputError('This cannot be drawn.', { param: 'prompt' });
  const pixels: Pixels = { width, height, data: new Uint8Array(width * height * 3) };
  for (let i = 0, state = seed + 1; i < pixels.data.length; i++) {
    state = (state * 48_271) % 2_147_483_647;
    pixels.data[i] = image && mask?.[Math.floor(i / 3)] !== 255 ? image.data[i] : state;
  }
  for (let step = 1; step <= steps; step++) {
    signal.throwIfAborted();
    if (prompt.includes('slow')) await sleep(20);
    // As a graph that is run, which holds the thread.
    for (const end = performance.now() + 10; prompt.includes('busy') && performance.now() < end; );
    if (prompt.includes('dies')) process.exit(3);
    if (prompt.includes('fails')) throw new Error('A secret of the machine.');
    const shown =
      Math.floor((step * (previews + 1)) / steps) > Math.floor(((step - 1) * (previews + 1)) / steps);
    yield { type: 'progress' as const, step, steps, ...(shown && step < steps && { preview: pixels }) };
  }
  yield {
    type: 'image' as const,
    pixels,
    flagged: prompt.includes('unsafe'),
    steps,
    guidance_scale,
    scheduler,
  };
}

await serveDrawings(async () => model, draw);
