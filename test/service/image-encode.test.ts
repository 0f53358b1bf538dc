import { hostname } from 'node:os';
import { crc32 } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { type ImageFormat, imageFormats } from '../../src/api/draw.ts';
import type { Pixels } from '../../src/generation/image/pixels.ts';
import { encodeImage, previewSize } from '../../src/service/image-encode.ts';
import { parametersText, withPngText, xmpPacket } from '../../src/service/image-provenance.ts';

const origin = {
  model: 'wick-draw',
  prompt: 'a red <circle> & a "blue" square\nön two lines 🟥\u0001',
};
const settings = {
  negative_prompt: 'text',
  steps: 20,
  scheduler: 'euler_a',
  guidance_scale: 4.5,
  seed: 42,
};
const formats = Object.keys(imageFormats) as ImageFormat[];

/** Four flat quarters. */
function quarters(side: number): Pixels {
  const colours = [
    [230, 40, 40],
    [40, 200, 40],
    [40, 40, 230],
    [250, 250, 250],
  ];
  const data = new Uint8Array(side * side * 3);
  for (let i = 0; i < side * side; i++) {
    const [x, y] = [i % side, Math.floor(i / side)];
    data.set(colours[2 * Number(y >= side / 2) + Number(x >= side / 2)], 3 * i);
  }
  return { width: side, height: side, data };
}

/** The texts of a PNG by keyword, each chunk's sum checked. */
function pngTexts(png: Buffer): Map<string, string> {
  const texts = new Map<string, string>();
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    const body = png.subarray(at + 4, at + 8 + length);
    expect(png.readUInt32BE(at + 8 + length)).toBe(crc32(body));
    const type = body.subarray(0, 4).toString();
    const [keyword, rest] = split(body.subarray(4));
    if (type === 'tEXt') texts.set(keyword, rest.toString('latin1'));
    if (type === 'iTXt') texts.set(keyword, split(split(rest.subarray(2))[1])[1].toString('utf8'));
    at += length + 12;
  }
  return texts;
}

function split(bytes: Buffer): [string, Buffer] {
  const at = bytes.indexOf(0);
  return [bytes.subarray(0, at).toString('latin1'), bytes.subarray(at + 1)];
}

describe.each(formats)('%s', (format) => {
  it('has its size, its type and its colours', async () => {
    const file = await encodeImage(quarters(64), { format, width: 512, height: 512, origin });
    const { info, data } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
    expect(info).toMatchObject({ width: 512, height: 512, channels: 3 });
    const { format: found, compression } = await sharp(file).metadata();
    expect(found === 'heif' ? compression : found).toBe(format === 'avif' ? 'av1' : format);
    const at = (x: number, y: number) => [...data.subarray(3 * (y * 512 + x), 3 * (y * 512 + x) + 3)];
    const near = (a: number[], b: number[]) => a.every((value, i) => Math.abs(value - b[i]) < 12);
    expect(near(at(64, 64), [230, 40, 40])).toBe(true);
    expect(near(at(448, 64), [40, 200, 40])).toBe(true);
    expect(near(at(64, 448), [40, 40, 230])).toBe(true);
    expect(near(at(448, 448), [250, 250, 250])).toBe(true);
  });

  it('says that a model drew it', async () => {
    const file = await encodeImage(quarters(32), { format, width: 32, height: 32, origin });
    const { xmpAsString } = await sharp(file).metadata();
    expect(xmpAsString).toContain(
      'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"',
    );
    expect(xmpAsString).toContain('xmp:CreatorTool="wick wick-draw"');
    expect(xmpAsString).toContain(
      'a red &lt;circle&gt; &amp; a &quot;blue&quot; square&#10;ön two lines 🟥\ufffd</rdf:li>',
    );
  });

  it('holds nothing of the machine', async () => {
    const file = (await encodeImage(quarters(32), { format, width: 32, height: 32, origin })).toString(
      'latin1',
    );
    expect(file).not.toContain(hostname());
    expect(file).not.toContain(process.cwd());
  });

  it('has previews that are smaller', async () => {
    const size = previewSize({ width: 1024, height: 512 });
    expect(size).toEqual({ width: 256, height: 128 });
    const file = await encodeImage(quarters(64), { format, ...size, fast: true, origin });
    expect(await sharp(file).metadata()).toMatchObject(size);
    expect((await sharp(file).metadata()).xmpAsString).toContain('trainedAlgorithmicMedia');
  });

  it('can be as bad and as good as wanted', async () => {
    const noise = quarters(64);
    noise.data.forEach((value, i) => {
      noise.data[i] = value ^ ((i * 2654435761) >>> 28);
    });
    const bytes = async (quality: number) =>
      (await encodeImage(noise, { format, width: 64, height: 64, quality, origin })).length;
    const [worst, best] = [await bytes(0), await bytes(100)];
    if (format === 'png') expect(worst).toBe(best);
    else expect(worst).toBeLessThan(best);
  });
});

describe('the text of a PNG', () => {
  it('is what image tools show', async () => {
    const file = await encodeImage(quarters(64), {
      format: 'png',
      width: 128,
      height: 128,
      origin,
      settings,
    });
    expect(pngTexts(file).get('parameters')).toBe(
      `${origin.prompt}\nNegative prompt: text\nSteps: 20, Sampler: Euler a, CFG scale: 4.5, Seed: 42, Size: 128x128, Model: wick-draw`,
    );
    expect(
      (await sharp(file).metadata()).comments?.find(({ keyword }) => keyword === 'parameters')?.text,
    ).toContain('Steps: 20');
  });

  it('is read by libpng as Latin-1 and as Unicode', async () => {
    const file = await encodeImage(quarters(8), { format: 'png', width: 8, height: 8, origin });
    for (const text of ['plain', 'Größe\nzwei', 'Größe → 🟥', '']) {
      expect(pngTexts(withPngText(file, 'other', text)).get('other')).toBe(text);
    }
    expect(pngTexts(withPngText(file, 'other', 'a\0b')).get('other')).toBe('a\ufffdb');
  });

  it('leaves out a negative prompt that was not given', () => {
    const text = parametersText(
      origin,
      { ...settings, negative_prompt: undefined, scheduler: 'new' },
      { width: 1, height: 2 },
    );
    expect(text).not.toContain('Negative');
    expect(text).toContain('Sampler: new');
  });
});

it('enlarges nothing into what is not there: a flat image stays flat', async () => {
  const flat = { width: 64, height: 64, data: new Uint8Array(64 * 64 * 3).fill(77) };
  const file = await encodeImage(flat, { format: 'png', width: 512, height: 768, origin });
  expect(new Set(await sharp(file).raw().toBuffer())).toEqual(new Set([77]));
});

it('escapes what would end an attribute', () => {
  expect(xmpPacket({ model: '"><x', prompt: '' })).toContain('CreatorTool="wick &quot;&gt;&lt;x"');
});
