import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { captionEncoder } from '../../../src/data/images/caption-tokenizer.ts';
import { captionsOf, KeywordCounts } from '../../../src/data/images/captions.ts';
import {
  dominantColour,
  fromLab,
  hues,
  nameColour,
  recolour,
  toLab,
} from '../../../src/data/images/colour.ts';
import { imageFeature, nearest } from '../../../src/data/images/feature.ts';
import { openImageDataset } from '../../../src/data/images/image-shards.ts';
import { type PrepareImagesOptions, prepareImages } from '../../../src/data/images/prepare-images.ts';
import { createPromptTokenizer } from '../../../src/generation/image/prompt-tokenizer.ts';
import { temporaryFolder } from '../../fixtures/tiny.ts';
import { shapesFolder } from '../../fixtures/tiny-images.ts';

const options = (sources: string[], changes: Partial<PrepareImagesOptions> = {}): PrepareImagesOptions => ({
  sources,
  out: join(temporaryFolder(), 'out'),
  size: 16,
  background: 'ffffff',
  minSide: 32,
  vocabSize: 300,
  contextLength: 12,
  validation: 0,
  recolour: 0,
  keepColours: [],
  seed: 1,
  ...changes,
});

let shapes: string;
beforeAll(async () => {
  shapes = await shapesFolder();
});

const problems = (report: Awaited<ReturnType<typeof prepareImages>>) =>
  report.problems.map(({ kind, source, detail }) => `${kind}: ${source}: ${detail}`).join('\n');

describe('prepareImages', () => {
  it('writes pixels, captions, a tokenizer and a report; the same again for the same seed', async () => {
    const [first, second] = [options([shapes]), options([shapes])];
    const report = await prepareImages(first);
    await prepareImages(second);
    expect(report.images).toEqual({ read: 12, kept: 12, train: 12, validation: 0 });
    const names = readdirSync(first.out).sort();
    expect(names).toContain('report.html');
    for (const name of names) {
      if (!name.startsWith('report'))
        expect(readFileSync(join(first.out, name))).toEqual(readFileSync(join(second.out, name)));
    }
    const data = openImageDataset(first.out);
    const split = data.split('train');
    const place = split.records.findIndex(({ file }) => file === 'red-square.png');
    const pixels = split.pixels(place);
    const at = (x: number, y: number) => [0, 1, 2].map((c) => pixels[c * 256 + y * 16 + x]);
    expect(at(0, 0)).toEqual([255, 255, 255]);
    expect(at(8, 8)).toEqual([0xe0, 0x20, 0x20]);
    expect(split.records[place].captions).toContain('a red square');
    expect(readFileSync(join(first.out, 'report.html'), 'utf8')).toMatch(
      /12 of 12 images.*data:image\/webp;base64/s,
    );
  });

  it('shows things in other colours too, and says so in their captions', async () => {
    const some = options([shapes], { recolour: 2, keepColours: ['shape=circle'] });
    const report = await prepareImages(some);
    expect(report.images.train).toBe(12 + 8 * 2);
    const data = openImageDataset(some.out);
    const split = data.split('train');
    for (const [i, { captions, file }] of split.records.entries()) {
      const pixels = split.pixels(i);
      const middle = nameColour(toLab(pixels[8 * 17], pixels[256 + 8 * 17], pixels[512 + 8 * 17]));
      const said = [...hues, ...['black', 'white']].find((hue) =>
        captions.some((caption) => caption.includes(hue)),
      );
      expect(said, file).toBe(middle);
    }
  });

  it('holds out only what may be held out', async () => {
    const some = options([shapes], { validation: 0.99, holdOut: 'shape=circle' });
    await prepareImages(some);
    const data = openImageDataset(some.out);
    const held = data.split('validation').records.map(({ file }) => file);
    expect(held.length).toBeGreaterThan(0);
    expect(held.every((file) => file.endsWith('circle.png'))).toBe(true);
  });

  it('names what is broken and goes on', async () => {
    const folder = temporaryFolder();
    const good = await sharp(join(shapes, 'red-circle.png')).toBuffer();
    const write = (name: string, data: Uint8Array | string) => writeFileSync(join(folder, name), data);
    write('good.png', good);
    write('again.webp', await sharp(good).webp({ quality: 90 }).toBuffer());
    write('text.png', 'this is no image');
    write('empty.png', '');
    write('cut.png', good);
    truncateSync(join(folder, 'cut.png'), Math.floor(good.length / 2));
    write('tiny.png', await sharp(good).resize(8).png().toBuffer());
    write(
      'blank.png',
      await sharp({ create: { width: 64, height: 64, channels: 3, background: 'white' } })
        .png()
        .toBuffer(),
    );
    write(
      'large.jpg',
      await sharp(join(shapes, 'blue-square.png'))
        .resize(700)
        .flatten({ background: 'white' })
        .jpeg()
        .toBuffer(),
    );
    const rows = [
      ...[
        'good.png',
        'again.webp',
        'text.png',
        'empty.png',
        'cut.png',
        'tiny.png',
        'blank.png',
        'large.jpg',
      ].map((file) => ({ file, caption: file })),
      { file: 'absent.png', caption: 'x' },
      { file: '../../../etc/passwd', caption: 'x' },
      { file: 'good.png' },
      { caption: 'no file' },
      { file: 'good.png', caption: 7 },
    ];
    write('captions.jsonl', `${rows.map((row) => JSON.stringify(row)).join('\n')}\n{"file": broken\n\n`);
    const some = options([folder]);
    const report = await prepareImages(some);
    expect(report.images).toMatchObject({ read: 8, train: 2 });
    expect(report.dropped.map(({ reason, count }) => [reason, count]).sort()).toEqual([
      ['a duplicate', 1],
      ['one colour all over', 1],
      ['smaller than 32 pixels', 1],
      ['unreadable', 3],
    ]);
    expect(problems(report)).toMatch(/unreadable: text\.png/);
    expect(problems(report)).toMatch(/unreadable: cut\.png/);
    expect(problems(report)).toMatch(/nothing found: .*#9: There is no image absent\.png/);
    expect(problems(report)).toMatch(/nothing found: .*#10: There is no image \.\.\/\.\.\/\.\.\/etc\/passwd/);
    expect(problems(report)).toMatch(/broken record: .*#11: .*has no "caption"/);
    expect(problems(report)).toMatch(/broken record: .*#12: .*has no "file"/);
    expect(problems(report)).toMatch(/broken record: .*#13: caption/);
    expect(problems(report)).toMatch(/broken record: .*#14: The line is not JSON/);
  });

  it('takes captions from text files and from file names', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'more'));
    writeFileSync(join(folder, 'red_circle-1.png'), await sharp(join(shapes, 'red-circle.png')).toBuffer());
    writeFileSync(join(folder, 'more', 'b.png'), await sharp(join(shapes, 'blue-square.png')).toBuffer());
    writeFileSync(join(folder, 'more', 'b.txt'), 'A square as blue as the sea.\n');
    const some = options([folder]);
    await prepareImages(some);
    const captions = openImageDataset(some.out)
      .split('train')
      .records.map(({ captions }) => captions);
    expect(captions).toEqual([['A square as blue as the sea.'], ['red circle 1']]);
  });

  it('writes nothing where nothing is left, and does not touch what is not its own', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'a.png'), 'no image');
    const some = options([folder, '/nowhere']);
    await expect(prepareImages(some)).rejects.toThrow(
      /No image is left to learn from, of 1 read: 1 unreadable\. The first problem: .*(a\.png|nowhere)/,
    );
    expect(existsSync(some.out)).toBe(false);
    await expect(prepareImages(options([shapes], { out: folder }))).rejects.toThrow(/not empty/);
  });
});

describe('captions', () => {
  it('keep skin tones with what they belong to', () => {
    const captions = captionsOf('waving hand: dark skin tone', ['hand', 'wave'], new KeywordCounts());
    expect(captions).toContain('waving hand with dark skin');
    expect(captions.every((caption) => caption.includes('dark skin'))).toBe(true);
  });

  it('ask by the name at least as often as by keywords, and leave a keyword to the image that it names', () => {
    const counts = new KeywordCounts();
    counts.add('poodle', ['dog', 'curly', 'poodle']);
    counts.add('dog', ['pet']);
    const captions = captionsOf('poodle', ['dog', 'curly', 'poodle'], counts, { colour: 'white' });
    expect(captions).not.toContain('a dog');
    expect(captions).toEqual(expect.arrayContaining(['a white poodle', 'curly', 'poodle, dog, curly']));
    const named = captions.filter((caption) => /^(an? )?(white )?poodle$/.test(caption));
    expect(named.length).toBeGreaterThanOrEqual(captions.length / 2);
    expect(captionsOf('red heart', ['love'], counts, { colour: 'blue', recoloured: true })).toContain(
      'a blue heart',
    );
  });

  it('go on with the vocabulary of a model that is to learn more', async () => {
    const first = options([shapes]);
    await prepareImages(first);
    const again = options([shapes], { tokenizer: first.out, contextLength: 8 });
    await prepareImages(again);
    const { tokenizer, tokenizerConfig } = openImageDataset(again.out);
    expect(tokenizer).toEqual(openImageDataset(first.out).tokenizer);
    expect(tokenizerConfig).toMatchObject({ model_max_length: 8 });
    await expect(prepareImages(options([shapes], { tokenizer: '/nowhere' }))).rejects.toThrow(
      'There is no tokenizer',
    );
  });

  it('are encoded in training as the exported tokenizer encodes prompts', async () => {
    const some = options([shapes]);
    await prepareImages(some);
    const data = openImageDataset(some.out);
    const encode = captionEncoder(data, 12);
    const tokenize = createPromptTokenizer({
      'tokenizer.json': data.tokenizer,
      'tokenizer_config.json': data.tokenizerConfig,
    });
    for (const caption of ['', 'red', 'A Red circle', 'é 12 !?']) {
      expect(tokenize(caption).ids, caption).toEqual([...encode(caption)].map(Number));
    }
  });
});

describe('colours', () => {
  it('survive the way to OKLab and back', () => {
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(byte, byte, byte, (r, g, b) => {
        expect(fromLab(toLab(r, g, b))).toEqual([r, g, b]);
      }),
    );
  });

  it('match the published value of OKLab for pure blue', () => {
    // Ottosson's page and CSS Color 4: oklab(0.452 -0.0325 -0.3115)
    const [l, a, b] = toLab(0, 0, 255);
    expect([l, a, b].map((value) => Number(value.toFixed(3)))).toEqual([0.452, -0.032, -0.312]);
  });

  it.each(hues)('become %s when asked to', (name) => {
    const red = Uint8Array.from({ length: 400 }, (_, i) => [0xe5, 0x39, 0x35, 255][i % 4]);
    const { lab } = dominantColour(red)!;
    expect(dominantColour(recolour(red, lab, name))!.name).toBe(name);
  });
});

describe('imageFeature', () => {
  it('finds an image among others, also scaled and re-encoded', async () => {
    const files = readdirSync(shapes).filter((name) => name.endsWith('.png'));
    const features = await Promise.all(files.map((name) => imageFeature(join(shapes, name))));
    for (const [i, name] of files.entries()) {
      const copy = await sharp(join(shapes, name))
        .flatten({ background: 'white' })
        .resize(40)
        .jpeg({ quality: 80 })
        .toBuffer();
      expect(nearest(await imageFeature(copy), features, 1)).toEqual([i]);
    }
  });
});
