/** The prompt of a command: its words, and what is piped to it. */
import { fstatSync } from 'node:fs';

/** Bytes that may be piped. */
const LIMIT = 4_000_000;

/**
 * The words as one text; `-` among them stands for standard input. Without `-`, what is piped follows the words after
 * an empty line, and without words it is the prompt. Of piped text one line break at the end does not count.
 * @throws Error if standard input is not UTF-8, or larger than 4 MB
 */
export async function readPrompt(words: readonly string[]): Promise<string> {
  const at = words.indexOf('-');
  if (at < 0 && words.length > 0 && !isPiped()) return words.join(' ');
  const input = await readStandardInput();
  if (at >= 0)
    return [words.slice(0, at).join(' '), input, words.slice(at + 1).join(' ')].filter(Boolean).join(' ');
  return [words.join(' '), input].filter(Boolean).join('\n\n');
}

/**
 * Whether a shell has put something at the door. A terminal, or nothing at all (`/dev/null`), is no file and no pipe;
 * and a socket is what a program holds open that starts another and has nothing to say to it.
 */
function isPiped(): boolean {
  try {
    const input = fstatSync(0);
    return input.isFIFO() || input.isFile();
  } catch {
    return false;
  }
}

/** All of standard input. @throws Error if it is not UTF-8, or larger than 4 MB */
export async function readStandardInput(): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of process.stdin) {
    pieces.push(piece);
    size += piece.length;
    if (size > LIMIT) throw new Error(`Standard input is larger than ${LIMIT} bytes.`);
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
    return text.replace(/\r?\n$/, '');
  } catch {
    throw new Error('Standard input is not UTF-8.');
  }
}
