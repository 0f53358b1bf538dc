/**
 * OpenAI's wire format for images (https://platform.openai.com/docs/api-reference/images): requests checked, and what
 * answers are made of. Parameters that are not served are refused by name.
 */
import { z } from 'zod';
import { type DrawParameters, drawParameters, type ImageFormat, imageFormats } from './draw.ts';
import { BadRequest, parse } from './errors.ts';
import { callerParameters } from './openai-parameters.ts';
import { readOptions } from './options.ts';
import { wellFormed, withoutNulls } from './parameters.ts';

/** Pixels of an image's side, at least and at most. */
const side = { least: 64, most: 2048 };

const size = z
  .string('expected a size such as "256x256", or "auto"')
  .transform((text, context): { width?: number; height?: number } => {
    if (text === 'auto') return {};
    const [width, height] = /^(\d{1,9})x(\d{1,9})$/.exec(text)?.slice(1).map(Number) ?? [0, 0];
    if ([width, height].every((pixels) => pixels >= side.least && pixels <= side.most))
      return { width, height };
    context.addIssue(
      `expected a size such as "256x256", each side from ${side.least} to ${side.most} pixels, or "auto"`,
    );
    return z.NEVER;
  });

const prompt = wellFormed(4_000).refine((text) => text.trim() !== '', 'expected a description of an image');
const model = z.string('expected the name of a model').min(1).max(200);
const { width: _, height: __, ...drawing } = drawParameters.shape;
/** Of these the model knows one way alone. */
const onlyAuto = z.literal(
  'auto',
  'expected "auto": the model has one way of drawing, and no other to choose',
);

const streamOptions = z.strictObject({ include_progress: z.boolean().optional() });

export const imageRequestSchema = z
  .strictObject({
    ...drawing,
    steps: drawing.num_inference_steps,
    model,
    size,
    response_format: z.enum(['b64_json', 'url']),
    stream: z.boolean(),
    /** wick's own: whether a stream has events of its progress, too. */
    stream_options: streamOptions,
    ...callerParameters,
    quality: onlyAuto,
    style: onlyAuto,
    background: onlyAuto,
    moderation: onlyAuto,
  })
  .partial()
  .extend({ prompt });

/** The form of `POST /v1/images/edits`. */
export const editForm = imageRequestSchema.extend({ image: z.file(), mask: z.file().optional() });

/** The query string of both routes: whether the answer is to be a job. */
export const imageRouteOptions = z.strictObject({ async: z.enum(['1', '0', 'true', 'false']).optional() });

/** Parameters of OpenAI's that wick knows and does not serve. */
const unserved = Object.fromEntries(
  ['input_fidelity'].map((name) => [name, 'is a parameter that wick does not serve']),
);

/** What a request asks for, whichever route it came by. */
export interface ImageRequest {
  /** The service's default where there is none. */
  model?: string;
  prompt: string;
  parameters: DrawParameters & { output_format: ImageFormat; n: number };
  /** How images are handed over; undefined where the request leaves it open. */
  delivery?: 'b64_json' | 'url';
  stream: boolean;
  includeProgress: boolean;
}

/**
 * The body of `POST /v1/images/generations`.
 * @throws BadRequest naming what is wrong
 */
export function parseImageRequest(body: unknown): ImageRequest {
  const request = imageRequest(body, { width: 256, height: 256 });
  if (request.parameters.strength !== undefined) {
    throw new BadRequest('`strength` needs an image to begin from, which POST /v1/images/edits takes.', {
      param: 'strength',
    });
  }
  return request;
}

/**
 * The text fields of `POST /v1/images/edits`. Without a size, the image's own is for the service to keep.
 * @throws BadRequest naming what is wrong
 */
export function parseEditFields(fields: Readonly<Record<string, string>>): ImageRequest {
  const texts = new URLSearchParams(fields);
  const inner = new URLSearchParams();
  for (const name of Object.keys(fields)) {
    const option = /^stream_options\[(\w+)\]$/.exec(name)?.[1];
    if (!option) continue;
    inner.append(option, fields[name]);
    texts.delete(name);
  }
  const stream_options = readOptions(inner, streamOptions);
  return imageRequest(
    { ...readOptions(texts, imageRequestSchema), ...(inner.size > 0 && { stream_options }) },
    {},
  );
}

function imageRequest(body: unknown, usualSize: { width?: number; height?: number }): ImageRequest {
  const given = parse(imageRequestSchema, withoutNulls(body), unserved);
  const { prompt, model, size, response_format, stream = false, stream_options, steps, ...others } = given;
  const { user, safety_identifier, metadata, quality, style, background, moderation, ...parameters } = others;
  if (steps !== undefined && parameters.num_inference_steps !== undefined) {
    throw new BadRequest('`steps` and `num_inference_steps` are one parameter; give one of them.', {
      param: 'steps',
    });
  }
  const { output_format = 'png', output_compression, partial_images } = parameters;
  refuseLossyPng(output_format, output_compression, 'output_compression');
  if (partial_images && !stream) {
    throw new BadRequest('`partial_images` needs `stream`: there is nowhere else to send them.', {
      param: 'partial_images',
    });
  }
  if (stream && response_format === 'url') {
    throw new BadRequest('`response_format` "url" is not for a stream, which carries its images itself.', {
      param: 'response_format',
    });
  }
  return {
    model,
    prompt,
    parameters: {
      ...parameters,
      ...(size ?? usualSize),
      ...(steps !== undefined && { num_inference_steps: steps }),
      output_format,
      n: parameters.n ?? 1,
    },
    delivery: response_format,
    stream,
    includeProgress: stream_options?.include_progress ?? false,
  };
}

export const imageOptions = z
  .strictObject({
    seed: drawing.seed,
    size,
    steps: drawing.num_inference_steps,
    guidance: drawing.guidance_scale,
    negative: drawing.negative_prompt,
    scheduler: drawing.scheduler,
    compression: drawing.output_compression,
    format: drawing.output_format,
    model,
  })
  .partial()
  .extend({ prompt });

/**
 * What people ask `/image` for: one image.
 * @param wanted the format that the address names, and the one that the caller likes best
 * @param texts options as they stand in an address or a form
 * @param values options as they stand in JSON, which count before the others
 * @throws BadRequest naming the option that is not known or not right
 */
export function parseImageOptions(
  prompt: string,
  wanted: { ending?: ImageFormat; accepted: ImageFormat },
  texts: URLSearchParams,
  values: Readonly<Record<string, unknown>> = {},
): ImageRequest {
  const given = { ...readOptions(texts, imageOptions), ...values, prompt };
  const { size, steps, guidance, negative, compression, format, model, ...rest } = parse(imageOptions, given);
  if (format && wanted.ending && format !== wanted.ending)
    throw new BadRequest(`\`format\` is ${format}, and the address ends in another.`, { param: 'format' });
  const output_format = wanted.ending ?? format ?? wanted.accepted;
  const { prompt: _, ...own } = rest;
  refuseLossyPng(output_format, compression, 'compression');
  const parameters = {
    ...own,
    num_inference_steps: steps,
    guidance_scale: guidance,
    negative_prompt: negative,
    output_compression: compression,
    ...(size ?? { width: 256, height: 256 }),
    output_format,
    n: 1,
  };
  return { model, prompt, parameters: withoutUndefined(parameters), stream: false, includeProgress: false };
}

/** The path and query at which an image that `parseImageOptions` read can be had again, when it was drawn from a seed. */
export function imageAddress({ model, prompt, parameters }: ImageRequest, seed: number): string {
  const { width, height, output_format } = parameters;
  const options = withoutUndefined({
    seed,
    size: width === undefined ? 'auto' : `${width}x${height}`,
    steps: parameters.num_inference_steps,
    guidance: parameters.guidance_scale,
    negative: parameters.negative_prompt,
    scheduler: parameters.scheduler,
    compression: parameters.output_compression,
    model,
  });
  const query = new URLSearchParams(Object.entries(options).map(([name, value]) => [name, String(value)]));
  return `/image/${encodeURIComponent(prompt)}.${output_format}?${query}`;
}

function refuseLossyPng(format: ImageFormat, compression: number | undefined, param: string): void {
  if (format !== 'png' || compression === undefined || compression === 100) return;
  throw new BadRequest(`\`${param}\` is for webp, jpeg and avif: a png loses nothing.`, { param });
}

/** Formats by the endings of file names. */
export const formatOfEnding: Readonly<Record<string, ImageFormat>> = {
  ...(Object.fromEntries(Object.keys(imageFormats).map((format) => [format, format])) as Record<
    ImageFormat,
    ImageFormat
  >),
  jpg: 'jpeg',
};

/** What was spent. A diffusion model has no tokens to count on its way out: images and steps tell what it did. */
export interface ImageUsage {
  total_tokens: number;
  input_tokens: number;
  output_tokens: number;
  input_tokens_details: { text_tokens: number; image_tokens: number };
  images: number;
  steps: number;
  /** Of drawing, where the whole is told. */
  seconds?: number;
}

/** The usage of some images of `steps` steps each. */
export function imageUsage(
  promptTokens: number,
  images: number,
  steps: number,
  seconds?: number,
): ImageUsage {
  return {
    total_tokens: promptTokens,
    input_tokens: promptTokens,
    output_tokens: 0,
    input_tokens_details: { text_tokens: promptTokens, image_tokens: 0 },
    images,
    steps: images * steps,
    ...(seconds !== undefined && { seconds }),
  };
}

const withoutUndefined = <T extends object>(value: T): T =>
  Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as T;
