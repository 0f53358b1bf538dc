import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { openImageDataset } from '../../src/data/images/image-shards.ts';
import { prepareImages } from '../../src/data/images/prepare-images.ts';
import { drawImage } from '../../src/generation/image/pipeline.ts';
import { loadImageFolder } from '../../src/service/image-folder.ts';
import { latestCheckpoint, loadCheckpoint } from '../../src/training/checkpoint.ts';
import { exportModel } from '../../src/training/export.ts';
import { readMetrics } from '../../src/training/metrics.ts';
import { train } from '../../src/training/trainer.ts';
import { temporaryFolder } from '../fixtures/tiny.ts';
import { shapesFolder, tinyDiffusion } from '../fixtures/tiny-images.ts';

let data: string;
let vocabulary: number;
beforeAll(async () => {
  data = join(temporaryFolder(), 'shapes');
  await prepareImages({
    ...{ sources: [await shapesFolder()], out: data, size: 16, background: 'ffffff', minSide: 16 },
    ...{ vocabSize: 300, contextLength: 12, validation: 0, recolour: 0, keepColours: [], seed: 1 },
  });
  vocabulary = openImageDataset(data).manifest.vocab_size;
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
    const prompts = { sample_prompts: ['red square', 'blue square'], sample_every: 250, max_steps: 500 };
    await train(
      configuration(
        out,
        { ...prompts, batch_size: 16, checkpoint_every: 500, evaluate_every: 500 },
        { parameterization: 'sample' },
      ),
      {
        threads: 2,
      },
    );
    const picture = join(out, 'samples', 'step-0000500.png');
    expect(existsSync(picture)).toBe(true);
    expect(await sharp(picture).metadata()).toMatchObject({ width: 64, height: 32 });

    const folder = temporaryFolder();
    const { files } = exportModel(out, folder);
    expect(files.map(({ name }) => name)).toContain('transformer/model.onnx');
    const model = await loadImageFolder(folder, { threads: 1 });
    const middle = async (prompt: string) => {
      for await (const step of drawImage(
        model,
        { prompt, seed: 3, num_inference_steps: 8 },
        new AbortController().signal,
      )) {
        if (step.type === 'image')
          return [...step.pixels.data.subarray(3 * (8 * 16 + 8), 3 * (8 * 16 + 8) + 3)];
      }
      throw new Error('There was no image.');
    };
    const [red, blue] = [await middle('red square'), await middle('blue square')];
    expect(red[0]).toBeGreaterThan(red[2] + 60);
    expect(blue[2]).toBeGreaterThan(blue[0] + 60);
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
