/**
 * What the edge and the service say to each other about images: a request to draw, and its events as JSON lines.
 * The last event is `done` or `error`; a stream without either was cut.
 */
import { z } from 'zod';
import { errorSchema } from './errors.ts';
import { number, wellFormed, whole } from './parameters.ts';

/** Formats that an image can be sent in, with the media type of each. */
export const imageFormats = {
  png: 'image/png',
  webp: 'image/webp',
  jpeg: 'image/jpeg',
  avif: 'image/avif',
} as const;
export type ImageFormat = keyof typeof imageFormats;

/** Names of noise schedulers as people type them. */
export const schedulerNames = [
  'ddpm',
  'ddim',
  'euler',
  'euler_a',
  'heun',
  'dpmpp_2m',
  'lcm',
  'flow_euler',
] as const;

/** Bytes of an encoded image that may be given, and characters of its base64 form. */
export const IMAGE_BYTES_LIMIT = 4_000_000;
const base64Image = z
  .string()
  .max(Math.ceil(IMAGE_BYTES_LIMIT / 3) * 4, `expected at most ${IMAGE_BYTES_LIMIT} bytes of image`)
  .regex(/^[A-Za-z0-9+/]+={0,2}$/, 'expected an image file in base64');

const side = whole(64, 2048);

/** The parameters of a drawing, with the range of each; what is left out is the model's choice. */
export const drawParameters = z.strictObject({
  /** What the image should not show. */
  negative_prompt: wellFormed(4_000),
  /** Image i of n is drawn from seed + i; without a seed, from one that the answer tells. */
  seed: whole(0, 2 ** 32 - 1),
  num_inference_steps: whole(1, 200),
  /** How strongly the prompt is followed; 1 draws without guidance. */
  guidance_scale: number(0, 30),
  scheduler: z.enum(schedulerNames),
  n: whole(1, 10),
  /** Pixels of the image that is sent: the model's own size is scaled to it. */
  width: side,
  height: side,
  output_format: z.enum(Object.keys(imageFormats) as [ImageFormat, ...ImageFormat[]]),
  /** Quality in percent, for webp, jpeg and avif. */
  output_compression: whole(0, 100),
  /** Previews while an image is drawn. */
  partial_images: whole(0, 3),
  /** How far a given image may be left: 0 keeps it, 1 draws anew. */
  strength: number(0, 1),
});
export type DrawParameters = Partial<z.infer<typeof drawParameters>>;

export const drawRequest = z.strictObject({
  model: z.string().min(1).max(200),
  prompt: wellFormed(4_000),
  parameters: drawParameters.partial(),
  /** An image to begin from: any file that the service can read, in base64. */
  image: base64Image.optional(),
  /** Where to draw: as large as the image; transparent (or, without transparency, white) is drawn anew. */
  mask: base64Image.optional(),
});
/** The body of the service's `POST /v1/draw`. */
export type DrawRequest = z.infer<typeof drawRequest>;

/** The body of the service's `POST /v1/check-image`; the answer is `{"unsafe": …}`, what a safety checker says. */
export const checkImageRequest = z.strictObject({ image: base64Image });

const index = z.number().int().min(0);
const drawing = [
  /** Sent when it waits, and again whenever its place changes. `place` 1 is next. */
  z.object({ type: z.literal('queued'), place: index, seconds: z.number() }),
  z.object({
    type: z.literal('start'),
    steps: index,
    n: index,
    seed: index,
    /** Tokens of the prompt, where the model counts them. */
    prompt_tokens: index.optional(),
  }),
  /** Image `index` of n has `step` steps of `steps` behind it. */
  z.object({ type: z.literal('progress'), index, step: index, steps: index }),
  z.object({
    type: z.literal('partial'),
    index,
    partial: index,
    b64_json: z.string(),
    format: z.string(),
    width: index,
    height: index,
  }),
  z.object({
    type: z.literal('image'),
    index,
    seed: index,
    b64_json: z.string(),
    format: z.string(),
    width: index,
    height: index,
  }),
  /** Image `index` was drawn and is not sent: a safety checker objects to it. */
  z.object({ type: z.literal('withheld'), index }),
  /** `images` are those that were sent. `seconds` is the time of drawing, without waiting. */
  z.object({ type: z.literal('done'), images: index, seconds: z.number() }),
] as const;

export const drawEvent = z.discriminatedUnion('type', [
  ...drawing,
  z.object({ type: z.literal('error'), status: z.number().int(), error: errorSchema }),
]);
/** What happens to a drawing, in order: queued (perhaps often), start, for each image progress, partial and image, done. */
export type DrawEvent = z.infer<typeof drawEvent>;

/**
 * In the lines of `partial` and `image`, `type` and `index` stand before `b64_json`: a reader then knows what passes
 * by before it has passed.
 *
 * An event's line may be this long: an image in base64 stands in it. In characters.
 */
export const DRAW_LINE_LIMIT = 40_000_000;
