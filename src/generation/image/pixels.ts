/** Images as bytes, and as the numbers that models take. */

/** An image without transparency: three bytes a pixel, row by row. */
export interface Pixels {
  width: number;
  height: number;
  data: Uint8Array;
}

/** Pixels as float32 `[3, height, width]` from -1 (black) to 1. */
export function toPlanes({ width, height, data }: Pixels): Float32Array {
  const count = width * height;
  const out = new Float32Array(3 * count);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) out[c * count + i] = data[3 * i + c] / 127.5 - 1;
  }
  return out;
}

/** float32 `[3, height, width]` as pixels; what lies outside of -1 to 1 is cut off, and NaN is black. */
export function fromPlanes(planes: Float32Array, width: number, height: number): Pixels {
  const count = width * height;
  const data = new Uint8Array(3 * count);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) {
      const value = Math.round((planes[c * count + i] + 1) * 127.5);
      data[3 * i + c] = value > 0 ? (value < 255 ? value : 255) : 0;
    }
  }
  return { width, height, data };
}

/**
 * A mask at the size of latents: for each cell of `factor` × `factor` places the mean of the mask, 0 (keep) to 1 (draw).
 * @param mask bytes, `width` × `height`, 255 where drawn anew
 */
export function maskCells(mask: Uint8Array, width: number, height: number, factor: number): Float32Array {
  const [columns, rows] = [width / factor, height / factor];
  const out = new Float32Array(columns * rows);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      out[Math.floor(y / factor) * columns + Math.floor(x / factor)] += mask[y * width + x];
    }
  }
  const whole = 255 * factor * factor;
  for (let i = 0; i < out.length; i++) out[i] /= whole;
  return out;
}

/** The drawn image where the mask is set, the given one where it is not, mixed in between. */
export function composite(drawn: Pixels, given: Pixels, mask: Uint8Array): Pixels {
  const data = new Uint8Array(drawn.data.length);
  for (let i = 0; i < mask.length; i++) {
    for (let c = 3 * i; c < 3 * i + 3; c++) {
      data[c] = Math.round((mask[i] * drawn.data[c] + (255 - mask[i]) * given.data[c]) / 255);
    }
  }
  return { width: drawn.width, height: drawn.height, data };
}
