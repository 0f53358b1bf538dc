import { readFileSync, writeFileSync } from 'node:fs';
import { extname } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type ImageFormat, imageFormats, schedulerNames } from '../../api/draw.ts';
import type { Size } from '../../service/image-decode.ts';
import { asFile } from '../../service/image-encode.ts';
import { type DrawingOptions, randomSeed, SEEDS, usualFolder } from '../artist.ts';
import { contactSheet, type SheetEntry } from '../contact-sheet.ts';
import { deviceOption } from '../device.ts';
import { printJson } from '../output.ts';
import { createProgress } from '../progress.ts';
import { readPrompt, readStandardInput } from '../prompt.ts';
import { addServerOptions, refuseLocalOptions, type ServerOptions, serverOf } from '../remote/server.ts';
import { pictureFor } from '../terminal-image.ts';

interface Options extends DrawingOptions, ServerOptions {
  output: string;
  n: number;
  seed?: number;
  sheet?: string;
  json?: boolean;
}

/** `wick draw PROMPT -o FILE`: an image of a model, on this machine or of a server. */
export function drawCommand(): Command {
  const command = new Command('draw')
    .description('Draw an image on this machine or a server; terminals that can show it.')
    .argument('[prompt...]', 'what to draw; what is piped follows it')
    .option('-o, --output <file>', 'the file; its ending says the format: png, webp, jpg, avif', 'image.png')
    .option(
      '--model <name>',
      `an image model: a folder of wick's own or a Stable Diffusion export in ONNX (${usualFolder} where none is named), or the name of a server's model`,
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
    .addOption(deviceOption())
    .option('--threads <n>', 'threads of the processor; 0 takes one for each core', whole(0, 1024), 0)
    .option('--variant <name>', 'which graphs of the folder: fp16, quantized, …', '');
  return addServerOptions(command)
    .option('--json', 'print the files and how they were drawn as one line of JSON')
    .action((words: string[], options: Options) => draw(words, options, command));
}

async function draw(words: string[], options: Options, command: Command): Promise<void> {
  const prompts = await promptsOf(words, options);
  const format = formatOf(options.output);
  if (options.mask && !options.image) throw new Error('--mask lies on an image: name it with --image.');
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  const server = serverOf(options);
  if (server) refuseLocalOptions(command, ['device', 'threads', 'variant']);
  // A sheet is put together of what loses nothing.
  const wish = { ...options, format: options.sheet ? ('png' as const) : format };
  const artist = server
    ? (await import('../remote/images.ts')).serverArtist(server, wish)
    : await (await import('../folder-artist.ts')).folderArtist(wish);
  const seed = options.seed ?? (server ? undefined : randomSeed());
  const show = options.json ? undefined : pictureFor(process.stdout);
  const tasks = prompts.flatMap((prompt) =>
    Array.from({ length: options.n }, (_, i) => ({
      prompt,
      seed: seed === undefined ? undefined : (seed + i) % SEEDS,
    })),
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
      const update = (step: number, steps: number) =>
        progress.update(i + step / steps, `step ${step}/${steps}`);
      const { file, ...how } = await artist.draw(task, update, stop.signal);
      const seconds = Number(((performance.now() - began) / 1000).toFixed(2));
      if (how.flagged) console.error(`wick: the model's safety checker objects to "${task.prompt}".`);
      if (options.sheet) {
        sheet.push({ picture: file, label: task.prompt });
        files.push({ ...task, ...how, seconds });
        continue;
      }
      progress.finish();
      const name = numbered(options.output, i);
      files.push({ file: name, ...how, seconds });
      const figures = [
        `${how.width}x${how.height}`,
        how.seed !== undefined && `seed ${how.seed}`,
        how.steps !== undefined && `${how.steps} steps`,
        `${seconds} s`,
      ];
      await save(name, file, `${name}: ${figures.filter(Boolean).join(', ')}`);
    }
    progress.finish();
    if (options.sheet) {
      const picture = await contactSheet(sheet);
      const origin = { model: artist.id() ?? server?.base.host ?? '', prompt: prompts.join('; ') };
      const file = await asFile(picture, { format, quality: options.quality, origin });
      const of = seed === undefined ? '' : `, the first of seed ${seed}`;
      await save(options.output, file, `${options.output}: ${sheet.length} images${of}`);
    }
  } catch (error) {
    progress.finish();
    if (!stop.signal.aborted) throw error;
    process.exitCode = 130;
  }
  if (options.json) {
    const what = options.sheet ? { sheet: options.output, prompts } : { prompt: prompts[0] };
    printJson({ model: artist.id(), ...what, images: files });
  }
  await artist.release();
}

/** What to draw: the words, a line of stdin, or each line of the sheet's file. */
async function promptsOf(words: string[], { sheet }: Options): Promise<string[]> {
  if (!sheet) return [(await readPrompt(words)).trim()];
  if (words.length > 0) throw new Error('--sheet names a file of prompts; others are not taken beside it.');
  const text = sheet === '-' ? await readStandardInput() : readFileSync(sheet, 'utf8');
  const prompts = text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  if (prompts.length === 0) throw new Error(`${sheet} has no line with a prompt.`);
  return prompts;
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
