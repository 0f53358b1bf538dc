/** Images side by side in one picture: what numbers do not tell. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import sharp from 'sharp';

/** Scales pixels up without smoothing: what is there is what is seen. */
const ZOOM = 2;

/** Writes images `[count, 3, size, size]`, -1 to 1, as a PNG of `columns` columns. */
export async function writeGrid(
  path: string,
  images: Float32Array,
  size: number,
  columns = Math.ceil(Math.sqrt(images.length / (3 * size ** 2))),
): Promise<void> {
  const plane = size ** 2;
  const count = images.length / (3 * plane);
  const rows = Math.ceil(count / columns);
  const pixels = new Uint8ClampedArray(3 * columns * rows * plane).fill(255);
  for (let i = 0; i < count; i++) {
    const [left, top] = [(i % columns) * size, Math.floor(i / columns) * size];
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        for (let c = 0; c < 3; c++) {
          const value = (images[(3 * i + c) * plane + y * size + x] + 1) * 127.5;
          pixels[3 * ((top + y) * columns * size + left + x) + c] = value;
        }
      }
    }
  }
  mkdirSync(dirname(path), { recursive: true });
  await sharp(pixels, { raw: { width: columns * size, height: rows * size, channels: 3 } })
    .resize(columns * size * ZOOM, undefined, { kernel: 'nearest' })
    .png()
    .toFile(path);
}

/** Where the picture of a step lies in a run's folder. */
export const gridName = (step: number): string => `samples/step-${String(step).padStart(7, '0')}.png`;
