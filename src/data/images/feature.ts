/**
 * A fixed feature of images, by which one is near another: where its colours are and where its edges run. It is
 * computed, not learnt, so that figures made with it can be compared whatever model is measured.
 */
import sharp from 'sharp';
import { toLab } from './colour.ts';

/** Pixels a side that an image is brought to first, and cells a side for colours and for edges. */
const [SIDE, COLOUR_CELLS, EDGE_CELLS, DIRECTIONS] = [48, 12, 6, 8];
/** By how much edges count against colours. */
const EDGE_WEIGHT = 0.5;

/**
 * The feature of an image on white, 720 numbers:
 *
 * 1. mean OKLab of each of 12 × 12 cells, less the mean of white: 432 numbers;
 * 2. for each of 6 × 6 cells the lightness gradients summed by direction, 8 directions over a half turn, the whole
 *    scaled to length 0.5 (histograms of oriented gradients; Dalal & Triggs, 2005): 288 numbers. Colours are scaled to
 *    length 1.
 *
 * @param image what sharp reads
 */
export async function imageFeature(image: Buffer | Uint8Array | string): Promise<Float32Array> {
  const { data } = await sharp(image, { limitInputPixels: 100_000_000, pages: 1 })
    .autoOrient()
    .toColourspace('srgb')
    .flatten({ background: '#ffffff' })
    .resize(SIDE, SIDE, { fit: 'contain', background: '#ffffff' })
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const channels = data.length / (SIDE * SIDE);
  const lab = Array.from({ length: SIDE * SIDE }, (_, i) =>
    channels >= 3
      ? toLab(data[i * channels], data[i * channels + 1], data[i * channels + 2])
      : toLab(data[i * channels], data[i * channels], data[i * channels]),
  );
  const colours = new Float32Array(3 * COLOUR_CELLS ** 2);
  const edges = new Float32Array(DIRECTIONS * EDGE_CELLS ** 2);
  const cell = (x: number, y: number, cells: number) =>
    Math.floor((y * cells) / SIDE) * cells + Math.floor((x * cells) / SIDE);
  const share = (COLOUR_CELLS / SIDE) ** 2;
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const [l, a, b] = lab[y * SIDE + x];
      const at = 3 * cell(x, y, COLOUR_CELLS);
      colours[at] += (l - 1) * share;
      colours[at + 1] += a * share;
      colours[at + 2] += b * share;
      const light = (dx: number, dy: number) =>
        lab[Math.min(SIDE - 1, Math.max(0, y + dy)) * SIDE + Math.min(SIDE - 1, Math.max(0, x + dx))][0];
      const [right, down] = [light(1, 0) - light(-1, 0), light(0, 1) - light(0, -1)];
      const angle = (Math.atan2(down, right) + Math.PI) % Math.PI;
      const direction = Math.min(DIRECTIONS - 1, Math.floor((angle / Math.PI) * DIRECTIONS));
      edges[DIRECTIONS * cell(x, y, EDGE_CELLS) + direction] += Math.hypot(right, down);
    }
  }
  const out = new Float32Array(colours.length + edges.length);
  out.set(scaledTo(colours, 1));
  out.set(scaledTo(edges, EDGE_WEIGHT), colours.length);
  return out;
}

function scaledTo(values: Float32Array, length: number): Float32Array {
  const norm = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm === 0 ? values : values.map((value) => (value * length) / norm);
}

/** Places of the `count` features nearest to one (Euclidean distance), the nearest first. */
export function nearest(feature: Float32Array, among: readonly Float32Array[], count: number): number[] {
  const distances = among.map((other, place) => {
    let sum = 0;
    for (let i = 0; i < feature.length; i++) sum += (feature[i] - other[i]) ** 2;
    return { place, sum };
  });
  distances.sort((a, b) => a.sum - b.sum);
  return distances.slice(0, count).map(({ place }) => place);
}
