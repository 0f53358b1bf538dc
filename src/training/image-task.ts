/** Learning to draw what a caption says: images are noised to a random level, and the model is asked to see through. */
import { diffusionLoss, diffusionParameters, sharesAt } from '../architecture/diffusion-loss.ts';
import { TIMESTEPS } from '../architecture/diffusion-transformer.ts';
import { countNumbers } from '../architecture/parameters.ts';
import { captionEncoder } from '../data/images/caption-tokenizer.ts';
import { type ImageSplit, openImageDataset } from '../data/images/image-shards.ts';
import { createRandom, mix, normal } from '../data/random.ts';
import { openAutoencoder } from './autoencoder-folder.ts';
import type { ImageTrainingConfig } from './config.ts';
import { type ImageSource, latentSource, pixelSource, stack } from './image-source.ts';
import { type InferenceSession, type RuntimeOptions, Tensor } from './runtime.ts';
import { sampleGrid } from './sample-grid.ts';
import type { Feeds, TrainingTask } from './task.ts';

/** Levels of noise that an evaluation tells apart. */
const LEVELS = 8;

/**
 * Opens the data and describes the task.
 * @throws Error where data and configuration do not fit
 */
export async function imageTask(config: ImageTrainingConfig, options: RuntimeOptions): Promise<TrainingTask> {
  const { model, batch_size: batch } = config;
  const { text_encoder, transformer } = model;
  const dataset = openImageDataset(config.data);
  const { size, vocab_size, context_length } = dataset.manifest;
  const autoencoder = config.autoencoder && (await openAutoencoder(config.autoencoder, options));
  const [side, channels] = autoencoder ? [autoencoder.side, autoencoder.config.latent_channels] : [size, 3];
  const fits: [string, number, string, number][] = [
    ['size', side, 'transformer.sample_size', transformer.sample_size],
    ['channels', channels, 'transformer.in_channels', transformer.in_channels],
    ['vocab_size', vocab_size, 'text_encoder.vocab_size', text_encoder.vocab_size],
    [
      'context_length',
      context_length,
      'text_encoder.max_position_embeddings',
      text_encoder.max_position_embeddings,
    ],
  ];
  for (const [has, a, field, b] of fits) {
    if (a !== b)
      throw new Error(
        `The data in ${config.data} has ${has} ${a}, the model's ${field} is ${b}: make them equal.`,
      );
  }
  if (autoencoder && autoencoder.config.sample_size !== size) {
    throw new Error(
      `The data in ${config.data} has size ${size}, the autoencoder's sample_size is ${autoencoder.config.sample_size}.`,
    );
  }
  const sourceOf = (split: ImageSplit) =>
    autoencoder ? latentSource(split, autoencoder) : pixelSource(split, size);
  const encode = captionEncoder(dataset, context_length);
  const train = dataset.split('train');
  const validation = dataset.split('validation');
  // Without images held out, the loss is measured on those that are learnt from; the metrics then tell no more.
  const shown = validation.records.length >= batch ? validation : train;
  const source = await sourceOf(train);
  const held = validationBatches(shown, shown === train ? source : await sourceOf(shown), config, encode);
  const parameters = diffusionParameters(model);
  return {
    parameters,
    loss(graph) {
      const { loss, losses, parameters } = diffusionLoss(graph, model, batch);
      return { loss, parameters, outputs: { losses } };
    },
    batchSize: batch,
    unit: 'image',
    unitsPerExample: 1,
    flopsPerUnit: flopsPerImage(config),
    bound: ['caption_dropout', 'noise_level'],
    fingerprint: dataset.fingerprint + (autoencoder ? autoencoder.fingerprint : ''),
    batch: batches(train, source, config, encode),
    evaluate: (session, parameters) => evaluate(session, parameters, held),
    lossName: 'Loss (mean squared error)',
    samples:
      config.sample_prompts.length > 0
        ? {
            every: config.sample_every,
            prepare: (options) => sampleGrid(config, encode, autoencoder || undefined, options),
          }
        : undefined,
  };
}

/** 6 for each parameter of a matrix and each token it multiplies: patches in the denoiser, caption tokens in the encoder. */
function flopsPerImage({ model: { text_encoder, transformer } }: ImageTrainingConfig): number {
  const patches = (transformer.sample_size / transformer.patch_size) ** 2;
  const text = text_encoder.max_position_embeddings;
  const matrices = diffusionParameters({ text_encoder, transformer }).filter(({ kind }) => kind === 'matrix');
  const onText = (name: string) => name.startsWith('text_encoder.') || name.endsWith('attn2.kv.weight');
  return (
    6 * matrices.reduce((sum, spec) => sum + countNumbers([spec]) * (onText(spec.name) ? text : patches), 0)
  );
}

interface Example {
  image: Float32Array;
  caption: BigInt64Array;
  timestep: number;
}

/** Images drawn by their weights, each with one of its captions or none, a noise level and noise of its own. */
function batches(
  split: ImageSplit,
  source: ImageSource,
  config: ImageTrainingConfig,
  encode: (caption: string) => BigInt64Array,
): (first: number) => Feeds {
  const { batch_size: batch, seed, caption_dropout, noise_level } = config;
  const choose = weighted(split.records.map(({ weight }) => weight));
  return (first) => {
    const random = createRandom(mix(seed ^ mix(first + 1)));
    const examples = Array.from({ length: batch }, (): Example => {
      const index = choose(random());
      const { captions } = split.records[index];
      const caption = captions[Math.floor(random() * captions.length)];
      const dropped = random() < caption_dropout;
      const level = 1 / (1 + Math.exp(-(noise_level.mean + noise_level.deviation * normal(random))));
      return {
        image: source.values(index),
        caption: encode(dropped ? '' : caption),
        timestep: level * TIMESTEPS,
      };
    });
    return feeds(examples, config, random);
  };
}

/** A function from [0, 1) to places, each as likely as its weight. */
function weighted(weights: readonly number[]): (at: number) => number {
  const sums = new Float64Array(weights.length);
  let sum = 0;
  for (const [i, weight] of weights.entries()) sums[i] = sum += weight;
  return (at) => {
    const target = at * sum;
    let [low, high] = [0, sums.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle] > target) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}

/** The inputs of the loss graph. */
function feeds(examples: readonly Example[], { model }: ImageTrainingConfig, random: () => number): Feeds {
  const { in_channels, sample_size, prediction_type } = model.transformer;
  const batch = examples.length;
  const length = in_channels * sample_size ** 2;
  const noise = Float32Array.from({ length: batch * length }, () => normal(random));
  const shares = examples.map(({ timestep }) => sharesAt(prediction_type, timestep));
  const perImage = (values: number[]) => new Tensor('float32', Float32Array.from(values), [batch]);
  const shape = [batch, in_channels, sample_size, sample_size];
  const captions = new BigInt64Array(examples.flatMap(({ caption }) => [...caption]));
  return {
    image: new Tensor('float32', stack(examples.map(({ image }) => image)), shape),
    noise: new Tensor('float32', noise, shape),
    timestep: perImage(examples.map(({ timestep }) => timestep)),
    image_share: perImage(shares.map(({ image }) => image)),
    noise_share: perImage(shares.map(({ noise }) => noise)),
    input_ids: new Tensor('int64', captions, [batch, captions.length / batch]),
  };
}

/** Fixed images with fixed noise, spread over all levels evenly. */
function validationBatches(
  split: ImageSplit,
  source: ImageSource,
  config: ImageTrainingConfig,
  encode: (caption: string) => BigInt64Array,
): Feeds[] {
  const { batch_size: batch, evaluation_images } = config;
  const count = Math.max(1, Math.floor(Math.min(evaluation_images, split.records.length) / batch));
  return Array.from({ length: count }, (_, part) => {
    const examples = Array.from({ length: batch }, (_, i): Example => {
      const index = (part * batch + i) % split.records.length;
      return {
        image: source.values(index),
        caption: encode(split.records[index].captions[0]),
        timestep: (((i % LEVELS) + 0.5) / LEVELS) * TIMESTEPS,
      };
    });
    return feeds(examples, config, createRandom(mix(config.seed + part)));
  });
}

async function evaluate(session: InferenceSession, parameters: Feeds, batches: readonly Feeds[]) {
  const sums = Array.from({ length: LEVELS }, () => ({ sum: 0, count: 0 }));
  for (const feeds of batches) {
    const losses = (await session.run({ ...parameters, ...feeds })).losses.data as Float32Array;
    for (const [i, loss] of losses.entries()) {
      sums[i % LEVELS].sum += loss;
      sums[i % LEVELS].count++;
    }
  }
  const validation_loss_by_noise = sums.map(({ sum, count }) => sum / Math.max(1, count));
  const seen = sums.filter(({ count }) => count > 0).length;
  return {
    validation_loss: validation_loss_by_noise.reduce((a, b) => a + b, 0) / seen,
    validation_loss_by_noise,
  };
}
