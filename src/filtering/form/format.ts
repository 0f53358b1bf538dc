/** The format that an answer is brought into while it is written. */
import { createBlockSplitter } from './markdown-blocks.ts';
import { toHtml, toPlain } from './markdown-html.ts';

/** Makes something of a text that comes in pieces; any cut into pieces gives the same. */
export interface TextStream {
  push(piece: string): string;
  /** Ends the text; `cut` says that it was not brought to its own end. */
  end(cut: boolean): string;
}

/** Formats that are made of the model's Markdown, block by block. */
export const madeFormats = { plain: toPlain, html: toHtml } as const;

/** An answer in Markdown made into another format. */
export function createFormatStream(format: keyof typeof madeFormats): TextStream {
  const splitter = createBlockSplitter();
  const between = format === 'html' ? '\n' : '\n\n';
  let begun = false;
  const written = (blocks: readonly string[]): string => {
    let out = '';
    for (const block of blocks) {
      const text = madeFormats[format](block);
      if (text === '') continue;
      out += (begun ? between : '') + text;
      begun = true;
    }
    return out;
  };
  return { push: (piece) => written(splitter.push(piece)), end: () => written(splitter.end()) };
}
