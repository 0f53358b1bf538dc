import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { openImageDataset } from '../../src/data/images/image-shards.ts';
import type { ImageModel } from '../../src/generation/image/image-model.ts';
import { drawImage } from '../../src/generation/image/pipeline.ts';
import { loadImageFolder } from '../../src/service/image-folder.ts';
import { latestCheckpoint, loadCheckpoint } from '../../src/training/checkpoint.ts';
import { exportModel } from '../../src/training/export.ts';
import { pixelSource } from '../../src/training/image-source.ts';
import { readMetrics } from '../../src/training/metrics.ts';
import { train } from '../../src/training/trainer.ts';
import { temporaryFolder } from '../fixtures/tiny.ts';
import { shapesData, tinyDiffusion } from '../fixtures/tiny-images.ts';

let data: string;
let vocabulary: number;
beforeAll(async () => {
  ({ data, vocabulary } = await shapesData());
});

function configuration(
  out: string,
  changes: Record<string, unknown> = {},
  transformer: Record<string, unknown> = {},
) {
  return {
    ...{ task: 'text-to-image', model: tinyDiffusion(transformer, vocabulary), data, out },
    ...{
      batch_size: 12,
      max_steps: 60,
      optimizer: 'muon',
      learning_rate: 0.01,
      warmup_steps: 5,
      ema_decay: 0.9,
    },
    ...{ evaluate_every: 30, checkpoint_every: 20, evaluation_images: 12 },
    ...changes,
  };
}

describe('training on images', () => {
  it.each([
    { prediction_type: 'epsilon' },
    { prediction_type: 'v_prediction' },
    { prediction_type: 'flow_prediction', parameterization: 'sample' },
  ])('learns with %o', async (transformer) => {
    const out = temporaryFolder();
    const result = await train(configuration(out, {}, transformer), { threads: 1 });
    const metrics = readMetrics(out);
    expect(result.validation_loss).toBeLessThan(0.7 * metrics[0].loss);
    expect(result.images).toBe(60 * 12);
    expect(metrics.at(-1)!.validation_loss_by_noise).toHaveLength(8);
    expect(statSync(join(out, 'loss.png')).size).toBeGreaterThan(1000);
  });

  it('goes on from a checkpoint to the same numbers, bit for bit, averages included', async () => {
    const [straight, stopped] = [temporaryFolder(), temporaryFolder()];
    await train(configuration(straight, { max_steps: 30 }), { threads: 1 });
    const stop = new AbortController();
    const schedule = { max_steps: 30 };
    await train(configuration(stopped, schedule), {
      threads: 1,
      signal: stop.signal,
      onProgress: ({ step }) => step === 13 && stop.abort(),
    });
    expect(readMetrics(stopped)).toHaveLength(13);
    await train(configuration(stopped, schedule), { threads: 1 });
    const losses = (folder: string) =>
      readMetrics(folder).map(({ loss, validation_loss }) => [loss, validation_loss]);
    expect(losses(stopped)).toEqual(losses(straight));
    const tensors = (folder: string) => loadCheckpoint(latestCheckpoint(folder)!).tensors;
    expect(tensors(stopped)).toEqual(tensors(straight));
    const name = 'transformer.blocks.0.ff.down.weight';
    expect(tensors(straight).get(`${name}.average`)!.data).not.toEqual(tensors(straight).get(name)!.data);
  });

  it('draws samples, and is exported to a folder that draws what was learnt', async () => {
    const out = temporaryFolder();
    const prompts = { sample_prompts: ['red square', 'blue square'], sample_every: 100, max_steps: 150 };
    await train(configuration(out, prompts, { parameterization: 'sample' }), { threads: 2 });
    const picture = join(out, 'samples', 'step-0000100.png');
    expect(await sharp(picture).metadata()).toMatchObject({ width: 64, height: 32 });

    const folder = temporaryFolder();
    const { files } = await exportModel(out, folder);
    expect(files.map(({ name }) => name)).toContain('transformer/model.onnx');
    const model = await loadImageFolder(folder, { threads: 1 });
    const [red, blue] = [await drawn(model, 'red square'), await drawn(model, 'blue square')];
    expect(meanOf(red, 0) - meanOf(red, 2)).toBeGreaterThan(meanOf(blue, 0) - meanOf(blue, 2) + 40);
    const weight = loadCheckpoint(latestCheckpoint(out)!).tensors.get('transformer.proj_out.weight.average')!;
    const onnx = readFileSync(join(folder, 'transformer/model.onnx'));
    expect(onnx.includes(Buffer.from(weight.data.buffer, weight.data.byteOffset, 256))).toBe(true);
  });

  it('refuses data and configuration that do not fit', async () => {
    const wrong = (changes: object, message: RegExp) =>
      expect(train({ ...configuration(temporaryFolder()), ...changes })).rejects.toThrow(message);
    await wrong(
      { model: tinyDiffusion({ sample_size: 32 }, vocabulary) },
      /has size 16, the model's transformer.sample_size is 32/,
    );
    await wrong({ model: tinyDiffusion({}, 299) }, /vocab_size/);
    await wrong({ data: '/nowhere' }, /holds no images.json: wick prepare-images/);
    await wrong({ noise_level: { mean: 'high' } }, /noise_level/);
    await wrong({ sequence_length: 5 }, /sequence_length/);
  });
});

describe('latent diffusion', () => {
  it('learns an autoencoder, then to draw its latents, and is exported whole', async () => {
    const [runs, folder] = [temporaryFolder(), temporaryFolder()];
    const autoencoder = {
      ...{ task: 'image-autoencoder', data, out: join(runs, 'autoencoder') },
      model: { sample_size: 16, latent_channels: 4, block_out_channels: [8, 16], kl_weight: 0.001 },
      ...{ batch_size: 12, max_steps: 100, learning_rate: 0.01, warmup_steps: 5, ema_decay: 0.9 },
      ...{ evaluate_every: 50, sample_every: 50, sample_images: 4, evaluation_images: 12 },
    };
    const { validation_loss } = await train(autoencoder, { threads: 2 });
    expect(validation_loss).toBeLessThan(0.1 * readMetrics(autoencoder.out)[0].loss);
    const grid = sharp(join(autoencoder.out, 'samples/step-0000100.png'));
    expect(await grid.metadata()).toMatchObject({ width: 2 * 4 * 16, height: 2 * 2 * 16 });
    const parts = join(runs, 'parts');
    await exportModel(autoencoder.out, parts);

    const out = join(runs, 'latents');
    const places = { in_channels: 4, sample_size: 8, patch_size: 2, parameterization: 'sample' };
    const prompts = { sample_prompts: ['red square'], sample_every: 100 };
    await train(configuration(out, { autoencoder: parts, max_steps: 100, ...prompts }, places), {
      threads: 2,
    });
    expect(await sharp(join(out, 'samples/step-0000100.png')).metadata()).toMatchObject({ width: 32 });
    await exportModel(out, folder);

    const model = await loadImageFolder(folder, { threads: 1 });
    expect(model).toMatchObject({ width: 16, height: 16, factor: 2, channels: 4 });
    const [red, blue] = [await drawn(model, 'red circle'), await drawn(model, 'blue circle')];
    expect(meanOf(red, 0) - meanOf(red, 2)).toBeGreaterThan(meanOf(blue, 0) - meanOf(blue, 2) + 20);

    // What goes through encoder and decoder comes back, and the latents have a deviation of 1.
    const image = pixelSource(openImageDataset(data).split('train'), 16).values(0);
    const latents = await model.encode!(image, 16, 16);
    const back = await model.decode(latents, 8, 8);
    const error = back.reduce((sum, value, i) => sum + (value - image[i]) ** 2, 0) / image.length;
    expect(error).toBeLessThan(0.1);
    const deviation = Math.sqrt(latents.reduce((sum, value) => sum + value ** 2, 0) / latents.length);
    expect(deviation).toBeGreaterThan(0.5);
    expect(deviation).toBeLessThan(2);

    await expect(train({ ...configuration(out, { autoencoder: '/nowhere' }, places) })).rejects.toThrow(
      /\/nowhere lacks vae_encoder\/config.json: wick export makes/,
    );
    await expect(
      train(configuration(temporaryFolder(), { autoencoder: parts }, { ...places, sample_size: 16 })),
    ).rejects.toThrow(/has size 8, the model's transformer.sample_size is 16/);
  });
});

async function drawn(model: ImageModel, prompt: string): Promise<Uint8Array | Uint8ClampedArray> {
  const options = { prompt, seed: 3, num_inference_steps: 8 };
  for await (const step of drawImage(model, options, new AbortController().signal))
    if (step.type === 'image') return step.pixels.data;
  throw new Error('There was no image.');
}

const meanOf = (pixels: ArrayLike<number>, channel: number): number => {
  let sum = 0;
  for (let i = channel; i < pixels.length; i += 3) sum += pixels[i];
  return (3 * sum) / pixels.length;
};
