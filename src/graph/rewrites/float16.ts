/** IEEE 754 half-precision numbers as 16-bit patterns, for runtimes without a Float16Array. */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Rounds to the nearest half, ties to even; what is too large becomes infinity. */
export function toFloat16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    float[0] = values[i];
    const x = bits[0];
    const sign = (x >>> 16) & 0x8000;
    const magnitude = x & 0x7fffffff;
    if (magnitude > 0x7f800000)
      out[i] = sign | 0x7e00; // NaN
    else if (magnitude >= 0x47800000)
      out[i] = sign | 0x7c00; // infinity, and what is beyond 65504 after rounding
    else if (magnitude >= 0x38800000) {
      const rest = magnitude - 0x38000000;
      out[i] = sign | ((rest + 0xfff + ((rest >>> 13) & 1)) >>> 13);
    } else {
      // A subnormal half counts in steps of 2^-24.
      float[0] = Math.abs(values[i]) * 2 ** 24;
      out[i] = sign | roundEven(float[0]);
    }
  }
  return out;
}

function roundEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** All 65,536 halves as numbers. */
let table: Float32Array | undefined;

export function fromFloat16(halves: Uint16Array): Float32Array {
  table ??= Float32Array.from({ length: 65_536 }, (_, half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >>> 10) & 31;
    const fraction = half & 1023;
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
  const out = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) out[i] = table[halves[i]];
  return out;
}
