/** Image files made into pixels of one size and colour space. */
import sharp from 'sharp';

export interface StandardImage {
  /** Pixels row by row, four bytes each, sRGB and opacity. */
  rgba: Uint8Array;
  /** The sides that the file had. */
  width: number;
  height: number;
}

/** Pixels that a file may have before it is taken for an attack on memory. */
const PIXEL_LIMIT = 100_000_000;

/**
 * Reads an image file: turned upright, first frame, sRGB, fitted into a square whose rest is transparent.
 * @throws Error if sharp cannot read it
 */
export async function standardise(path: string, size: number): Promise<StandardImage> {
  const image = sharp(path, { limitInputPixels: PIXEL_LIMIT, failOn: 'truncated', pages: 1 });
  const { width, height, orientation = 1 } = await image.metadata();
  const { data } = await image
    .autoOrient()
    .toColourspace('srgb')
    .ensureAlpha()
    .resize(size, size, {
      fit: 'contain',
      background: { r: 255, g: 255, b: 255, alpha: 0 },
      kernel: 'lanczos3',
    })
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const turned = orientation >= 5;
  return { rgba: new Uint8Array(data), width: turned ? height : width, height: turned ? width : height };
}

/** Opaque pixels on a background, channel by channel: `[3, size, size]`. */
export function flatten(rgba: Uint8Array, background: readonly [number, number, number]): Uint8Array {
  const count = rgba.length / 4;
  const out = new Uint8Array(3 * count);
  for (let i = 0; i < count; i++) {
    const alpha = rgba[4 * i + 3] / 255;
    for (let c = 0; c < 3; c++) {
      out[c * count + i] = Math.round(alpha * rgba[4 * i + c] + (1 - alpha) * background[c]);
    }
  }
  return out;
}
