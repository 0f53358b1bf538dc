/** Learning to write images down in a few numbers and to read them back: the latents that diffusion may work on. */
import { join } from 'node:path';
import { autoencoderLoss, autoencoderParameters, latentFactor } from '../architecture/autoencoder.ts';
import type { AutoencoderConfig } from '../architecture/diffusion-config.ts';
import { openImageDataset } from '../data/images/image-shards.ts';
import { createRandom, mix, normal } from '../data/random.ts';
import { Graph } from '../graph/graph.ts';
import { toOnnx } from '../graph/onnx.ts';
import type { AutoencoderTrainingConfig } from './config.ts';
import { gridName, writeGrid } from './image-grid.ts';
import { pixelSource, stack } from './image-source.ts';
import { createSession, Tensor } from './runtime.ts';
import type { Feeds, TrainingTask } from './task.ts';

/**
 * Opens the data and describes the task.
 * @throws Error where data and configuration do not fit
 */
export function autoencoderTask(config: AutoencoderTrainingConfig): TrainingTask {
  const { model, batch_size: batch, seed } = config;
  const dataset = openImageDataset(config.data);
  const { size } = dataset.manifest;
  if (size !== model.sample_size || model.in_channels !== 3) {
    throw new Error(
      `The data in ${config.data} has size ${size} and 3 channels, the model's sample_size is ${model.sample_size} and its in_channels ${model.in_channels}: make them equal.`,
    );
  }
  const train = dataset.split('train');
  const validation = dataset.split('validation');
  const images = pixelSource(train, size);
  // Without images held out, the loss is measured on those that are learnt from; the metrics then tell no more.
  const held = validation.records.length > 0 ? pixelSource(validation, size) : images;
  const heldCount = Math.min(config.evaluation_images, validation.records.length || train.records.length);
  return {
    parameters: autoencoderParameters(model),
    loss: (graph) => autoencoderLoss(graph, model, batch),
    batchSize: batch,
    unit: 'image',
    unitsPerExample: 1,
    flopsPerUnit: flopsPerImage(model),
    bound: [],
    fingerprint: dataset.fingerprint,
    batch(first) {
      const random = createRandom(mix(seed ^ mix(first + 1)));
      const chosen = Array.from({ length: batch }, () =>
        images.values(Math.floor(random() * train.records.length)),
      );
      return feeds(chosen, model, () => normal(random));
    },
    async evaluate(session, parameters) {
      let sum = 0;
      for (let first = 0; first < heldCount; first += batch) {
        // The last batch begins again from the front; noise is left out, so that the same is measured each time.
        const rows = Array.from({ length: batch }, (_, i) => held.values((first + i) % heldCount));
        const { loss } = await session.run({ ...parameters, ...feeds(rows, model, () => 0) });
        sum += (loss.data as Float32Array)[0];
      }
      return { validation_loss: sum / Math.ceil(heldCount / batch) };
    },
    lossName: 'Loss (mean squared error and divergence)',
    samples: {
      every: config.sample_every,
      prepare: async (options) => {
        const count = Math.min(config.sample_images, heldCount);
        const session = await createSession(reconstructionGraph(model, count), options);
        const shown = Array.from({ length: count }, (_, i) => held.values(i));
        const given = feeds(shown, model, () => 0);
        return async (parameters, step) => {
          const { reconstruction } = await session.run({ ...parameters, ...given });
          const path = join(config.out, gridName(step));
          await writeGrid(
            path,
            sideBySide(shown, reconstruction.data as Float32Array),
            size,
            2 * Math.ceil(Math.sqrt(count)),
          );
          return path;
        };
      },
    },
  };
}

/** Two for each weight at each place it is used, three times over: forward, and backward to both factors. */
function flopsPerImage(config: AutoencoderConfig): number {
  const { sample_size, block_out_channels } = config;
  return autoencoderParameters(config).reduce((sum, { name, shape }) => {
    const level =
      name.includes('.conv_in.') || name.includes('.conv_out.')
        ? endLevel(name, block_out_channels)
        : Number(/\.(\d+)\./.exec(name)?.[1] ?? 0);
    return sum + 6 * shape.reduce((a, b) => a * b, 1) * (sample_size / 2 ** level) ** 2;
  }, 0);
}

/** The level at which the first and the last convolution of encoder and decoder work. */
const endLevel = (name: string, widths: readonly number[]): number =>
  name === 'encoder.conv_in.weight' || name === 'decoder.conv_out.weight' ? 0 : widths.length - 1;

/** The inputs of the loss graph. */
function feeds(images: readonly Float32Array[], config: AutoencoderConfig, noise: () => number): Feeds {
  const { in_channels, sample_size, latent_channels } = config;
  const side = sample_size / latentFactor(config);
  const shape = [images.length, latent_channels, side, side];
  const length = images.length * latent_channels * side ** 2;
  return {
    image: new Tensor('float32', stack(images), [images.length, in_channels, sample_size, sample_size]),
    noise: new Tensor('float32', Float32Array.from({ length }, noise), shape),
  };
}

function reconstructionGraph(config: AutoencoderConfig, count: number): Uint8Array {
  const graph = new Graph('reconstruction');
  const { reconstruction } = autoencoderLoss(graph, config, count);
  graph.output('reconstruction', reconstruction);
  return toOnnx(graph);
}

/** Each image, and what came back of it at its right. */
function sideBySide(images: readonly Float32Array[], reconstruction: Float32Array): Float32Array {
  return stack(
    images.flatMap((image, i) => [image, reconstruction.subarray(i * image.length, (i + 1) * image.length)]),
  );
}
