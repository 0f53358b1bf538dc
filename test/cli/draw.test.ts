import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, expect, it } from 'vitest';
import { exportModel } from '../../src/training/export.ts';
import { train } from '../../src/training/trainer.ts';
import { temporaryFolder } from '../fixtures/tiny.ts';
import { shapesFolder, tinyDiffusion } from '../fixtures/tiny-images.ts';
import { run } from './run-wick.ts';

let images: string;
let data: string;
let model: string;
const folder = temporaryFolder();
const path = (name: string) => join(folder, name);

/** The way of a picture: prepared by the command, learnt a little, drawn by the command. */
beforeAll(async () => {
  images = await shapesFolder();
  writeFileSync(join(images, 'broken.png'), 'this is text');
  data = join(temporaryFolder(), 'data');
  const wishes = ['--size', '16', '--vocab-size', '300', '--context-length', '12', '--validation', '0'];
  const { code, stdout, stderr } = await run([
    'prepare-images',
    join(images, 'captions.jsonl'),
    '--out',
    data,
    ...wishes,
    '--json',
  ]);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const report = JSON.parse(stdout);
  expect(report.images).toEqual({ read: 12, kept: 12, train: 12, validation: 0 });
  const manifest = JSON.parse(readFileSync(join(data, 'images.json'), 'utf8'));
  const out = temporaryFolder();
  await train({
    ...{ task: 'text-to-image', model: tinyDiffusion({}, manifest.vocab_size), data, out },
    ...{ batch_size: 4, max_steps: 10, learning_rate: 0.01, warmup_steps: 1, evaluation_images: 4 },
  });
  model = path('model');
  await exportModel(out, model);
});

it('draws a file, the same for the same seed, and says how', async () => {
  const draw = (...more: string[]) => run(['draw', 'red', 'square', '--model', model, '--json', ...more]);
  const [first, again, other] = await Promise.all([
    draw('-o', path('a.png'), '--seed', '3', '--steps', '2'),
    draw('-o', path('b.png'), '--seed', '3', '--steps', '2'),
    draw('-o', path('c.png'), '--seed', '4', '--steps', '2', '-n', '2', '--size', '48x32'),
  ]);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(first.stdout)).toMatchObject({
    prompt: 'red square',
    images: [
      { file: path('a.png'), width: 512, height: 512, seed: 3, steps: 2, seconds: expect.any(Number) },
    ],
  });
  expect(again.code).toBe(0);
  expect(readFileSync(path('b.png')).equals(readFileSync(path('a.png')))).toBe(true);
  expect(JSON.parse(other.stdout).images).toMatchObject([{ seed: 4 }, { seed: 5, file: path('c-2.png') }]);
  expect(await sharp(path('c-2.png')).metadata()).toMatchObject({ format: 'png', width: 48, height: 32 });
  expect(readFileSync(path('c-2.png')).equals(readFileSync(path('c.png')))).toBe(false);
});

it('draws each line of a file into one picture', async () => {
  writeFileSync(path('prompts.txt'), 'red square\n\n  red triangle blue triangle <&  \n');
  const sheet = ['--sheet', path('prompts.txt'), '-n', '2', '--steps', '1', '--seed', '1'];
  const { code, stdout } = await run([
    'draw',
    '--model',
    model,
    ...sheet,
    '-o',
    path('sheet.webp'),
    '--json',
  ]);
  expect(code).toBe(0);
  const { prompts, images } = JSON.parse(stdout);
  expect(prompts).toEqual(['red square', 'red triangle blue triangle <&']);
  expect(images).toMatchObject([{ seed: 1 }, { seed: 2 }, { seed: 1, prompt: prompts[1] }, { seed: 2 }]);
  const metadata = await sharp(path('sheet.webp')).metadata();
  expect(metadata).toMatchObject({ format: 'webp', width: 10 + 4 * 138 });
  expect(metadata.xmpAsString).toContain('trainedAlgorithmicMedia');
});

it('begins from an image, keeps what the mask keeps, and reads its prompt from stdin', async () => {
  const image = join(images, 'blue-square.png');
  await sharp({ create: { width: 64, height: 64, channels: 3, background: 'black' } })
    .png()
    .toFile(path('keep-all.png'));
  const given = ['--image', image, '--size', '64x64', '--seed', '1', '--steps', '4'];
  const begin = (...more: string[]) => run(['draw', '--model', model, ...given, ...more], { input: 'red\n' });
  const [masked, free] = await Promise.all([
    begin('--mask', path('keep-all.png'), '-o', path('kept.webp')),
    begin('--strength', '0.5', '-o', path('free.jpg')),
  ]);
  expect(masked).toMatchObject({ code: 0 });
  expect(masked.stdout).toContain(`${path('kept.webp')}: 64x64, seed 1`);
  expect(free.code).toBe(0);
  expect((await sharp(path('free.jpg')).metadata()).format).toBe('jpeg');
  const [kept, original] = await Promise.all(
    [path('kept.webp'), image].map((file) =>
      sharp(file).flatten({ background: 'white' }).removeAlpha().resize(16, 16).raw().toBuffer(),
    ),
  );
  const error = kept.reduce((sum, value, i) => sum + Math.abs(value - original[i]), 0) / kept.length;
  expect(error).toBeLessThan(8);
});

it.each([
  [['draw', 'x', '--model', 'nowhere'], 1, /nowhere/],
  [['draw', 'x', '--model', 'MODEL', '-o', 'x.gif'], 1, /x\.gif has no ending that says its format/],
  [['draw', 'x', '--model', 'MODEL', '--steps', '0'], 2, /whole number from 1 to 1000/],
  [['draw', 'x', '--model', 'MODEL', '--steps', '10000'], 2, /whole number from 1 to 1000/],
  [['draw', 'x', '--model', 'MODEL', '--size', '1x1'], 2, /WIDTHxHEIGHT/],
  [['draw', 'x', '--model', 'MODEL', '--size', '100000x100000'], 2, /WIDTHxHEIGHT/],
  [['draw', 'x', '--model', 'MODEL', '--scheduler', 'magic'], 2, /Allowed choices/],
  [['draw', 'x', '--model', 'MODEL', '--guidance', 'much'], 2, /It is a number/],
  [['draw', 'x', '--model', 'MODEL', '--strength', '2', '--image', 'IMAGE'], 1, /strength/],
  [['draw', 'x', '--model', 'MODEL', '--sheet', 'TEXT'], 1, /others are not taken beside it/],
  [['draw', '--model', 'MODEL', '--sheet', 'nowhere.txt'], 1, /nowhere\.txt/],
  [['draw', 'x', '--model', 'MODEL', '--mask', 'IMAGE'], 1, /--mask lies on an image/],
  [['draw', 'x', '--model', 'MODEL', '--image', 'TEXT'], 1, /The image is not a PNG, JPEG/],
  [['draw', 'x', '--model', 'MODEL', '--image', 'nowhere.png'], 1, /nowhere\.png/],
  [['prepare-images', 'nowhere', '--out', 'x'], 1, /nowhere/],
  [['eval', 'images', 'nowhere', '--model', 'MODEL'], 1, /nowhere/],
] as [string[], number, RegExp][])('%j ends with its code and a sentence', async (args, code, message) => {
  const places: Record<string, string> = {
    MODEL: model,
    IMAGE: join(images, 'blue-square.png'),
    TEXT: join(images, 'broken.png'),
  };
  const result = await run(args.map((arg) => places[arg] ?? arg));
  expect(result.stderr).toMatch(message);
  expect(result.code).toBe(code);
  expect(result.stdout).toBe('');
  expect(existsSync('image.png')).toBe(false);
});

it('says how often a drawing looks most like what its caption belongs to', async () => {
  const { code, stdout } = await run([
    ...['eval', 'images', join(images, 'captions.jsonl'), '--model', model],
    ...['--limit', '6', '--steps', '2', '--where', 'shape=circle', '--json'],
  ]);
  expect(code).toBe(0);
  const result = JSON.parse(stdout);
  expect(result).toMatchObject({ captions: 4, images: 12 });
  for (const name of ['top1', 'top10', 'random_top1', 'random_top10']) {
    expect(result[name]).toBeGreaterThanOrEqual(0);
    expect(result[name]).toBeLessThanOrEqual(1);
  }
  expect(result.top10).toBeGreaterThanOrEqual(result.top1);
});
