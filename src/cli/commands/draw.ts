import { readFileSync, writeFileSync } from 'node:fs';
import { extname } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type ImageFormat, imageFormats, schedulerNames } from '../../api/draw.ts';
import { type DrawOptions, drawImage } from '../../generation/image/pipeline.ts';
import { decodeGiven, type GivenImages, type Size } from '../../service/image-decode.ts';
import { asFile, encodeImage } from '../../service/image-encode.ts';
import { loadImageFolder } from '../../service/image-folder.ts';
import { sizeToDraw, sizeToSend } from '../../service/image-size.ts';
import { type Provider, providers } from '../../service/runtime.ts';
import { contactSheet, type SheetEntry } from '../contact-sheet.ts';
import { printJson } from '../output.ts';
import { createProgress } from '../progress.ts';
import { pictureFor } from '../terminal-image.ts';

interface Options {
  model: string;
  output: string;
  n: number;
  seed?: number;
  steps?: number;
  size?: Size;
  guidance?: number;
  negative?: string;
  scheduler?: string;
  image?: string;
  strength?: number;
  mask?: string;
  quality?: number;
  provider: Provider;
  threads: number;
  variant: string;
  sheet?: string;
  json?: boolean;
}

const SEEDS = 2 ** 32;

/** Pixels of the longer side of a picture of a small model, unless a size is asked for. */
const USUAL_SIDE = 512;

/** `wick draw PROMPT -o FILE`: an image of a model, on this machine. */
export function drawCommand(): Command {
  return new Command('draw')
    .description('Draw an image on this machine; terminals that can show it.')
    .argument('[prompt...]', 'what to draw; read from stdin where there is none')
    .option('-o, --output <file>', 'the file; its ending says the format: png, webp, jpg, avif', 'image.png')
    .option(
      '--model <dir>',
      "an image model: wick's own, or a Stable Diffusion export in ONNX",
      'models/wick-draw',
    )
    .option('-n, --n <n>', 'how many, each with the next seed: image.png, image-2.png, …', whole(1, 1000), 1)
    .option('--sheet <file>', 'draw each line of a text file (- is stdin), all into one picture')
    .option('--seed <n>', 'the same seed gives the same image', whole(0, SEEDS - 1))
    .option('--steps <n>', "steps from noise to image; by default the model's", whole(1, 1000))
    .option('--size <WxH>', 'pixels of the file; a model of one size is scaled to it', size)
    .option('--guidance <scale>', 'how strongly the prompt is followed; 1 draws without guidance', number)
    .option('--negative <text>', 'what the image should not show')
    .addOption(new Option('--scheduler <name>', 'how steps are taken').choices(schedulerNames))
    .option('--image <file>', 'an image to begin from')
    .option('--strength <s>', 'how far that image may be left, from 0 (kept) to 1 (drawn anew)', number)
    .option('--mask <file>', 'where it is drawn anew: transparent, or white')
    .option('--quality <percent>', 'of webp, jpg and avif', whole(0, 100))
    .addOption(new Option('--provider <name>', 'where it runs').choices(providers).default('cpu'))
    .option('--threads <n>', 'threads of the processor; 0 takes one for each core', whole(0, 1024), 0)
    .option('--variant <name>', 'which graphs of the folder: fp16, quantized, …', '')
    .option('--json', 'print the files and how they were drawn as one line of JSON')
    .action(draw);
}

async function draw(words: string[], options: Options): Promise<void> {
  const prompts = await promptsOf(words, options);
  const format = formatOf(options.output);
  const model = await loadImageFolder(options.model, options);
  for (const note of model.notes) console.error(`wick: ${note}`);
  const seed = options.seed ?? Math.floor(Math.random() * SEEDS);
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  const given = await readGiven(options, (image) => sizeToDraw(model, options.size ?? image));
  const drawn = given?.image ?? sizeToDraw(model, options.size ?? model);
  const size = sizeToSend(drawn, options.size ?? (options.sheet ? drawn : usualSize(drawn)));
  const show = options.json ? undefined : pictureFor(process.stdout);
  const tasks = prompts.flatMap((prompt) =>
    Array.from({ length: options.n }, (_, i) => ({ prompt, seed: (seed + i) % SEEDS })),
  );
  const files: object[] = [];
  const sheet: SheetEntry[] = [];
  const progress = createProgress({ label: 'draw', total: tasks.length, unit: 'image' });

  async function save(name: string, file: Buffer, line: string): Promise<void> {
    writeFileSync(name, file);
    if (show) process.stdout.write(await show(file));
    if (!options.json) console.log(line);
  }

  try {
    for (const [i, task] of tasks.entries()) {
      const began = performance.now();
      const settings: DrawOptions = {
        ...task,
        negative_prompt: options.negative,
        num_inference_steps: options.steps,
        guidance_scale: options.guidance,
        scheduler: options.scheduler,
        width: drawn.width,
        height: drawn.height,
        strength: options.strength,
        ...given,
      };
      for await (const step of drawImage(model, settings, stop.signal)) {
        if (step.type === 'progress') {
          progress.update(i + step.step / step.steps, `step ${step.step}/${step.steps}`);
          continue;
        }
        const { pixels, type, ...how } = step;
        const file = await encodeImage(pixels, {
          ...size,
          format: options.sheet ? 'png' : format,
          quality: options.quality,
          origin: { model: model.id, prompt: task.prompt },
          settings: { ...how, seed: task.seed, negative_prompt: options.negative },
        });
        const seconds = Number(((performance.now() - began) / 1000).toFixed(2));
        if (how.flagged) console.error(`wick: the model's safety checker objects to "${task.prompt}".`);
        if (options.sheet) {
          sheet.push({ picture: file, label: task.prompt });
          files.push({ ...task, ...how, seconds });
          continue;
        }
        progress.finish();
        const name = numbered(options.output, i);
        files.push({ file: name, ...size, seed: task.seed, ...how, seconds });
        const line = `${name}: ${size.width}x${size.height}, seed ${task.seed}, ${how.steps} steps, ${seconds} s`;
        await save(name, file, line);
      }
    }
    progress.finish();
    if (options.sheet) {
      const picture = await contactSheet(sheet);
      const origin = { model: model.id, prompt: prompts.join('; ') };
      const file = await asFile(picture, { format, quality: options.quality, origin });
      await save(
        options.output,
        file,
        `${options.output}: ${sheet.length} images, the first of seed ${seed}`,
      );
    }
  } catch (error) {
    progress.finish();
    if (!stop.signal.aborted) throw error;
    process.exitCode = 130;
  }
  if (options.json) {
    const what = options.sheet ? { sheet: options.output, prompts } : { prompt: prompts[0] };
    printJson({ model: model.id, ...what, images: files });
  }
  await model.release();
}

/** What to draw: the words, a line of stdin, or each line of the sheet's file. */
async function promptsOf(words: string[], { sheet }: Options): Promise<string[]> {
  if (!sheet) return [words.length > 0 ? words.join(' ') : (await readAll(process.stdin)).trim()];
  if (words.length > 0) throw new Error('--sheet names a file of prompts; others are not taken beside it.');
  const text = sheet === '-' ? await readAll(process.stdin) : readFileSync(sheet, 'utf8');
  const prompts = text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  if (prompts.length === 0) throw new Error(`${sheet} has no line with a prompt.`);
  return prompts;
}

async function readGiven(
  { image, mask }: Options,
  sizeFor: (image: Size) => Size,
): Promise<GivenImages | undefined> {
  if (!image) {
    if (mask) throw new Error('--mask lies on an image: name it with --image.');
    return undefined;
  }
  const base64 = (file: string) => readFileSync(file).toString('base64');
  return decodeGiven({ image: base64(image), ...(mask && { mask: base64(mask) }) }, sizeFor);
}

/** Small models are scaled up: by a whole factor, to about the usual size. */
function usualSize({ width, height }: Size): Size {
  const factor = Math.max(1, Math.floor(USUAL_SIDE / Math.max(width, height)));
  return { width: width * factor, height: height * factor };
}

/** image.png, image-2.png, image-3.png … */
function numbered(name: string, i: number): string {
  if (i === 0) return name;
  const end = extname(name);
  return `${name.slice(0, name.length - end.length)}-${i + 1}${end}`;
}

function formatOf(file: string): ImageFormat {
  const end = extname(file).slice(1).toLowerCase().replace(/^jpg$/, 'jpeg');
  if (end in imageFormats) return end as ImageFormat;
  throw new Error(`${file} has no ending that says its format: .png, .webp, .jpg or .avif.`);
}

function size(value: string): Size {
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(value) ?? [];
  const sides = { width: Number(width), height: Number(height) };
  if (!(sides.width >= 16 && sides.width <= 4096 && sides.height >= 16 && sides.height <= 4096))
    throw new InvalidArgumentError('It is WIDTHxHEIGHT, each from 16 to 4096, like 512x512.');
  return sides;
}

function number(value: string): number {
  const result = Number(value);
  if (value.trim() === '' || !Number.isFinite(result)) throw new InvalidArgumentError('It is a number.');
  return result;
}

function whole(least: number, most: number) {
  return (value: string): number => {
    const result = Number(value);
    if (!/^\d+$/.test(value) || result < least || result > most)
      throw new InvalidArgumentError(`It is a whole number from ${least} to ${most}.`);
    return result;
  };
}
