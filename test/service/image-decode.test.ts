import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodeGiven } from '../../src/service/image-decode.ts';

const size = { width: 8, height: 8 };
const base64 = async (file: Buffer | Promise<Buffer>) => (await file).toString('base64');
const decode = async (image: Buffer | Promise<Buffer>, mask?: Buffer | Promise<Buffer>) =>
  decodeGiven({ image: await base64(image), ...(mask && { mask: await base64(mask) }) }, () => size);

const flat = (background: string, width = 16, height = 16, channels: 3 | 4 = 3) =>
  sharp({ create: { width, height, channels, background } });

/** Left half one colour, right half another, each as [r, g, b, a]. */
function halves(left: number[], right: number[], width = 16, height = 16) {
  const data = Buffer.alloc(width * height * 4);
  for (let i = 0; i < width * height; i++) data.set(i % width < width / 2 ? left : right, 4 * i);
  return sharp(data, { raw: { width, height, channels: 4 } });
}

const [red, green, blue] = [
  [255, 0, 0, 255],
  [0, 255, 0, 255],
  [0, 0, 255, 255],
];
const [white, black, clear] = [
  [255, 255, 255, 255],
  [0, 0, 0, 255],
  [0, 0, 0, 0],
];

const pixel = ({ data, width }: { data: Uint8Array; width: number }, x: number, y: number) => [
  ...data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3),
];

function pngOf(width: number, height: number): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc32(body), body.length + 4);
    return out;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.alloc(1000))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

describe('images that are given', () => {
  it.each([
    ['png', flat('#ff0000').png()],
    ['jpeg', flat('#ff0000').jpeg()],
    ['webp', flat('#ff0000').webp()],
    ['avif', flat('#ff0000').avif()],
    ['gif', flat('#ff0000').gif()],
    ['tiff', flat('#ff0000').tiff()],
    ['16-bit png', flat('#ff0000').toColourspace('rgb16').png()],
    ['palette png', flat('#ff0000').png({ palette: true })],
    ['one pixel', flat('#ff0000', 1, 1).png()],
    ['cmyk jpeg', flat('#ff0000').toColourspace('cmyk').jpeg({ quality: 100 })],
  ])('reads %s as three bytes a pixel', async (_, file) => {
    const { image } = await decode(file.toBuffer());
    expect(image).toMatchObject(size);
    expect(image.data.length).toBe(8 * 8 * 3);
    const [r, g, b] = pixel(image, 4, 4);
    expect(r).toBeGreaterThan(200);
    expect(g).toBeLessThan(60);
    expect(b).toBeLessThan(60);
  });

  it('reads grey, with and without transparency', async () => {
    const grey = await decode(flat('#808080').greyscale().png().toBuffer());
    expect(pixel(grey.image, 3, 3)).toEqual([128, 128, 128]);
    const seen = await decode(flat('#80808000', 16, 16, 4).greyscale().toColourspace('b-w').png().toBuffer());
    expect(pixel(seen.image, 3, 3)).toEqual([255, 255, 255]);
  });

  it('turns as the camera says', async () => {
    const turned = halves(red, blue).removeAlpha().withMetadata({ orientation: 3 });
    const { image } = await decode(turned.jpeg().toBuffer());
    expect(pixel(image, 0, 4)[2]).toBeGreaterThan(200);
    expect(pixel(image, 7, 4)[0]).toBeGreaterThan(200);
  });

  it('lays transparency on white, and takes the middle of another shape', async () => {
    const { image } = await decode(halves(clear, black).png().toBuffer());
    expect(pixel(image, 0, 0)).toEqual([255, 255, 255]);
    expect(pixel(image, 7, 0)).toEqual([0, 0, 0]);
    const wide = await decode(halves(red, green, 64, 8).png().toBuffer());
    expect(pixel(wide.image, 0, 4)).toEqual([255, 0, 0]);
    expect(pixel(wide.image, 7, 4)).toEqual([0, 255, 0]);
  });

  it('converts a wide gamut to sRGB', async () => {
    const p3 = await flat('#00ff00').withIccProfile('p3').png().toBuffer();
    expect((await sharp(p3).metadata()).hasProfile).toBe(true);
    const [r, g, b] = pixel((await decode(p3)).image, 4, 4);
    expect([r < 8, g > 247, b < 8]).toEqual([true, true, true]);
  });

  it('takes the first frame of an animation', async () => {
    const frames = Buffer.concat([Buffer.alloc(8 * 8 * 3, 255), Buffer.alloc(8 * 8 * 3, 0)]);
    const animation = sharp(frames, { raw: { width: 8, height: 16, channels: 3, pageHeight: 8 } as never });
    for (const file of [animation.clone().gif(), animation.clone().webp({ lossless: true })]) {
      expect(pixel((await decode(file.toBuffer())).image, 4, 7)).toEqual([255, 255, 255]);
    }
  });

  it.each<[string, () => Buffer | Promise<Buffer>, RegExp]>([
    ['a text', () => Buffer.from('This is not an image at all.'), /not a PNG, JPEG/],
    [
      'an SVG',
      () =>
        Buffer.from(
          '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="/etc/passwd"/></svg>',
        ),
      /not a PNG, JPEG/,
    ],
    ['nothing', () => Buffer.alloc(0), /not a PNG, JPEG/],
    [
      'a text that begins as a PNG',
      () => Buffer.from('\x89PNG\r\n\x1a\nand then words', 'latin1'),
      /cannot be read/,
    ],
    ['a decompression bomb', () => pngOf(30_000, 30_000), /30000x30000 pixels; at most/],
    ['a file that lacks its pixels', () => pngOf(300, 300), /cannot be read/],
    [
      'half a JPEG',
      async () => {
        const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const;
        const file = await sharp({
          create: { width: 256, height: 256, channels: 3, background: '#fff', noise },
        })
          .jpeg()
          .toBuffer();
        return file.subarray(0, file.length / 2);
      },
      /cannot be read/,
    ],
  ])('refuses %s with a sentence', async (_, file, message) => {
    await expect(decode(await file())).rejects.toMatchObject({
      name: 'InvalidInputError',
      message: expect.stringMatching(message),
      param: 'image',
    });
    await expect(decode(flat('#fff').png().toBuffer(), await file())).rejects.toMatchObject({
      name: 'InvalidInputError',
      param: 'mask',
    });
  });
});

describe('masks', () => {
  const picture = () => flat('#336699').png().toBuffer();

  it.each([
    ['transparent is drawn anew', halves(clear, white).png()],
    ['without an alpha channel white is drawn anew', halves(white, black).removeAlpha().png()],
    ['with nothing transparent white is drawn anew', halves(white, black).png()],
    ['in grey, white is drawn anew', halves(white, black).removeAlpha().toColourspace('b-w').png()],
  ])('%s', async (_, file) => {
    const { mask } = await decode(picture(), file.toBuffer());
    expect(mask!.length).toBe(64);
    expect([mask![0], mask![7]]).toEqual([255, 0]);
  });

  it('has to have the size of the image', async () => {
    await expect(decode(picture(), flat('#fff', 8, 16).png().toBuffer())).rejects.toMatchObject({
      message: expect.stringMatching(/8x16.*16x16/),
      param: 'mask',
    });
  });
});
