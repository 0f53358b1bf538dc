import { Command, InvalidArgumentError } from 'commander';
import sharp from 'sharp';
import { imageFeature, nearest } from '../../../data/images/feature.ts';
import { readRows } from '../../../data/images/rows.ts';
import { createRandom, permute } from '../../../data/random.ts';
import { drawImage } from '../../../generation/image/pipeline.ts';
import { loadImageFolder } from '../../../service/image-folder.ts';
import { resolveModel } from '../../hub/model-cache.ts';
import { formatCount, printJson, styled } from '../../output.ts';
import { createProgress } from '../../progress.ts';

interface Options {
  model: string;
  limit: number;
  where?: string;
  steps?: number;
  guidance?: number;
  seed: number;
  json?: boolean;
}

/** `wick eval images`: how often what is drawn looks most like what its caption belongs to. */
export function imagesCommand(): Command {
  return new Command('images')
    .description(
      'Draw captions and look up which of all images is most like each drawing (by colours in 12 x 12 cells and edges in 6 x 6): how often it is one with that caption.',
    )
    .argument('<sources...>', 'JSONL files ({"file", "caption"} or {"file", "name"}), or folders with them')
    .requiredOption('--model <dir>', 'an image model folder')
    .option('--limit <n>', 'draw only so many captions, spread over all', wholeNumber, 500)
    .option('--where <field=value>', 'draw only captions of rows with this value; all images are looked up')
    .option('--steps <n>', "steps of each drawing; by default the model's", wholeNumber)
    .option('--guidance <scale>', "guidance of each drawing; by default the model's", Number)
    .option('--seed <n>', 'the first seed; each drawing has its own', wholeNumber, 1)
    .option('--json', 'print {"top1", "top10", "random_top1", "random_top10", …} as one line of JSON')
    .action(async (sources: string[], options: Options) => {
      const images = await readImages(sources);
      const chosen = spread(
        images.filter((image) => matches(image, options.where)),
        options.limit,
      );
      if (chosen.length === 0) throw new Error('No image has that value.');
      const model = await loadImageFolder(resolveModel(options.model));
      const progress = createProgress({ label: 'draw', total: chosen.length, unit: 'image' });
      const near: number[][] = [];
      for (const [i, { caption }] of chosen.entries()) {
        near.push(
          nearest(
            await drawFeature(),
            images.map(({ feature }) => feature),
            10,
          ),
        );
        progress.update(i + 1, `top-1 ${percent(share(near, chosen, images, 1))}`);

        async function drawFeature(): Promise<Float32Array> {
          const settings = {
            prompt: caption,
            seed: options.seed + i,
            num_inference_steps: options.steps,
            guidance_scale: options.guidance,
          };
          for await (const step of drawImage(model, settings, new AbortController().signal)) {
            if (step.type !== 'image') continue;
            const { data, width, height } = step.pixels;
            return imageFeature(
              await sharp(data, { raw: { width, height, channels: 3 } })
                .png()
                .toBuffer(),
            );
          }
          throw new Error('The drawing ended without an image.');
        }
      }
      progress.finish();
      await model.release();
      // The same drawings held against captions that are not theirs: what chance alone would give.
      const others = shuffled(chosen, options.seed);
      const result = {
        top1: share(near, chosen, images, 1),
        top10: share(near, chosen, images, 10),
        random_top1: share(near, others, images, 1),
        random_top10: share(near, others, images, 10),
        captions: chosen.length,
        images: images.length,
      };
      if (options.json) return printJson(result);
      const line = (name: string, top1: number, top10: number) =>
        console.log(`${name.padEnd(16)} ${percent(top1).padStart(7)} ${percent(top10).padStart(7)}`);
      console.log(styled('bold', `${' '.repeat(16)}   top-1  top-10`));
      line('own caption', result.top1, result.top10);
      line('random caption', result.random_top1, result.random_top10);
      console.log(
        `${formatCount(result.captions)} captions drawn, ${formatCount(result.images)} images looked up.`,
      );
    });
}

interface CaptionedImage {
  caption: string;
  feature: Float32Array;
  fields: Readonly<Record<string, unknown>>;
}

async function readImages(sources: readonly string[]): Promise<CaptionedImage[]> {
  const images: CaptionedImage[] = [];
  const progress = createProgress({ label: 'read', unit: 'image' });
  const problem = (source: string, detail: string) => console.error(`wick: ${source}: ${detail}`);
  for await (const { path, name, title, captions, fields } of readRows(sources, ({ source, detail }) =>
    problem(source, detail),
  )) {
    try {
      images.push({ caption: title ?? captions[0], feature: await imageFeature(path), fields });
    } catch (error) {
      problem(name, (error as Error).message.split('\n')[0]);
    }
    progress.update(images.length);
  }
  progress.finish();
  if (images.length === 0) throw new Error(`No captioned image is in ${sources.join(', ')}.`);
  return images;
}

/** How often the caption stands at one of the `count` nearest images. */
function share(
  near: readonly number[][],
  drawn: readonly CaptionedImage[],
  images: readonly CaptionedImage[],
  count: number,
): number {
  const hits = near.filter((places, i) =>
    places.slice(0, count).some((place) => images[place].caption === drawn[i].caption),
  );
  return hits.length / near.length;
}

function spread<T>(list: readonly T[], limit: number): T[] {
  const count = Math.min(limit, list.length);
  return Array.from({ length: count }, (_, i) => list[Math.floor((i * list.length) / count)]);
}

function shuffled<T>(list: readonly T[], seed: number): T[] {
  const key = Math.floor(createRandom(seed)() * 2 ** 32);
  return list.map((_, i) => list[permute(i, list.length, key)]);
}

function matches({ fields }: CaptionedImage, where: string | undefined): boolean {
  if (!where) return true;
  const at = where.indexOf('=');
  return String(fields[where.slice(0, at)]) === where.slice(at + 1);
}

const percent = (value: number) => `${(100 * value).toFixed(1)} %`;

function wholeNumber(value: string): number {
  if (!/^\d{1,10}$/.test(value) || Number(value) < 1)
    throw new InvalidArgumentError('It is a whole number from 1.');
  return Number(value);
}
