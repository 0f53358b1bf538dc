/** What a model of images learns from: pixels from -1 to 1, or an autoencoder's latents of them. */
import type { ImageSplit } from '../data/images/image-shards.ts';
import type { Autoencoder } from './autoencoder-folder.ts';

export interface ImageSource {
  channels: number;
  /** Places a side. */
  side: number;
  /** An image's values, `[channels, side, side]`. */
  values(index: number): Float32Array;
}

/** A split's pixels. */
export function pixelSource(split: ImageSplit, side: number): ImageSource {
  return {
    channels: 3,
    side,
    values: (index) => Float32Array.from(split.pixels(index), (byte) => byte / 127.5 - 1),
  };
}

/** Images that the autoencoder reads at a time. */
const AT_ONCE = 16;

/** A split's latents, all computed now and kept: of an image of 64 x 64 pixels they are about 1 kB. */
export async function latentSource(split: ImageSplit, autoencoder: Autoencoder): Promise<ImageSource> {
  const { config, side } = autoencoder;
  const pixels = pixelSource(split, config.sample_size);
  const latents: Float32Array[] = [];
  const length = config.latent_channels * side ** 2;
  for (let first = 0; first < split.records.length; first += AT_ONCE) {
    const count = Math.min(AT_ONCE, split.records.length - first);
    const rows = stack(Array.from({ length: count }, (_, i) => pixels.values(first + i)));
    const encoded = await autoencoder.encode(rows, count);
    for (let i = 0; i < count; i++) latents.push(encoded.subarray(i * length, (i + 1) * length));
  }
  return { channels: config.latent_channels, side, values: (index) => latents[index] };
}

/** Rows of one length, one after the other. */
export function stack(rows: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const out = new Float32Array(rows.length * (rows[0]?.length ?? 0));
  for (const [i, row] of rows.entries()) out.set(row, i * row.length);
  return out;
}
