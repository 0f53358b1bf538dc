/** Documents in .md and .txt files. */

export interface RawRecord {
  instruction?: string;
  text: string;
  /** Lines of credit that stood at its end. */
  credit?: string;
}

/** A text without marks is cut at the next empty line after this many characters, at any line after twice as many. */
export const DOCUMENT_LIMIT = 50_000;

const START = '<start>';
const END = '<end>';

/**
 * Reads `INSTRUCTION<start>RESPONSE<end>` records, one or many, also where an end is missing; a storybook (a title,
 * pages parted by `##`, credits at the end); or else the file as one text.
 */
export async function* textRecords(lines: AsyncIterable<string>): AsyncGenerator<RawRecord> {
  let buffer: string[] = [];
  let length = 0;
  let marked = false;
  for await (const line of lines) {
    let rest = line;
    for (let end = rest.indexOf(END); end >= 0; end = rest.indexOf(END)) {
      buffer.push(rest.slice(0, end));
      yield* markedRecords(buffer.join('\n'));
      rest = rest.slice(end + END.length);
      [buffer, length, marked] = [[], 0, true];
    }
    // A line that is a book by itself is cut at its sentences.
    for (const part of rest.length > DOCUMENT_LIMIT ? sentences(rest) : [rest]) {
      buffer.push(part);
      length += part.length + 1;
      marked ||= part.includes(START);
      if (length > 2 * DOCUMENT_LIMIT || (length > DOCUMENT_LIMIT && part.trim() === '')) {
        yield* marked ? markedRecords(buffer.join('\n')) : [plainRecord(buffer)];
        [buffer, length] = [[], 0];
      }
    }
  }
  const text = buffer.join('\n');
  if (text.trim() === '') return;
  yield* marked ? markedRecords(text) : [plainRecord(buffer)];
}

/** Stretches of at most `DOCUMENT_LIMIT` characters that end with a sentence, or else with a word. */
function* sentences(line: string): Generator<string> {
  let from = 0;
  while (line.length - from > DOCUMENT_LIMIT) {
    const stretch = line.slice(from, from + DOCUMENT_LIMIT);
    const sentence = Math.max(...['. ', '! ', '? ', '。'].map((end) => stretch.lastIndexOf(end) + 1));
    const cut = sentence > DOCUMENT_LIMIT / 2 ? sentence : stretch.lastIndexOf(' ') + 1 || DOCUMENT_LIMIT;
    yield stretch.slice(0, cut);
    from += cut;
  }
  yield line.slice(from);
}

/** The records in a stretch without `<end>`: more than one where ends are missing. */
function* markedRecords(text: string): Generator<RawRecord> {
  const parts = text.split(START);
  if (parts.length === 1) {
    if (text.trim()) yield { text: text.trim() };
    return;
  }
  let instruction = parts[0];
  for (const [i, part] of parts.slice(1).entries()) {
    const last = i === parts.length - 2;
    // What stands before the next <start> ends with that record's instruction, its last paragraph.
    const cut = last ? part.length : part.trimEnd().lastIndexOf('\n');
    if (!last && cut < 0) {
      instruction = part;
      continue;
    }
    const response = part.slice(0, cut).trim();
    if (response) yield { instruction: instruction.trim() || undefined, text: response };
    instruction = part.slice(cut);
  }
}

function plainRecord(lines: string[]): RawRecord {
  const first = lines.findIndex((line) => line.trim() !== '');
  const pages = lines.filter((line) => line.trim() === '##').length;
  return pages >= 2 && lines[first]?.startsWith('# ')
    ? storybook(lines.slice(first))
    : { text: lines.join('\n').trim() };
}

/** Pages become paragraphs: their lines were broken to fit a picture, not by meaning. */
function storybook(lines: string[]): RawRecord {
  const credits = lines.findIndex((line) =>
    /^\*\s*(licen[cs]e|text|illustration|translation|language|adaptation)\b/i.test(line.trim()),
  );
  const story = credits < 0 ? lines : lines.slice(0, credits);
  const pages = story
    .slice(1)
    .join('\n')
    .split(/^##\s*$/m)
    .map((page) => paragraphs(page))
    .filter(Boolean);
  return {
    text: [story[0].trim(), ...pages].join('\n\n'),
    credit:
      credits < 0 ? undefined : `${story[0].replace(/^# /, '')}: ${lines.slice(credits).join(' ').trim()}`,
  };
}

function paragraphs(page: string): string {
  return page
    .split(/\n\s*\n/)
    .map((paragraph) =>
      paragraph
        .trim()
        .split(/\s*\n\s*/)
        .join(' '),
    )
    .filter(Boolean)
    .join('\n\n');
}
