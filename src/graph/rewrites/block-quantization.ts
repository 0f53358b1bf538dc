/** Rows of weights in blocks of small whole numbers, each block with a scale: how onnxruntime's MatMulNBits stores them. */

export type Bits = 4 | 8;

export interface QuantizedRows {
  /** `[rows, blocks, block·bits/8]`; in a byte of two numbers the first is the lower half. */
  packed: Uint8Array;
  /** `[rows, blocks]` */
  scales: Float32Array;
  /** Blocks of a row; the last is filled up with zeros. */
  blocks: number;
}

/** How far the largest number of a block may be moved off the end of the scale while the best scale is looked for. */
const SHIFTS = { 4: range(-0.9, 0.9, 0.1), 8: range(-0.3, 0.3, 0.1) } as const;

/**
 * Quantises `[rows, columns]` symmetrically: w ≈ scale · (number - 2^(bits-1)). For each block the scale is the one of
 * least squared error among several: the sign is that of the largest weight, which takes the longer end of the range,
 * and for each rounding the best scale follows by least squares.
 *
 * @param block a power of two from 16 on
 * @throws Error if the block is none, or a weight is not finite
 */
export function quantizeRows(
  weights: Float32Array,
  rows: number,
  columns: number,
  { bits, block }: { bits: Bits; block: number },
): QuantizedRows {
  if (block < 16 || !Number.isInteger(Math.log2(block)))
    throw new Error(`A block has 16, 32, 64, … weights, not ${block}.`);
  const blocks = Math.ceil(columns / block);
  const packed = new Uint8Array((rows * blocks * block * bits) / 8);
  const scales = new Float32Array(rows * blocks);
  const codes = new Uint8Array(block);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let i = 0; i < blocks; i++) {
      const from = row * columns + i * block;
      const part = weights.subarray(from, Math.min(from + block, (row + 1) * columns));
      scales[row * blocks + i] = quantizeBlock(part, bits, codes);
      for (let j = 0; j < block; j += 8 / bits)
        packed[at++] = bits === 8 ? codes[j] : codes[j] | (codes[j + 1] << 4);
    }
  }
  return { packed, scales, blocks };
}

/** Writes a block's codes; returns its scale. */
function quantizeBlock(weights: Float32Array, bits: Bits, codes: Uint8Array): number {
  const half = 2 ** (bits - 1);
  codes.fill(half);
  let extreme = 0;
  for (const weight of weights) {
    if (!Number.isFinite(weight))
      throw new Error(`A weight is ${weight}: what is not finite cannot be quantised.`);
    if (Math.abs(weight) > Math.abs(extreme)) extreme = weight;
  }
  if (extreme === 0) return 0;
  let [best, scale, inverse] = [-1, 0, 0];
  for (const shift of SHIFTS[bits]) {
    const candidate = -(half + shift) / extreme;
    let [wq, qq] = [0, 0];
    for (const weight of weights) {
      const q = code(weight * candidate, half);
      wq += weight * q;
      qq += q * q;
    }
    // Σ(w - s·q)² is least at s = Σwq / Σq², where it is Σw² - (Σwq)² / Σq².
    const explained = qq > 0 ? (wq * wq) / qq : 0;
    if (explained > best) [best, scale, inverse] = [explained, wq / qq, candidate];
  }
  for (const [i, weight] of weights.entries()) codes[i] = code(weight * inverse, half) + half;
  return scale;
}

/** The nearest whole number from -half to half - 1. */
const code = (value: number, half: number) => Math.max(-half, Math.min(half - 1, Math.round(value)));

/** The weights that quantised rows stand for, `[rows, columns]`. */
export function dequantizeRows(
  { packed, scales, blocks }: QuantizedRows,
  rows: number,
  columns: number,
  { bits, block }: { bits: Bits; block: number },
): Float32Array {
  const half = 2 ** (bits - 1);
  const out = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const at = row * blocks * block + column;
      const number = bits === 8 ? packed[at] : (packed[at >> 1] >> (4 * (at & 1))) & 15;
      out[row * columns + column] = scales[row * blocks + Math.floor(column / block)] * (number - half);
    }
  }
  return out;
}

function range(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.round((to - from) / step) + 1 }, (_, i) => from + i * step);
}
