/**
 * Colours as people see and name them, in OKLab (Ottosson, 2020, https://bottosson.github.io/posts/oklab/): what
 * colour an image mostly has, and the same image in another colour.
 */

export type Lab = [lightness: number, a: number, b: number];

const linear = Float64Array.from({ length: 256 }, (_, value) => {
  const c = value / 255;
  return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
});

/** sRGB bytes as OKLab. */
export function toLab(red: number, green: number, blue: number): Lab {
  const [r, g, b] = [linear[red], linear[green], linear[blue]];
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

/** OKLab as sRGB bytes; what lies outside of sRGB is cut off. */
export function fromLab([lightness, a, b]: Lab): [number, number, number] {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    byte(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    byte(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    byte(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

function byte(value: number): number {
  const c = value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055;
  return Math.round(255 * Math.min(1, Math.max(0, c)));
}

/** What people call a colour, at a few of the shades it is called by. */
const shades: Readonly<Record<string, readonly string[]>> = {
  red: ['e53935', 'c62828', 'f44336', 'd32f2f'],
  orange: ['f57c00', 'fb8c00', 'ff6f00'],
  yellow: ['fcc21b', 'fdd835', 'ffeb3b', 'fbc02d'],
  green: ['43a047', '2e7d32', '7cb342', '1b5e20', '00bfa5'],
  blue: ['1e88e5', '1565c0', '42a5f5', '0d47a1', '40c4ff'],
  purple: ['8e24aa', '6a1b9a', '7e57c2', 'ab47bc'],
  pink: ['f06292', 'f48fb1', 'ec407a', 'ff80ab'],
  brown: ['795548', '5d4037', '6d4c41', 'a1673a', '4e342e'],
  black: ['212121', '000000', '37474f'],
  gray: ['9e9e9e', '757575', 'b0bec5', '78909c'],
  white: ['ffffff', 'f5f5f5', 'eceff1'],
};
export const colourNames = Object.keys(shades);

const named = Object.entries(shades).map(([name, list]) => ({
  name,
  shades: list.map((hex) =>
    toLab(...([0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)) as [number, number, number])),
  ),
}));

/** The name of a colour: that of the nearest shade. */
export function nameColour(lab: Lab): string {
  let [best, distance] = ['', Number.POSITIVE_INFINITY];
  for (const { name, shades } of named) {
    for (const shade of shades) {
      const d = (lab[0] - shade[0]) ** 2 + (lab[1] - shade[1]) ** 2 + (lab[2] - shade[2]) ** 2;
      if (d < distance) [best, distance] = [name, d];
    }
  }
  return best;
}

/** Colours that an image may be given: those with a hue. */
export const hues = ['red', 'orange', 'yellow', 'green', 'blue', 'purple', 'pink', 'brown'] as const;

export interface Dominant {
  name: string;
  /** The share of the image's own pixels that have it. */
  share: number;
  /** Their mean. */
  lab: Lab;
}

/**
 * The colour that most of an image has, background left out.
 * @param rgba pixels, four bytes each; those less than half opaque are background
 */
export function dominantColour(rgba: Uint8Array): Dominant | undefined {
  const sums = new Map<string, [count: number, l: number, a: number, b: number]>();
  let pixels = 0;
  for (let i = 0; i < rgba.length; i += 4) {
    if (rgba[i + 3] < 128) continue;
    pixels++;
    const lab = toLab(rgba[i], rgba[i + 1], rgba[i + 2]);
    const name = nameColour(lab);
    const sum = sums.get(name) ?? [0, 0, 0, 0];
    sums.set(name, [sum[0] + 1, sum[1] + lab[0], sum[2] + lab[1], sum[3] + lab[2]]);
  }
  const [name, sum] = [...sums].sort((a, b) => b[1][0] - a[1][0])[0] ?? [];
  if (!name || !sum) return undefined;
  const [count, l, a, b] = sum;
  return { name, share: count / pixels, lab: [l / count, a / count, b / count] };
}

/** How far from the dominant hue a pixel may be to change along with it, in radians, and the least chroma of a hue. */
const window = { hue: 0.6, chroma: 0.03 };

/**
 * The image in another colour: what has about the dominant hue gets the target's hue, and its chroma and lightness are
 * moved as the dominant colour's are. Outlines, white and other hues stay.
 */
export function recolour(rgba: Uint8Array, from: Lab, target: string): Uint8Array {
  const [, , shade] = [...named.find(({ name }) => name === target)!.shades].reverse();
  const polar = ([l, a, b]: Lab) => ({ l, chroma: Math.hypot(a, b), hue: Math.atan2(b, a) });
  const [source, goal] = [polar(from), polar(shade)];
  const out = rgba.slice();
  for (let i = 0; i < out.length; i += 4) {
    if (out[i + 3] === 0) continue;
    const { l, chroma, hue } = polar(toLab(out[i], out[i + 1], out[i + 2]));
    const turn = Math.abs(Math.atan2(Math.sin(hue - source.hue), Math.cos(hue - source.hue)));
    if (chroma < window.chroma || turn > window.hue) continue;
    const newChroma = chroma * (goal.chroma / Math.max(source.chroma, window.chroma));
    const newHue = hue - source.hue + goal.hue;
    const colour: Lab = [
      Math.min(1, Math.max(0, l + (goal.l - source.l))),
      newChroma * Math.cos(newHue),
      newChroma * Math.sin(newHue),
    ];
    [out[i], out[i + 1], out[i + 2]] = fromLab(colour);
  }
  return out;
}
