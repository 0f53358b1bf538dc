/** Many small pictures in one, each with its words below. */
import sharp, { type Sharp } from 'sharp';
import { escapeHtml } from '../data/report-page.ts';

export interface SheetEntry {
  /** A file of any format. */
  picture: Buffer;
  label: string;
}

/** Pixels of a cell's side, of the line of words below it, and between cells. */
const [SIDE, LINE, GAP] = [128, 18, 10];
/** Characters that fit below a picture. */
const FITS = 22;

/**
 * Lays pictures out in rows on white. Returns a sharp image for the caller to encode.
 * @throws Error where there is none
 */
export async function contactSheet(
  entries: readonly SheetEntry[],
  columns = Math.min(entries.length, 6),
): Promise<Sharp> {
  if (entries.length === 0) throw new Error('A sheet needs a picture.');
  const rows = Math.ceil(entries.length / columns);
  const place = (i: number) => ({
    left: GAP + (i % columns) * (SIDE + GAP),
    top: GAP + Math.floor(i / columns) * (SIDE + LINE + GAP),
  });
  const [width, height] = [GAP + columns * (SIDE + GAP), GAP + rows * (SIDE + LINE + GAP)];
  const words = entries.map(({ label }, i) => {
    const { left, top } = place(i);
    const fits = label.length > FITS ? `${label.slice(0, FITS - 1).trimEnd()}…` : label;
    return `<text x="${left + SIDE / 2}" y="${top + SIDE + 13}">${escapeHtml(fits)}</text>`;
  });
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><g font-family="sans-serif" font-size="11" text-anchor="middle" fill="#333">${words.join('')}</g></svg>`;
  const pictures = entries.map(async ({ picture }, i) => ({
    input: await sharp(picture).resize(SIDE, SIDE, { fit: 'contain', background: 'white' }).png().toBuffer(),
    ...place(i),
  }));
  return sharp({ create: { width, height, channels: 3, background: 'white' } }).composite([
    ...(await Promise.all(pictures)),
    { input: Buffer.from(svg), left: 0, top: 0 },
  ]);
}
