/** Documents in tables: .jsonl, .csv and .parquet. */
import { pipeline, Readable } from 'node:stream';
import { parse as parseCsv } from 'csv-parse';
import { parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { asyncBufferFromFile } from 'hyparquet/src/node.js';
import { compressors } from 'hyparquet-compressors';
import type { ReportProblem } from './problems.ts';
import type { RawRecord } from './text-records.ts';
import { LINE_LIMIT } from './text-stream.ts';

export interface FieldOptions {
  /** The field that holds the text; `INSTRUCTION,RESPONSE` names two. By default the names below are tried. */
  textField?: string;
}

/** Field names under which text is found, in the order they are tried; a pair is an instruction and its answer. */
const fieldNames: readonly (readonly string[])[] = [
  ['instruction', 'response'],
  ['instruction', 'output'],
  ['prompt', 'completion'],
  ['prompt', 'response'],
  ['question', 'answer'],
  ['text'],
  ['content'],
  ['body'],
  ['story'],
];

/** Rows of JSON, one a line. */
export async function* jsonRecords(
  lines: AsyncIterable<string>,
  source: string,
  report: ReportProblem,
  options: FieldOptions,
): AsyncGenerator<RawRecord> {
  const missing = createMissing(source, report, options);
  let [number, broken, first] = [0, 0, 0];
  try {
    for await (const line of lines) {
      number++;
      if (line.trim() === '') continue;
      let row: unknown;
      try {
        row = JSON.parse(line);
      } catch {
        first ||= number;
        broken++;
        continue;
      }
      yield* missing.records(row, number);
    }
  } finally {
    if (broken > 0) {
      report({
        source,
        kind: 'broken record',
        detail: `Lines that are no JSON, the first is line ${first}.`,
        count: broken,
      });
    }
    missing.tell();
  }
}

/** Rows under a first row of names, parted by whichever of comma, semicolon and tab the first row holds most. */
export async function* csvRecords(
  texts: AsyncIterable<string>,
  source: string,
  report: ReportProblem,
  options: FieldOptions,
): AsyncGenerator<RawRecord> {
  const iterator = texts[Symbol.asyncIterator]();
  let head = '';
  let ended = false;
  while (!ended && !head.includes('\n') && head.length < LINE_LIMIT) {
    const { done, value } = await iterator.next();
    ended = done === true;
    head += value ?? '';
  }
  async function* all(): AsyncGenerator<string> {
    yield head;
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
  }
  const missing = createMissing(source, report, options);
  let broken = 0;
  const parser = parseCsv({
    columns: true,
    bom: true,
    delimiter: delimiterOf(head.split('\n', 1)[0]),
    relax_column_count: true,
    relax_quotes: true,
    max_record_size: LINE_LIMIT,
    skip_records_with_error: true,
    on_skip: () => {
      broken++;
      return undefined;
    },
  });
  pipeline(Readable.from(all()), parser, () => {
    // Errors reach the loop below through the parser.
  });
  let number = 1;
  try {
    for await (const row of parser as AsyncIterable<Record<string, string>>)
      yield* missing.records(row, ++number);
  } catch (error) {
    report({ source, kind: 'broken record', detail: `After row ${number}: ${(error as Error).message}.` });
  } finally {
    if (broken > 0)
      report({ source, kind: 'broken record', detail: 'Rows that are no CSV were left out.', count: broken });
    missing.tell();
  }
}

function delimiterOf(line: string): string {
  const counts = [',', ';', '\t'].map((sign): [string, number] => [sign, line.split(sign).length]);
  return counts.reduce((best, next) => (next[1] > best[1] ? next : best))[0];
}

/**
 * Rows of a Parquet file, one row group at a time: memory holds no more than the file's writer meant it to.
 *
 * @throws Error if the file is no Parquet, or broken
 */
export async function* parquetRecords(
  path: string,
  source: string,
  report: ReportProblem,
  options: FieldOptions & { onBytes?: (bytes: number) => void },
): AsyncGenerator<RawRecord> {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  const missing = createMissing(source, report, options);
  let rowStart = 0;
  try {
    for (const group of metadata.row_groups) {
      const rowEnd = rowStart + Number(group.num_rows);
      const rows = await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd });
      for (const [i, row] of rows.entries()) yield* missing.records(row, rowStart + i + 1);
      rowStart = rowEnd;
      options.onBytes?.(Math.round((file.byteLength * rowEnd) / Math.max(1, Number(metadata.num_rows))));
    }
  } finally {
    missing.tell();
  }
}

/** Records of rows; those without text are counted, and told once. */
function createMissing(source: string, report: ReportProblem, { textField }: FieldOptions) {
  const wanted = textField ? [textField.split(',').map((name) => name.trim())] : fieldNames;
  let [count, first, fields] = [0, 0, ''];
  return {
    *records(row: unknown, number: number): Generator<RawRecord> {
      const records = [...recordsOf(row, wanted, textField === undefined)];
      if (records.length === 0) {
        count++;
        first ||= number;
        fields ||= row && typeof row === 'object' ? Object.keys(row).slice(0, 8).join(', ') : typeof row;
      }
      yield* records;
    },
    tell(): void {
      if (count === 0) return;
      const looked = textField
        ? `no text in ${wanted[0].join(' and ')}`
        : 'none of the fields that wick looks for with text in it';
      const detail = `Rows have ${looked}, the first is row ${first} with: ${fields || 'nothing'}. --text-field names others.`;
      report({ source, kind: 'no text field', detail, count });
    },
  };
}

function* recordsOf(
  row: unknown,
  wanted: readonly (readonly string[])[],
  guess: boolean,
): Generator<RawRecord> {
  if (typeof row === 'string') {
    if (row && guess) yield { text: row };
    return;
  }
  const fields = (row ?? {}) as Record<string, unknown>;
  const textIn = (name: string) => (typeof fields[name] === 'string' ? (fields[name] as string) : '');
  const messages = guess ? fields.messages : wanted[0].length === 1 ? fields[wanted[0][0]] : undefined;
  if (Array.isArray(messages)) {
    yield* exchanges(messages);
    return;
  }
  const names = wanted.find(
    (candidate) => textIn(candidate.at(-1)!) && (guess ? candidate.every(textIn) : true),
  );
  if (!names) return;
  // Alpaca's rows have what the instruction speaks of in a field beside it.
  const instruction =
    names.length > 1 ? [textIn(names[0]), guess ? textIn('input') : ''].filter(Boolean).join('\n\n') : '';
  yield instruction ? { instruction, text: textIn(names.at(-1)!) } : { text: textIn(names.at(-1)!) };
}

/** Each answer of a conversation with what was asked just before it, and what the system said at the beginning. */
function* exchanges(messages: unknown[]): Generator<RawRecord> {
  let system = '';
  let asked = '';
  for (const message of messages as { role?: unknown; content?: unknown }[]) {
    if (typeof message?.content !== 'string' || message.content === '') continue;
    if (message.role === 'system') system = `${message.content}\n`;
    if (message.role === 'user') asked = message.content;
    if (message.role === 'assistant')
      yield { instruction: system + asked || undefined, text: message.content };
  }
}
