/** What the Worker answers about images, as types of the wire; see `answers.ts`. */
import { z } from 'zod';
import { imageFormats } from './draw.ts';
import { errorSchema } from './errors.ts';
import { wickFiltered } from './trace.ts';

const count = z.number().int().min(0);
const seconds = count.describe('Unix seconds.');
const size = z.string().describe('Width and height in pixels, as in `256x256`.');
const seed = count.describe('Draws this image again.');

const usage = z.object({
  total_tokens: count,
  input_tokens: count,
  output_tokens: count,
  input_tokens_details: z.object({ text_tokens: count, image_tokens: count }),
  images: count,
  steps: count.describe('Of all images together.'),
  seconds: z.number().optional().describe('Of drawing.'),
});

const image = z.object({
  b64_json: z.string().optional().describe('The file in base64.'),
  url: z.string().optional().describe('Where the file can be had for a while.'),
  seed,
});

export const imagesAnswer = z.object({
  created: seconds,
  model: z.string(),
  output_format: z.string(),
  data: z.array(image),
  size,
  expires_at: seconds.optional(),
  usage,
  wick: wickFiltered
    .extend({
      withheld: z
        .array(count)
        .optional()
        .describe('Which of the images, from 0 on, were drawn and are not sent: a safety checker objects.'),
    })
    .optional(),
});

/** An event of a stream; its type begins with `image_generation` or `image_edit`. */
export const imageEvent = z.object({
  type: z.string(),
  created_at: seconds.optional(),
  b64_json: z.string().optional(),
  image_index: count.optional(),
  partial_image_index: count.optional(),
  output_format: z.string().optional(),
  size: size.optional(),
  quality: z.string().optional(),
  background: z.string().optional(),
  seed: seed.optional(),
  usage: usage.optional(),
  status: z.enum(['queued', 'running']).optional(),
  place: count.optional().describe('In the line; 1 is next.'),
  seconds: z.number().optional().describe('Until it is drawn, as far as is known.'),
  step: count.optional(),
  steps: count.optional(),
  n: count.optional(),
  error: errorSchema.optional(),
});

export const jobAnswer = z.object({
  id: z.string(),
  object: z.literal('image.job'),
  status: z.enum(['queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired']),
  created: seconds,
  expires_at: seconds,
  model: z.string(),
  n: count,
  place: count.nullish().describe('In the line, while it is queued; 1 is next.'),
  seconds: z.number().nullish(),
  image_index: count.optional(),
  step: count.optional(),
  steps: count.optional(),
  images: count.optional().describe('Drawn so far, while it runs.'),
  output_format: z.string().optional(),
  size: size.optional(),
  data: z.array(image).optional(),
  usage: usage.optional(),
  error: errorSchema.optional(),
  wick: wickFiltered.optional(),
});

/** What `/image` tells of an image in the place of its bytes. */
export const imageAddressAnswer = z.object({
  model: z.string(),
  url: z.string().describe('Where the image can be had at any time.'),
  seed,
  size: size.optional(),
  format: z.enum(Object.keys(imageFormats) as [string, ...string[]]),
});
/** The data of the events `progress`, `image` and `error` of `/image`. */
export const imageProgress = z.union([
  z.object({ status: z.literal('queued'), place: count, seconds: z.number() }),
  z.object({ status: z.literal('running'), step: count, steps: count }),
  imageAddressAnswer,
  z.object({ error: errorSchema }),
]);
