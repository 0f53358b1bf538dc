/** Drawing: from a prompt and a seed, step by step, to an image. */
import { InvalidInputError } from '../parameters.ts';
import type { Conditioning, ImageModel, SafetyChecker } from './image-model.ts';
import { noiseSource } from './noise.ts';
import { composite, fromPlanes, maskCells, type Pixels, toPlanes } from './pixels.ts';
import { createScheduler, type Scheduler, schedulerName } from './schedulers/index.ts';

export type { ImageModel } from './image-model.ts';
export type { Pixels } from './pixels.ts';

export interface DrawOptions {
  prompt: string;
  /** What the image should not show. */
  negative_prompt?: string;
  /** From 0 to 2³² - 1. The same seed and options give the same image, byte for byte on the same machine. */
  seed: number;
  num_inference_steps?: number;
  /** Above 1, the prediction is led away from what it is without the prompt (Ho & Salimans, 2022). */
  guidance_scale?: number;
  /** The scheduler, where it is not to be the model's. */
  scheduler?: string;
  /** Pixels, for models that draw more sizes than one. */
  width?: number;
  height?: number;
  /** An image to begin from, of the size that is drawn. */
  image?: Pixels;
  /** How much of the way from noise is gone anew with `image`: 0 keeps it, 1 draws as if it were not there. */
  strength?: number;
  /** `width` × `height` bytes, 255 where `image` is drawn anew, 0 where it stays. */
  mask?: Uint8Array;
  /** How many times the image is shown before it is done; what the model's safety checker objects to is not. */
  previews?: number;
}

export type DrawStep =
  | { type: 'progress'; step: number; steps: number; preview?: Pixels }
  | {
      type: 'image';
      pixels: Pixels;
      /** Whether the model's safety checker objects. */
      flagged: boolean;
      steps: number;
      guidance_scale: number;
      scheduler: string;
    };

const LARGEST_SIDE = 2048;

/**
 * Draws one image. Images are always drawn one by one, so that what else is drawn changes none of their bytes.
 *
 * Steps run one at a time, with a `progress` after each; when the signal aborts, the next step does not begin.
 * @throws InvalidInputError for options that cannot be met
 */
export async function* drawImage(
  model: ImageModel,
  options: DrawOptions,
  signal: AbortSignal,
): AsyncGenerator<DrawStep, void> {
  const { seed, previews = 0 } = options;
  const { steps, guidance, width, height, strength } = settle(model, options);
  const scheduler = createScheduler(model.schedulerConfig, steps, options.scheduler);
  const noise = noiseSource(seed);
  const [columns, rows] = [width / model.factor, height / model.factor];
  const length = model.channels * columns * rows;
  const guided = guidance > 1 && !model.readsGuidance;
  const given = await model.encodePrompts([
    ...(guided ? [{ text: options.negative_prompt ?? '', param: 'negative_prompt' }] : []),
    { text: options.prompt, param: 'prompt' },
  ]);

  const first = noise(length);
  const clean = options.image && (await model.encode!(toPlanes(options.image), width, height));
  const begin = clean ? firstEvaluation(scheduler, strength) : 0;
  const evaluations = scheduler.timesteps.length;
  let sample: Float32Array;
  if (!clean) sample = first.map((value) => value * scheduler.initNoiseSigma);
  else if (begin === evaluations) sample = clean;
  else sample = scheduler.addNoise(clean, first, begin);
  const cells = clean && options.mask && maskCells(options.mask, width, height, model.factor);
  const shown = new Set(
    Array.from(
      { length: previews },
      (_, i) => begin + Math.round(((i + 1) * (evaluations - begin)) / (previews + 1)),
    ),
  );
  const toPixels = async (planes: Float32Array) =>
    fromPlanes(await model.decode(planes, columns, rows), width, height);
  for (let i = begin; i < evaluations; i++) {
    signal.throwIfAborted();
    const input = scheduler.scaleInput(sample, i);
    const output = await predict(model, input, scheduler.timesteps[i], given, {
      guided,
      guidance,
      dims: [model.channels, rows, columns],
    });
    const next = scheduler.step(output, i, sample, () => noise(length));
    sample = next.sample;
    if (cells) {
      // What is kept follows the given image at the same noise level.
      const kept = i + 1 < evaluations ? scheduler.addNoise(clean, first, i + 1) : clean;
      sample = mix(sample, kept, cells);
    }
    const done = i + 1 - begin;
    let preview = shown.has(i + 1) && i + 1 < evaluations ? await toPixels(next.denoised) : undefined;
    if (preview && model.checker && (await isUnsafe(model.checker, preview))) preview = undefined;
    yield { type: 'progress', step: done, steps: evaluations - begin, ...(preview && { preview }) };
  }
  signal.throwIfAborted();
  const drawn = await toPixels(sample);
  const pixels = options.image && options.mask ? composite(drawn, options.image, options.mask) : drawn;
  yield {
    type: 'image',
    pixels,
    flagged: model.checker ? await isUnsafe(model.checker, pixels) : false,
    steps,
    guidance_scale: guidance,
    scheduler: schedulerName(model.schedulerConfig, options.scheduler),
  };
}

/** The options in numbers, checked. */
function settle(model: ImageModel, options: DrawOptions) {
  const { image, mask, seed, strength = mask ? 1 : 0.8 } = options;
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32)
    throw new InvalidInputError(`seed is a whole number from 0 to 4294967295, not ${seed}.`, {
      param: 'seed',
    });
  const steps = options.num_inference_steps ?? model.defaults.num_inference_steps;
  const guidance = options.guidance_scale ?? model.defaults.guidance_scale;
  const { width = model.width, height = model.height } = options;
  if (model.fixed && (width !== model.width || height !== model.height)) {
    throw new InvalidInputError(`${model.id} draws ${model.width}x${model.height}, not ${width}x${height}.`, {
      param: 'size',
    });
  }
  for (const side of [width, height]) {
    if (
      !Number.isInteger(side) ||
      side < model.multiple ||
      side > LARGEST_SIDE ||
      side % model.multiple !== 0
    ) {
      throw new InvalidInputError(
        `${model.id} draws sides that are multiples of ${model.multiple}, up to ${LARGEST_SIDE} pixels, not ${width}x${height}.`,
        { param: 'size' },
      );
    }
  }
  if (!Number.isFinite(guidance) || guidance < 0 || guidance > 100)
    throw new InvalidInputError(`guidance_scale is a number from 0 to 100, not ${guidance}.`, {
      param: 'guidance_scale',
    });
  if (!(strength >= 0 && strength <= 1))
    throw new InvalidInputError(`strength is a number from 0 to 1, not ${strength}.`, { param: 'strength' });
  if (mask && !image)
    throw new InvalidInputError('A mask needs an image that it lies on.', { param: 'mask' });
  if (options.strength !== undefined && !image)
    throw new InvalidInputError('strength goes with an image to begin from.', { param: 'strength' });
  if (image && !model.encode)
    throw new InvalidInputError(`${model.id} has no encoder for images, so it cannot begin from one.`, {
      param: 'image',
    });
  if (image && (image.width !== width || image.height !== height)) {
    throw new InvalidInputError(
      `The image has ${image.width}x${image.height} pixels, what is drawn ${width}x${height}.`,
      { param: 'image' },
    );
  }
  if (mask && mask.length !== width * height)
    throw new InvalidInputError(`The mask has ${mask.length} pixels, the image ${width * height}.`, {
      param: 'mask',
    });
  return { steps, guidance, width, height, strength };
}

/** Where an image to begin from joins: `strength` of the steps are left, beginning where a step begins. */
function firstEvaluation({ timesteps }: Scheduler, strength: number): number {
  const begin = Math.round(timesteps.length * (1 - strength));
  if (begin === 0 || begin >= timesteps.length) return Math.min(begin, timesteps.length);
  // A method of two evaluations a step (Heun's) asks twice at the level that a step ends at: begin with the second.
  return timesteps[begin] === timesteps[begin + 1] ? begin + 1 : begin;
}

async function predict(
  model: ImageModel,
  input: Float32Array,
  timestep: number,
  given: Conditioning,
  { guided, guidance, dims }: { guided: boolean; guidance: number; dims: readonly number[] },
): Promise<Float32Array> {
  if (!guided) return await model.denoise(input, [1, ...dims], timestep, given, guidance);
  const twice = new Float32Array(2 * input.length);
  twice.set(input);
  twice.set(input, input.length);
  const both = await model.denoise(twice, [2, ...dims], timestep, given, guidance);
  const out = new Float32Array(input.length);
  for (let i = 0; i < out.length; i++) out[i] = both[i] + guidance * (both[input.length + i] - both[i]);
  return out;
}

/** `drawn` where the cells are 1, `kept` where they are 0, in every channel. */
function mix(drawn: Float32Array, kept: Float32Array, cells: Float32Array): Float32Array {
  const out = new Float32Array(drawn.length);
  for (let i = 0; i < out.length; i++) {
    const share = cells[i % cells.length];
    out[i] = share * drawn[i] + (1 - share) * kept[i];
  }
  return out;
}

/** Whether a safety checker objects to an image of any size. */
export async function isUnsafe(checker: SafetyChecker, { width, height, data }: Pixels): Promise<boolean> {
  const { size, mean, deviation } = checker;
  const input = new Float32Array(3 * size * size);
  for (let y = 0; y < size; y++) {
    const [top, bottom, down] = place(y, size, height);
    for (let x = 0; x < size; x++) {
      const [left, right, across] = place(x, size, width);
      for (let c = 0; c < 3; c++) {
        const at = (row: number, column: number) => data[3 * (row * width + column) + c];
        const upper = at(top, left) * (1 - across) + at(top, right) * across;
        const lower = at(bottom, left) * (1 - across) + at(bottom, right) * across;
        const value = (upper * (1 - down) + lower * down) / 255;
        input[c * size * size + y * size + x] = (value - mean[c]) / deviation[c];
      }
    }
  }
  const image = Float32Array.from(data, (value) => value / 255);
  return checker.isUnsafe(input, image, width, height);
}

/** The two places of a row of `from` that place `i` of `to` lies between, and how far from the first. */
function place(i: number, to: number, from: number): [number, number, number] {
  const at = Math.min(from - 1, Math.max(0, ((i + 0.5) * from) / to - 0.5));
  const low = Math.floor(at);
  return [low, Math.min(low + 1, from - 1), at - low];
}
