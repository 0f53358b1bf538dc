/** Blocks of Markdown as HTML that is safe to put into a page, and as plain text. */
import { micromark } from 'micromark';
import { gfmTable, gfmTableHtml } from 'micromark-extension-gfm-table';

/**
 * CommonMark with tables, as HTML. HTML in it is shown as text, and addresses are kept only where they are of the web,
 * of mail or relative: that is micromark's usual way.
 */
export const toHtml = (block: string): string =>
  micromark(block, { extensions: [gfmTable()], htmlExtensions: [gfmTableHtml()] });

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"' };
const unescaped = (text: string): string => text.replace(/&(lt|gt|amp|quot);/g, (_, name) => entities[name]);

const inline = new Set(['a', 'br', 'code', 'em', 'img', 'strong']);

/** The same without marks: list items keep a dash or their number, and a link its address. */
export function toPlain(block: string): string {
  const lists: (number | undefined)[] = [];
  let link: { address: string; from: number } | undefined;
  let out = '';
  let code = false;
  /** Whether what stands here is between blocks, where a line break says nothing. */
  let between = true;
  for (const [, tag, text] of toHtml(block).matchAll(/(<[^>]*>)|([^<]+)/g)) {
    if (text !== undefined) {
      if (code || !between || text.trim() !== '') out += unescaped(text);
      continue;
    }
    const [, closes, name, rest] = /^<(\/?)(\w+)([^>]*)>$/.exec(tag)!;
    const opens = closes === '';
    between = !inline.has(name);
    switch (name) {
      case 'ol':
      case 'ul':
        if (opens) lists.push(name === 'ol' ? Number(/start="(\d+)"/.exec(rest)?.[1] ?? 1) : undefined);
        else lists.pop();
        break;
      case 'li': {
        if (!opens) break;
        const number = lists.at(-1);
        if (number !== undefined) lists[lists.length - 1] = number + 1;
        out = `${lineEnded(out)}${'  '.repeat(lists.length - 1)}${number === undefined ? '-' : `${number}.`} `;
        break;
      }
      case 'td':
      case 'th':
        if (opens && !/(?:^|\n)$/.test(out)) out += ' | ';
        break;
      case 'p':
        // In a list the text of an item stands beside its dash.
        if (opens && !/(?:[-.] |^|\n)$/.test(out)) out += '\n';
        break;
      case 'pre':
        code = opens;
        out = lineEnded(out);
        break;
      case 'tr':
        out = lineEnded(out);
        break;
      case 'a': {
        if (opens) link = { address: unescaped(/href="([^"]*)"/.exec(rest)?.[1] ?? ''), from: out.length };
        else if (link) {
          const shown = out.slice(link.from);
          if (link.address && shown !== link.address && `mailto:${shown}` !== link.address)
            out += ` (${link.address})`;
          link = undefined;
        }
        break;
      }
      case 'img':
        out += unescaped(/alt="([^"]*)"/.exec(rest)?.[1] ?? '');
        break;
    }
  }
  return out.replace(/[ \t]+$/gm, '').trim();
}

const lineEnded = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);
