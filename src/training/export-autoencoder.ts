/** The files of an autoencoder: two parts of a diffusers pipeline's folder. */
import { autoencoderParameters, decoderInference, encoderInference } from '../architecture/autoencoder.ts';
import { countNumbers } from '../architecture/parameters.ts';
import { openImageDataset } from '../data/images/image-shards.ts';
import { toOnnx } from '../graph/onnx.ts';
import type { AutoencoderTrainingConfig } from './config.ts';
import { pixelSource } from './image-source.ts';
import { jsonLines, type ModelFiles } from './model-files.ts';
import { createSession, Tensor } from './runtime.ts';

/** Training images over which the deviation of latents is taken. */
const MEASURED = 256;

/** vae_encoder/ and vae_decoder/, with the factor that gives latents of the training data a deviation of 1. */
export async function autoencoderFiles(
  { model, data }: AutoencoderTrainingConfig,
  weights: ReadonlyMap<string, Float32Array>,
  steps: string,
): Promise<ModelFiles> {
  const metadata = { producer: 'wick', steps };
  const encoder = toOnnx(encoderInference(model, weights), metadata);
  const config = { ...model, scaling_factor: 1 / (await deviation(encoder, data)) };
  return {
    parameters: countNumbers(autoencoderParameters(model)),
    write: {
      'vae_encoder/config.json': jsonLines(config),
      'vae_encoder/model.onnx': encoder,
      'vae_decoder/config.json': jsonLines(config),
      'vae_decoder/model.onnx': toOnnx(decoderInference(model, weights), metadata),
    },
    copy: {},
  };
}

/** The root of the mean square of the latents' means. */
async function deviation(encoder: Uint8Array, data: string): Promise<number> {
  const dataset = openImageDataset(data);
  const { size } = dataset.manifest;
  const train = dataset.split('train');
  const images = pixelSource(train, size);
  const session = await createSession(encoder);
  let [sum, count] = [0, 0];
  for (let i = 0; i < Math.min(MEASURED, train.records.length); i++) {
    // Spread over the split, which is in the order of its sources.
    const at = Math.floor((i * train.records.length) / Math.min(MEASURED, train.records.length));
    const { latent_parameters } = await session.run({
      sample: new Tensor('float32', images.values(at), [1, 3, size, size]),
    });
    const both = latent_parameters.data as Float32Array;
    for (const value of both.subarray(0, both.length / 2)) sum += value * value;
    count += both.length / 2;
  }
  await session.release();
  return Math.sqrt(sum / Math.max(1, count));
}
