/**
 * Cuts Markdown that comes in pieces into its blocks: a paragraph, a heading, a list, a table, code. Each can be made
 * into something else by itself, so that an answer need not be whole before its first paragraph is shown. Definitions of
 * links (`[a]: address`) count only within their block.
 */

export interface BlockSplitter {
  /** Reads a further piece; gives the blocks that are whole. */
  push(piece: string): string[];
  /** Ends the text; gives what is left of it. */
  end(): string[];
}

const fenceLine = /^\s*(`{3,}|~{3,})/;
const listItem = /^\s{0,3}(?:[-+*]|\d{1,9}[.)])(?:\s|$)/;
const indented = /^(?: {4}|\t)/;
const heading = /^ {0,3}#{1,6}(?:\s|$)/;

/** A splitter for one text. */
export function createBlockSplitter(): BlockSplitter {
  let line = '';
  let block: string[] = [];
  /** The marks that opened code, and whether the block began with them. */
  let fence: { marks: string; begins: boolean } | undefined;
  let gap = false;
  let done: string[] = [];

  const flush = (): void => {
    if (block.length > 0) done.push(block.join('\n'));
    block = [];
    fence = undefined;
    gap = false;
  };

  function read(text: string): void {
    if (fence) {
      block.push(text);
      const marks = fenceLine.exec(text)?.[1] ?? '';
      const closes = marks.startsWith(fence.marks) && text.trim() === marks;
      if (!closes) return;
      const { begins } = fence;
      fence = undefined;
      if (begins) flush();
      return;
    }
    if (text.trim() === '') {
      if (block.length === 0) return;
      // What is indented behind a gap still belongs to a list, and to indented code.
      gap = listItem.test(block[0]) || indented.test(block[0]);
      if (gap) block.push('');
      else flush();
      return;
    }
    if (gap) {
      const goesOn = /^\s/.test(text) || (listItem.test(block[0]) && listItem.test(text));
      if (!goesOn) flush();
      gap = false;
    }
    const marks = fenceLine.exec(text)?.[1];
    if (marks) fence = { marks, begins: block.length === 0 };
    block.push(text);
    if (block.length === 1 && heading.test(text)) flush();
  }

  const take = (): string[] => {
    const blocks = done;
    done = [];
    return blocks;
  };
  return {
    push(piece) {
      const lines = (line + piece).split('\n');
      line = lines.pop()!;
      for (const each of lines) read(each.replace(/\r$/, ''));
      return take();
    },
    end() {
      if (line !== '') read(line);
      line = '';
      flush();
      return take();
    },
  };
}
