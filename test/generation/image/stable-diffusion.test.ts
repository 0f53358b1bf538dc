import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  buildStableDiffusionFolder,
  type FolderOptions,
  shape,
} from '../../../scripts/stable-diffusion-folder.ts';
import { guidanceEmbedding } from '../../../src/generation/image/image-model.ts';
import { noiseSource } from '../../../src/generation/image/noise.ts';
import { type DrawOptions, drawImage, type Pixels } from '../../../src/generation/image/pipeline.ts';
import { toPlanes } from '../../../src/generation/image/pixels.ts';
import { fromFloat16, toFloat16 } from '../../../src/graph/rewrites/float16.ts';
import { findImageFolders, loadImageFolder } from '../../../src/service/image-folder.ts';
import {
  referenceImage,
  referenceLatents,
  referenceNoise,
  referenceStates,
} from '../../fixtures/stable-diffusion-reference.ts';
import { temporaryFolder } from '../../fixtures/tiny.ts';

const side = 4;
const dims = [1, shape.latents, side, side];

async function build(options: FolderOptions) {
  const folder = temporaryFolder();
  const weights = buildStableDiffusionFolder(folder, { sampleSize: side, ...options });
  const half = options.precision === 'fp16';
  // What half precision rounds, the reference has rounded too.
  const stored = Object.fromEntries(
    Object.entries(weights).map(([name, data]) => [name, half ? fromFloat16(toFloat16(data)) : data]),
  ) as typeof weights;
  return {
    folder,
    weights: stored,
    model: await loadImageFolder(folder, { threads: 1 }),
    tolerance: half ? 0.02 : 1e-4,
  };
}

const last = async (model: Awaited<ReturnType<typeof loadImageFolder>>, options: Partial<DrawOptions>) => {
  for await (const step of drawImage(
    model,
    { prompt: 'the red apple', seed: 5, ...options },
    new AbortController().signal,
  ))
    if (step.type === 'image') return step;
  throw new Error('There was no image.');
};

const near = (actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number) => {
  expect(actual.length).toBe(expected.length);
  let worst = 0;
  for (let i = 0; i < actual.length; i++) worst = Math.max(worst, Math.abs(actual[i] - expected[i]));
  expect(worst).toBeLessThan(tolerance);
};

describe.each<FolderOptions>([
  { dialect: 'diffusers' },
  { dialect: 'optimum' },
  { dialect: 'diffusers', precision: 'fp16', externalData: true },
  { dialect: 'optimum', precision: 'fp16' },
  { dialect: 'optimum', kind: 'lcm', externalData: true },
])('a Stable Diffusion folder of %o', (options) => {
  it('gives at each stage the numbers that its networks have by hand', async () => {
    const { weights, model, tolerance } = await build(options);
    expect(model).toMatchObject({
      width: 8 * side,
      height: 8 * side,
      factor: 8,
      channels: 4,
      fixed: false,
      multiple: 8,
    });
    const given = await model.encodePrompts([{ text: 'the red', param: 'prompt' }]);
    // <|startoftext|>, the</w>, red</w>, and ends up to 77.
    const [the, red] = [512 + 3, 512 + 10];
    const ids = [49_406, the, red, ...Array(74).fill(49_407)];
    const states = referenceStates(weights, ids);
    near(given.states.data, states, tolerance);

    const sample = noiseSource(1)(shape.latents * side * side);
    const condition = options.kind === 'lcm' ? guidanceEmbedding(6.5, shape.guidance) : undefined;
    near(
      await model.denoise(sample, dims, 601, given, 7.5),
      referenceNoise(weights, sample, 601, states, condition),
      5 * tolerance,
    );
    near(
      await model.decode(sample, side, side),
      referenceImage(
        weights,
        sample.map((x) => x / 0.18215),
      ),
      5 * tolerance,
    );
    const image = noiseSource(2)(3 * (8 * side) ** 2).map(Math.tanh);
    near(
      await model.encode!(image, 8 * side, 8 * side),
      referenceLatents(weights, image).map((x) => x * 0.18215),
      tolerance,
    );
    await model.release();
  });
});

describe('drawing with Stable Diffusion', () => {
  it('is DDIM with guidance, step by step as by hand', async () => {
    const { weights, model } = await build({ dialect: 'optimum' });
    const steps = 4;
    const { pixels, scheduler } = await last(model, {
      num_inference_steps: steps,
      guidance_scale: 5,
      negative_prompt: 'and',
      scheduler: 'ddim',
    });
    expect(scheduler).toBe('ddim');
    const encode = (text: string) => referenceStates(weights, idsOf(text));
    const [prompt, negative] = [encode('the red apple'), encode('and')];
    // Scaled linear betas, leading spacing with an offset of 1, ending at ᾱ of timestep 0 (set_alpha_to_one is false).
    const products = alphaProducts();
    let x = Float64Array.from(noiseSource(5)(shape.latents * side * side));
    for (let i = steps - 1; i >= 0; i--) {
      const t = (i * 1000) / steps + 1;
      const [now, next] = [products[t], i > 0 ? products[((i - 1) * 1000) / steps + 1] : products[0]];
      const [with_, without] = [prompt, negative].map((states) => referenceNoise(weights, x, t, states));
      x = x.map((value, j) => {
        const noise = without[j] + 5 * (with_[j] - without[j]);
        const clean = (value - Math.sqrt(1 - now) * noise) / Math.sqrt(now);
        return Math.sqrt(next) * clean + Math.sqrt(1 - next) * noise;
      });
    }
    const image = referenceImage(
      weights,
      x.map((value) => value / 0.18215),
    );
    near(toPlanes(pixels), image, 3 / 255);
  });

  it('takes what its makers recommend, and other sizes', async () => {
    const turbo = await build({ kind: 'turbo', precision: 'fp16' });
    expect(await last(turbo.model, {})).toMatchObject({
      steps: 1,
      guidance_scale: 1,
      scheduler: 'euler',
      flagged: false,
    });
    const { pixels } = await last(turbo.model, { width: 48, height: 24 });
    expect([pixels.width, pixels.height, pixels.data.length]).toEqual([48, 24, 48 * 24 * 3]);
    const lcm = await build({ kind: 'lcm', dialect: 'optimum' });
    expect(await last(lcm.model, {})).toMatchObject({ steps: 4, guidance_scale: 8.5, scheduler: 'lcm' });
    expect(lcm.model.readsGuidance).toBe(true);
    const classic = await build({});
    expect(await last(classic.model, {})).toMatchObject({
      steps: 30,
      guidance_scale: 7.5,
      scheduler: 'dpmpp_2m',
    });
    expect(classic.model.notes[0]).toMatch(/PNDMScheduler is not built; DPMSolverMultistepScheduler/);
  });

  it('asks the safety checker, where there is one', async () => {
    const { folder } = await build({ safetyChecker: true });
    const model = await loadImageFolder(folder, { threads: 1 });
    const { isUnsafe } = model.checker!;
    const looked: number[] = [];
    model.checker!.isUnsafe = async (input, ...rest) => {
      looked.push(input.reduce((sum, value) => sum + value, 0));
      return isUnsafe(input, ...rest);
    };
    const results = await Promise.all(
      [1, 2, 3, 4, 5, 6].map((seed) => last(model, { seed, num_inference_steps: 1 })),
    );
    expect(results.map(({ flagged }) => flagged)).toEqual(looked.map((sum) => sum > 0));
  });

  it('begins from an image, and keeps what a mask does not cover', async () => {
    const { model } = await build({});
    const size = 8 * side;
    const image: Pixels = {
      width: size,
      height: size,
      data: Uint8Array.from({ length: 3 * size * size }, (_, i) => (i * 7) % 256),
    };
    const mask = Uint8Array.from({ length: size * size }, (_, i) => (i % size < size / 2 ? 255 : 0));
    const { pixels } = await last(model, { image, mask, num_inference_steps: 3 });
    for (let i = 0; i < mask.length; i++) {
      if (mask[i] === 0)
        expect(pixels.data.subarray(3 * i, 3 * i + 3)).toEqual(image.data.subarray(3 * i, 3 * i + 3));
    }
    const far = async (strength: number) => {
      const { pixels } = await last(model, { image, strength, num_inference_steps: 10, scheduler: 'ddim' });
      return pixels;
    };
    // Nothing is drawn: what comes back is the autoencoder's image of the image.
    const [kept, half] = [await far(0), await far(0.5)];
    expect(kept).not.toEqual(half);
    expect(kept).toEqual((await last(model, { image, strength: 0, seed: 9 })).pixels);
  });
});

describe('a folder that is not right', () => {
  it.each([
    ['model_index.json', /lacks model_index.json/],
    ['scheduler/scheduler_config.json', /lacks scheduler\/scheduler_config.json/],
    ['unet/model.onnx', /lacks transformer\/model.onnx or unet\/model.onnx/],
    ['vae_decoder/model.onnx', /lacks vae_decoder\/model.onnx/],
    ['tokenizer/merges.txt', /neither tokenizer.json nor vocab.json with merges.txt/],
  ])('without %s is refused by name', async (file, message) => {
    const folder = temporaryFolder();
    buildStableDiffusionFolder(folder, { sampleSize: side });
    rmSync(join(folder, file));
    await expect(loadImageFolder(folder)).rejects.toThrow(message);
  });

  it('with a broken graph, or broken JSON, is refused by name', async () => {
    const folder = temporaryFolder();
    buildStableDiffusionFolder(folder, { sampleSize: side });
    writeFileSync(
      join(folder, 'unet/model.onnx'),
      readFileSync(join(folder, 'unet/model.onnx')).subarray(0, 500),
    );
    await expect(loadImageFolder(folder)).rejects.toThrow(/unet\/model.onnx is not an ONNX graph/);
    writeFileSync(join(folder, 'scheduler/scheduler_config.json'), '{"_class_name": ');
    await expect(loadImageFolder(folder)).rejects.toThrow(/scheduler_config.json is not JSON/);
  });

  it('is found among others', () => {
    const folder = temporaryFolder();
    buildStableDiffusionFolder(join(folder, 'b'), { sampleSize: side });
    buildStableDiffusionFolder(join(folder, 'a'), { sampleSize: side });
    expect(findImageFolders(folder)).toEqual([join(folder, 'a'), join(folder, 'b')]);
    expect(findImageFolders(join(folder, 'a'))).toEqual([join(folder, 'a')]);
    expect(() => findImageFolders(join(folder, 'c'))).toThrow(/There is no folder/);
  });
});

function idsOf(text: string): number[] {
  // The fixture's words, by the merges that the folder has.
  const words: Record<string, number> = { the: 512 + 3, and: 512 + 4, apple: 512 + 8, red: 512 + 10 };
  const ids = [49_406, ...text.split(' ').map((word) => words[word])];
  return [...ids, ...Array(77 - ids.length).fill(49_407)];
}

function alphaProducts(): number[] {
  let product = 1;
  return Array.from({ length: 1000 }, (_, i) => {
    const root = Math.sqrt(0.00085) + (i / 999) * (Math.sqrt(0.012) - Math.sqrt(0.00085));
    product *= 1 - root * root;
    return product;
  });
}
