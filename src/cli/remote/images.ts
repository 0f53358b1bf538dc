/** An image model behind OpenAI's API. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import sharp from 'sharp';
import { z } from 'zod';
import type { ImageFormat } from '../../api/draw.ts';
import type { Artist, Drawing, DrawingWish } from '../artist.ts';
import { askServer, jsonOf, reasonOf, type Server } from './server.ts';

/** Bytes of an image that is fetched from an address. */
const IMAGE_LIMIT = 40_000_000;

const answer = z.object({
  model: z.string().optional(),
  data: z
    .array(
      z.object({ b64_json: z.string().nullish(), url: z.string().nullish(), seed: z.number().optional() }),
    )
    .min(1),
  usage: z.object({ steps: z.number().optional() }).nullish(),
});

/** The image model that the options name, or the one that the server takes where they name none. */
export function serverArtist(server: Server, options: DrawingWish): Artist {
  let id = options.model;
  return {
    id: () => id,
    async draw(task, _, signal) {
      const response = await askServer(server, ...requestOf(task, options), signal);
      const { success, data } = answer.safeParse(await jsonOf(server, response));
      if (!success)
        throw new Error(`${server.base.host} answers with images in a form that is not OpenAI's.`);
      id = data.model ?? id;
      const [{ b64_json, url, seed }] = data.data;
      if (!b64_json && !url) throw new Error(`${server.base.host} answers without an image.`);
      const file = b64_json ? Buffer.from(b64_json, 'base64') : await fetchImage(server, url!, signal);
      const steps = data.usage?.steps;
      return {
        ...(await asked(server, file, options)),
        ...{ seed: seed ?? task.seed },
        ...(steps !== undefined && { steps }),
      };
    },
    release: async () => {},
  };
}

/** A request for one image. What was not asked for is not named: servers differ in what they know. */
function requestOf(
  { prompt, seed }: { prompt: string; seed?: number },
  { model, steps, size, guidance, negative, scheduler, image, mask, strength, quality, format }: DrawingWish,
): [path: string, body: object] {
  const all = {
    ...{
      model,
      prompt,
      n: 1,
      size: size && `${size.width}x${size.height}`,
      seed,
      steps,
      scheduler,
      strength,
    },
    ...{ guidance_scale: guidance, negative_prompt: negative, output_compression: quality },
    output_format: format === 'png' ? undefined : format,
  };
  const given = Object.entries(all).filter(([, value]) => value !== undefined);
  if (!image) return ['images/generations', Object.fromEntries(given)];
  const form = new FormData();
  for (const [name, value] of given) form.set(name, String(value));
  const file = (path: string) => new File([new Uint8Array(readFileSync(path))], basename(path));
  form.set('image', file(image));
  if (mask) form.set('mask', file(mask));
  return ['images/edits', form];
}

/** An image handed over by its address, which is not told the key. */
async function fetchImage({ base }: Server, url: string, signal: AbortSignal): Promise<Buffer> {
  const address = URL.canParse(url, base) ? new URL(url, base) : undefined;
  if (!address || !/^https?:$/.test(address.protocol))
    throw new Error(`${base.host} hands its image over at an address that is none.`);
  try {
    const response = await fetch(address, { signal });
    if (!response.ok || !response.body) throw new Error(`it answers ${response.status}`);
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of response.body) {
      pieces.push(piece);
      bytes += piece.byteLength;
      if (bytes > IMAGE_LIMIT) throw new Error(`it is larger than ${IMAGE_LIMIT} bytes`);
    }
    return Buffer.concat(pieces);
  } catch (thrown) {
    signal.throwIfAborted();
    throw new Error(`The image at ${address.host} cannot be fetched: ${reasonOf(thrown as Error)}.`, {
      cause: thrown,
    });
  }
}

/** The file in the format that was asked for: made into it where the server knows another one alone. */
async function asked({ base }: Server, file: Buffer, { format, quality }: DrawingWish): Promise<Drawing> {
  const image = sharp(file);
  const {
    width,
    height,
    format: sent,
  } = await image.metadata().catch(() => {
    throw new Error(`${base.host} answers with an image that cannot be read.`);
  });
  if (named(sent) === format) return { file, width, height };
  return { file: await image.keepMetadata().toFormat(format, { quality }).toBuffer(), width, height };
}

/** sharp calls an AVIF by the name of its container. */
const named = (format: string): ImageFormat => (format === 'heif' ? 'avif' : format) as ImageFormat;
