/** An autoencoder that was exported, as latent diffusion learns and draws with it. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { latentFactor } from '../architecture/autoencoder.ts';
import { type AutoencoderConfig, parseAutoencoderConfig } from '../architecture/diffusion-config.ts';
import { createSession, type RuntimeOptions, Tensor } from './runtime.ts';

/** The parts of a diffusers folder that an autoencoder is. */
export const autoencoderParts = ['vae_encoder', 'vae_decoder'].flatMap((part) => [
  `${part}/config.json`,
  `${part}/model.onnx`,
]);

export interface Autoencoder {
  config: AutoencoderConfig;
  /** Latent places a side. */
  side: number;
  /** Changes when the autoencoder does. */
  fingerprint: string;
  /** Images `[count, channels, size, size]` from -1 to 1 to scaled latents `[count, latent_channels, side, side]`. */
  encode(images: Float32Array, count: number): Promise<Float32Array<ArrayBuffer>>;
  /** The way back. */
  decode(latents: Float32Array, count: number): Promise<Float32Array>;
}

/**
 * Opens the folder that `wick export` made of an autoencoder's run.
 * @throws Error naming what is missing or not right
 */
export async function openAutoencoder(folder: string, options: RuntimeOptions): Promise<Autoencoder> {
  for (const part of autoencoderParts) {
    if (!existsSync(join(folder, part))) {
      throw new Error(
        `${folder} lacks ${part}: wick export makes an autoencoder's folder of a run with the task "image-autoencoder".`,
      );
    }
  }
  const config = parseAutoencoderConfig(
    JSON.parse(readFileSync(join(folder, 'vae_encoder/config.json'), 'utf8')),
  );
  const graphs = ['vae_encoder', 'vae_decoder'].map((part) => readFileSync(join(folder, part, 'model.onnx')));
  const [encoder, decoder] = await Promise.all(graphs.map((graph) => createSession(graph, options)));
  const { in_channels, sample_size, latent_channels, scaling_factor } = config;
  const side = sample_size / latentFactor(config);
  const length = latent_channels * side ** 2;
  const hash = createHash('sha256').update(JSON.stringify(config));
  return {
    config,
    side,
    fingerprint: hash.update(graphs[0]).digest('hex'),
    async encode(images, count) {
      const sample = new Tensor('float32', images, [count, in_channels, sample_size, sample_size]);
      const { latent_parameters } = await encoder.run({ sample });
      const both = latent_parameters.data as Float32Array;
      // Of each image first the means, then the logarithms of the variances.
      return Float32Array.from({ length: count * length }, (_, i) => {
        const [row, place] = [Math.floor(i / length), i % length];
        return scaling_factor * both[2 * row * length + place];
      });
    },
    async decode(latents, count) {
      const unscaled = latents.map((value) => value / scaling_factor);
      const latent_sample = new Tensor('float32', unscaled, [count, latent_channels, side, side]);
      return (await decoder.run({ latent_sample })).sample.data as Float32Array;
    },
  };
}
