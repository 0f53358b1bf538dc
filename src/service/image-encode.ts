/** Drawn pixels as files that tell their origin. */
import sharp, { type Sharp } from 'sharp';
import type { ImageFormat } from '../api/draw.ts';
import type { Pixels } from '../generation/image/pixels.ts';
import type { Size } from './image-decode.ts';
import { type Origin, parametersText, type Settings, withPngText, xmpPacket } from './image-provenance.ts';

export interface EncodeOptions extends Size {
  format: ImageFormat;
  /** Percent, for webp, jpeg and avif. */
  quality?: number;
  /** Rather soon than small. */
  fast?: boolean;
  origin: Origin;
  /** Told in a PNG's text; previews leave them out. */
  settings?: Settings;
}

/** Pixels of a preview's longer side at most. */
const PREVIEW_SIDE = 256;

/**
 * Encodes an image at a size, cut to the middle where the shape differs.
 * @param quality 0 to 100; by default what shows no loss at a glance
 */
export async function encodeImage(
  { width, height, data }: Pixels,
  { format, quality, fast = false, origin, settings, ...size }: EncodeOptions,
): Promise<Buffer> {
  const resized = resize(sharp(data, { raw: { width, height, channels: 3 } }), { width, height }, size);
  const file = await asFile(resized, { format, quality, fast, origin });
  return format === 'png' && settings
    ? withPngText(file, 'parameters', parametersText(origin, settings, size))
    : file;
}

/** Encodes a picture that is ready, with its origin in it. */
export function asFile(
  picture: Sharp,
  { format, quality, fast = false, origin }: Pick<EncodeOptions, 'format' | 'quality' | 'fast' | 'origin'>,
): Promise<Buffer> {
  return encoders[format](picture, quality, fast).withXmp(xmpPacket(origin)).toBuffer();
}

/** The size of a preview of an image: its shape, and few pixels. */
export function previewSize({ width, height }: Size): Size {
  const scale = Math.min(1, PREVIEW_SIDE / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

function resize(image: Sharp, from: Size, to: Size): Sharp {
  const factor = Math.max(to.width / from.width, to.height / from.height);
  if (from.width === to.width && from.height === to.height) return image;
  const resized = image.resize({ width: to.width, height: to.height, fit: 'cover', kernel: 'lanczos3' });
  // Enlarged edges are as soft as the pixels were large; sharpened by as much they come nearest to the picture that
  // the small one stands for. Flat areas stay as they are.
  return factor >= 2 ? resized.sharpen({ sigma: Math.min(10, 0.375 * factor), m1: 0, m2: 2 }) : resized;
}

const encoders: Readonly<
  Record<ImageFormat, (image: Sharp, quality: number | undefined, fast: boolean) => Sharp>
> = {
  png: (image, _, fast) => image.png({ compressionLevel: fast ? 3 : 6 }),
  webp: (image, quality = 90, fast) => image.webp({ quality: atLeastOne(quality), effort: fast ? 0 : 4 }),
  jpeg: (image, quality = 90) => image.jpeg({ quality: atLeastOne(quality), chromaSubsampling: '4:4:4' }),
  avif: (image, quality = 70, fast) => image.avif({ quality: atLeastOne(quality), effort: fast ? 0 : 3 }),
};

const atLeastOne = (quality: number) => Math.max(1, quality);
