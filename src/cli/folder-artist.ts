/** An image model of a folder, on this machine. */
import { readFileSync } from 'node:fs';
import { type DrawOptions, drawImage } from '../generation/image/pipeline.ts';
import { decodeGiven, type GivenImages, type Size } from '../service/image-decode.ts';
import { encodeImage } from '../service/image-encode.ts';
import { loadImageFolder } from '../service/image-folder.ts';
import { sizeToDraw, sizeToSend } from '../service/image-size.ts';
import { type Artist, type DrawingWish, randomSeed, usualFolder } from './artist.ts';
import { chooseDevice } from './device.ts';
import { resolveModel } from './hub/model-cache.ts';

/** Pixels of the longer side of a picture of a small model, unless a size is asked for. */
const USUAL_SIDE = 512;

/** @throws Error if the folder, or an image to begin from, cannot be read */
export async function folderArtist(options: DrawingWish): Promise<Artist> {
  const provider = await chooseDevice(options.device, (line) => console.error(line));
  const model = await loadImageFolder(resolveModel(options.model ?? usualFolder), { ...options, provider });
  for (const note of model.notes) console.error(`wick: ${note}`);
  const given = await readGiven(options, (image) => sizeToDraw(model, options.size ?? image));
  const drawn = given?.image ?? sizeToDraw(model, options.size ?? model);
  const size = sizeToSend(drawn, options.size ?? (options.sheet ? drawn : usualSize(drawn)));
  return {
    id: () => model.id,
    async draw({ prompt, seed = randomSeed() }, progress, signal) {
      const settings: DrawOptions = {
        ...{ prompt, seed },
        negative_prompt: options.negative,
        num_inference_steps: options.steps,
        guidance_scale: options.guidance,
        scheduler: options.scheduler,
        width: drawn.width,
        height: drawn.height,
        strength: options.strength,
        ...given,
      };
      for await (const step of drawImage(model, settings, signal)) {
        if (step.type === 'progress') {
          progress(step.step, step.steps);
          continue;
        }
        const { pixels, type, ...how } = step;
        const file = await encodeImage(pixels, {
          ...size,
          format: options.format,
          quality: options.quality,
          origin: { model: model.id, prompt },
          settings: { ...how, seed, negative_prompt: options.negative },
        });
        return { file, ...size, seed, ...how };
      }
      throw new Error('The drawing ended without an image.');
    },
    release: () => model.release(),
  };
}

async function readGiven(
  { image, mask }: DrawingWish,
  sizeFor: (image: Size) => Size,
): Promise<GivenImages | undefined> {
  if (!image) return undefined;
  const base64 = (file: string) => readFileSync(file).toString('base64');
  return decodeGiven({ image: base64(image), ...(mask && { mask: base64(mask) }) }, sizeFor);
}

/** Small models are scaled up: by a whole factor, to about the usual size. */
function usualSize({ width, height }: Size): Size {
  const factor = Math.max(1, Math.floor(USUAL_SIDE / Math.max(width, height)));
  return { width: width * factor, height: height * factor };
}
