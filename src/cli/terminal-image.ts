/** Pictures in a terminal, where it can show any. */
import sharp from 'sharp';

type Show = (image: Buffer) => Promise<string>;

/** Columns that a picture of half blocks takes. */
const COLUMNS = 40;

/**
 * How this terminal shows a picture: by the protocols of kitty and iTerm2, or as half blocks in colour.
 * @returns undefined for what is no terminal, or has too few colours
 */
export function pictureFor(
  stream: NodeJS.WriteStream,
  env: NodeJS.ProcessEnv = process.env,
): Show | undefined {
  if (!stream.isTTY) return undefined;
  const { TERM = '', TERM_PROGRAM = '' } = env;
  if (TERM.includes('kitty') || env.KITTY_WINDOW_ID || TERM_PROGRAM === 'ghostty') return kitty;
  if (['iTerm.app', 'WezTerm', 'vscode', 'mintty'].includes(TERM_PROGRAM)) return iterm;
  return stream.getColorDepth() === 24 ? halfBlocks : undefined;
}

/** https://sw.kovidgoyal.net/kitty/graphics-protocol/: a PNG in pieces of 4,096 characters. */
const kitty: Show = async (image) => {
  const pieces = (await sharp(image).png().toBuffer()).toString('base64').match(/.{1,4096}/g) ?? [];
  const lines = pieces.map((piece, i) => {
    const more = i + 1 < pieces.length ? 1 : 0;
    return `\u001b_G${i === 0 ? `f=100,a=T,r=16,m=${more}` : `m=${more}`};${piece}\u001b\\`;
  });
  return `${lines.join('')}\n`;
};

/** https://iterm2.com/documentation-images.html */
const iterm: Show = async (image) =>
  `\u001b]1337;File=inline=1;height=16;size=${image.length}:${image.toString('base64')}\u0007\n`;

/** Two pixels a character: the upper is the colour of the sign, the lower that behind it. */
const halfBlocks: Show = async (image) => {
  const { data, info } = await sharp(image)
    .flatten({ background: '#ffffff' })
    .resize(COLUMNS, 2 * COLUMNS, { fit: 'inside' })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const colour = (x: number, y: number) => {
    const at = info.channels * (Math.min(y, info.height - 1) * info.width + x);
    return [data[at], data[at + 1], data[at + 2]].join(';');
  };
  const rows = Array.from({ length: Math.ceil(info.height / 2) }, (_, row) => {
    const cells = Array.from(
      { length: info.width },
      (_, x) => `\u001b[38;2;${colour(x, 2 * row)}m\u001b[48;2;${colour(x, 2 * row + 1)}m\u2580`,
    );
    return `${cells.join('')}\u001b[0m`;
  });
  return `${rows.join('\n')}\n`;
};
