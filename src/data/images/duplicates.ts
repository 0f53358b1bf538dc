/** Images that look the same, whatever their bytes: found by a perceptual hash. */
import { toLab } from './colour.ts';

const [COLUMNS, ROWS] = [9, 8];
/** How far two cells of the same picture may differ, in OKLab, where black to white is 1. */
const TOLERANCE = 0.03;

interface Fingerprint {
  /** Three words of 64 bits. */
  bits: [bigint, bigint, bigint];
  /** The mean colour of each cell of the grid. */
  cells: Float32Array;
}

/**
 * A "difference hash": for lightness and both colour axes of OKLab, whether a grid of 9 × 8 means rises from left to
 * right. Scaling, re-encoding and slight noise change few of its bits.
 * @param chw pixels `[3, size, size]`
 */
export function fingerprint(chw: Uint8Array, size: number): Fingerprint {
  const count = size * size;
  const cells = new Float32Array(COLUMNS * ROWS * 3);
  const pixels = new Float32Array(COLUMNS * ROWS);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const i = y * size + x;
      const cell = Math.floor((y * ROWS) / size) * COLUMNS + Math.floor((x * COLUMNS) / size);
      const lab = toLab(chw[i], chw[count + i], chw[2 * count + i]);
      pixels[cell]++;
      for (let c = 0; c < 3; c++) cells[3 * cell + c] += lab[c];
    }
  }
  for (let i = 0; i < cells.length; i++) cells[i] /= Math.max(1, pixels[Math.floor(i / 3)]);
  const bits = [0, 1, 2].map((channel) => {
    let word = 0n;
    for (let row = 0; row < ROWS; row++) {
      for (let column = 0; column + 1 < COLUMNS; column++) {
        const at = 3 * (row * COLUMNS + column) + channel;
        // Flat areas are equal up to noise: only a clear rise counts.
        word = (word << 1n) | (cells[at + 3] > cells[at] + TOLERANCE ? 1n : 0n);
      }
    }
    return word;
  }) as Fingerprint['bits'];
  return { bits, cells };
}

/** Remembers images and finds the one that a new one repeats. About 1 kB an image. */
export class SeenImages {
  readonly #byWord = new Map<string, { cells: Float32Array; name: string }[]>();

  /** The name of an image seen before that looks like this one; otherwise remembers this one. */
  repeats({ bits, cells }: Fingerprint, name: string): string | undefined {
    const keys = bits.map((word, i) => `${i}:${word}`);
    for (const key of keys) {
      const like = this.#byWord.get(key)?.find((seen) => sameCells(seen.cells, cells));
      if (like) return like.name;
    }
    // All three words of a near copy rarely change: one that stays is enough to find it by.
    for (const key of keys) {
      const list = this.#byWord.get(key);
      if (list) list.push({ cells, name });
      else this.#byWord.set(key, [{ cells, name }]);
    }
    return undefined;
  }
}

function sameCells(a: Float32Array, b: Float32Array): boolean {
  for (let i = 0; i < a.length; i++) if (Math.abs(a[i] - b[i]) > TOLERANCE) return false;
  return true;
}
