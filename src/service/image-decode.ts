/** Images that a caller gives, as pixels of the size that a model draws. */
import sharp, { type Metadata, type Sharp } from 'sharp';
import type { Pixels } from '../generation/image/pixels.ts';
import { InvalidInputError } from '../generation/parameters.ts';

export interface Size {
  width: number;
  height: number;
}

/** What a drawing begins from. */
export interface GivenImages {
  image: Pixels;
  /** `width` × `height` bytes, 255 where the image is drawn anew. */
  mask?: Uint8Array;
}

/** Pixels of a file that is decoded: a phone's photograph stays below, a small file that would fill memory does not. */
const PIXEL_LIMIT = 50_000_000;

type Param = 'image' | 'mask';

/** The first bytes, in hexadecimal, of each format that is read. Libraries for any other, as SVG, never see a caller's bytes. */
const signatures: readonly { format: string; hex: RegExp }[] = [
  { format: 'png', hex: /^89504e470d0a1a0a/ },
  { format: 'jpeg', hex: /^ffd8ff/ },
  { format: 'webp', hex: /^52494646.{8}57454250/ },
  { format: 'gif', hex: /^47494638(?:37|39)61/ },
  { format: 'heif', hex: /^.{8}66747970/ },
  { format: 'tiff', hex: /^(?:49492a00|4d4d002a)/ },
];

/**
 * Decodes an image, and a mask that lies on it: turned as a camera says, first frame, sRGB, on white, and cut to the
 * middle where the shape differs.
 * @param given files in base64; of the mask what is transparent (or, where nothing is, white) is drawn anew
 * @param sizeFor the size to draw, told the image's own
 * @throws InvalidInputError for what is no image, is damaged or too large, or a mask of another size than the image
 */
export async function decodeGiven(
  given: { image: string; mask?: string },
  sizeFor: (image: Size) => Size,
): Promise<GivenImages> {
  const image = await open(given.image, 'image');
  const mask = given.mask === undefined ? undefined : await open(given.mask, 'mask');
  if (mask && (mask.size.width !== image.size.width || mask.size.height !== image.size.height)) {
    throw new InvalidInputError(
      `The mask has ${show(mask.size)} pixels and the image ${show(image.size)}: they have to be of one size.`,
      { param: 'mask' },
    );
  }
  const size = sizeFor(image.size);
  const data = await bytesOf(
    image.pipeline
      .flatten({ background: '#ffffff' })
      .resize({ ...size, fit: 'cover', kernel: 'lanczos3' })
      .toColourspace('srgb'),
    'image',
  );
  return {
    image: { ...size, data },
    ...(mask && {
      mask: maskOf(
        await bytesOf(
          // Linear, for other kernels swing beyond the edge of a mask.
          mask.pipeline
            .toColourspace('srgb')
            .ensureAlpha()
            .resize({ ...size, fit: 'cover', kernel: 'linear' }),
          'mask',
        ),
      ),
    }),
  };
}

async function open(base64: string, param: Param): Promise<{ pipeline: Sharp; size: Size }> {
  const bytes = Buffer.from(base64, 'base64');
  const head = bytes.subarray(0, 16).toString('hex');
  const known = signatures.find(({ hex }) => hex.test(head));
  if (!known) {
    throw new InvalidInputError(`The ${param} is not a PNG, JPEG, WebP, AVIF, GIF or TIFF file.`, { param });
  }
  let metadata: Metadata;
  try {
    // The header alone is read: an image of any size can be refused by its own numbers.
    metadata = await sharp(bytes, { limitInputPixels: false }).metadata();
  } catch (error) {
    throw unreadable(param, error);
  }
  if (metadata.format !== known.format) throw unreadable(param);
  const size = metadata.autoOrient;
  if (size.width * size.height > PIXEL_LIMIT) {
    throw new InvalidInputError(
      `The ${param} has ${show(size)} pixels; at most ${PIXEL_LIMIT / 1e6} million are read.`,
      { param },
    );
  }
  return {
    pipeline: sharp(bytes, { limitInputPixels: PIXEL_LIMIT, failOn: 'error' }).autoOrient(),
    size,
  };
}

async function bytesOf(pipeline: Sharp, param: Param): Promise<Uint8Array> {
  try {
    const { buffer, byteOffset, byteLength } = await pipeline.raw({ depth: 'uchar' }).toBuffer();
    return new Uint8Array(buffer, byteOffset, byteLength);
  } catch (error) {
    throw unreadable(param, error);
  }
}

function maskOf(rgba: Uint8Array): Uint8Array {
  const mask = new Uint8Array(rgba.length / 4);
  for (let i = 0; i < mask.length; i++) mask[i] = 255 - rgba[4 * i + 3];
  if (mask.some((value) => value > 0)) return mask;
  for (let i = 0; i < mask.length; i++) {
    mask[i] = Math.round(0.299 * rgba[4 * i] + 0.587 * rgba[4 * i + 1] + 0.114 * rgba[4 * i + 2]);
  }
  return mask;
}

const show = ({ width, height }: Size) => `${width}x${height}`;

const unreadable = (param: Param, cause?: unknown) =>
  Object.assign(
    new InvalidInputError(
      `The ${param} cannot be read: the file is damaged, or of a kind that is not known.`,
      {
        param,
      },
    ),
    { cause },
  );
