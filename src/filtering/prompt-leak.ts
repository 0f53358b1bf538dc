/**
 * A system prompt that is repeated in an answer, found by runs of its words (n-grams), in a text that comes in pieces.
 * Held back is only what may still be the beginning of a run: whatever the pieces are, together they give the same.
 */
import type { FilterPiece, FilterSpan } from './filter-stream.ts';

/** Words of a run at most, and of a prompt at least: what is shorter is anybody's. */
const RUN = 12;
const SHORTEST = 6;
/** Words of a prompt that are looked for. */
const MOST = 20_000;

const words = /[\p{L}\p{N}]+/gu;
const wordsOf = (text: string): string[] =>
  Array.from(text.slice(0, MOST * 20).matchAll(words), ([word]) => plain(word)).slice(0, MOST);
const plain = (word: string): string => word.normalize('NFKC').toLowerCase();

/** Runs of a length, each as one text. */
function* runsOf(list: readonly string[], length: number): Generator<string> {
  for (let i = 0; i + length <= list.length; i++) yield list.slice(i, i + length).join(' ');
}

export interface LeakStream {
  push(text: string): FilterPiece;
  end(): FilterPiece;
}

/**
 * @param prompt the system's; undefined comes of one that is too short to tell
 * @param said what others have said: to repeat that gives nothing away
 * @param action `mask` writes a star for each unit that is seen, so that offsets stay; `refuse` ends the text before it
 */
export function createLeakStream(
  prompt: string,
  said: readonly string[],
  action: 'mask' | 'refuse',
): LeakStream | undefined {
  const list = wordsOf(prompt);
  const length = Math.min(RUN, list.length);
  if (length < SHORTEST) return undefined;
  const runs = new Set(runsOf(list, length));
  for (const text of said) for (const run of runsOf(wordsOf(text), length)) runs.delete(run);
  const [single, pairs] = [new Set(list), new Set(runsOf(list, 2))];

  const finder = new RegExp(words);
  let [held, sent, scanned] = ['', 0, 0];
  /** The last words, the newest last, and how many of them could be a run. */
  const recent: { word: string; start: number; end: number }[] = [];
  let open = 0;
  /** Of what is held, what is repeated: stretches in order. */
  let leaks: { start: number; end: number }[] = [];
  let refused: FilterPiece['refused'];

  function take(word: string, start: number, end: number): void {
    const before = recent.at(-1)?.word;
    open = !single.has(word)
      ? 0
      : open > 0 && pairs.has(`${before} ${word}`)
        ? Math.min(open + 1, length)
        : 1;
    recent.push({ word, start, end });
    if (recent.length > length) recent.shift();
    if (open < length || !runs.has(recent.map((each) => each.word).join(' '))) return;
    const last = leaks.at(-1);
    if (last && recent[0].start <= last.end) last.end = end;
    else leaks.push({ start: recent[0].start, end });
  }

  function step(piece: string, last: boolean): FilterPiece {
    if (refused) return { text: '', spans: [], refused };
    held += piece;
    finder.lastIndex = scanned - sent;
    let unfinished = sent + held.length;
    for (let match = finder.exec(held); match; match = finder.exec(held)) {
      const start = sent + match.index;
      const end = start + match[0].length;
      // A word at the end may go on.
      if (end === sent + held.length && !last) {
        unfinished = start;
        break;
      }
      take(plain(match[0]), start, end);
      scanned = end;
    }
    const begun = Math.min(open, length - 1);
    const limit = last ? sent + held.length : begun > 0 ? recent.at(-begun)!.start : unfinished;
    return give(Math.min(limit, unfinished));
  }

  function give(limit: number): FilterPiece {
    const spans: FilterSpan[] = [];
    let text = '';
    const send = (to: number, mask: boolean): void => {
      const part = held.slice(0, Math.max(0, to - sent));
      const written = mask ? part.replace(/\S/g, '*') : part;
      if (mask && part) {
        const why = ['it repeats the system prompt'];
        const what = { type: 'system_prompt', score: 1, action, why, via: [], written };
        spans.push({ start: sent, end: sent + part.length, ...what });
      }
      text += written;
      held = held.slice(part.length);
      sent += part.length;
    };
    for (const { start, end } of leaks) {
      if (start >= limit) break;
      send(Math.min(start, limit), false);
      if (action === 'refuse') {
        refused = { type: 'system_prompt', message: 'The output repeats the system prompt.' };
        return { text, spans, refused };
      }
      send(Math.min(end, limit), true);
    }
    send(limit, false);
    leaks = leaks.filter(({ end }) => end > limit);
    scanned = Math.max(scanned, sent);
    return { text, spans };
  }

  return { push: (text) => step(text, false), end: () => step('', true) };
}
