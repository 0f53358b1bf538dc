/** Files of every format as streams of raw records. What is broken is reported and passed over. */
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { parse as parseCsv } from 'csv-parse';
import { convert as htmlToText } from 'html-to-text';
import { parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { asyncBufferFromFile } from 'hyparquet/src/node.js';
import { type Entry, open as openZip, type ZipFile } from 'yauzl';
import type { Problem } from './problems.ts';
import { type Format, formatOf } from './sources.ts';
import { type RawRecord, textRecords } from './text-records.ts';
import { decodeText, splitLines } from './text-stream.ts';

type Report = (problem: Problem) => void;
type Chunks = AsyncIterable<Uint8Array>;

export interface ReadOptions {
  /** The field that holds the text in .jsonl, .csv and .parquet; by default the names below are tried. */
  textField?: string;
  /** Called with the bytes of the file read so far. */
  onBytes?: (bytes: number) => void;
}

export interface SourceRecord extends RawRecord {
  source: string;
}

/** An HTML page is taken whole; larger ones are reported. In bytes. */
const HTML_LIMIT = 32_000_000;

/** All records of a file. Never throws for what is in the file. */
export async function* readFile(path: string, report: Report, options: ReadOptions = {}): AsyncGenerator<SourceRecord> {
  const { format, gzipped } = formatOf(path);
  try {
    if (format === 'parquet' && !gzipped) yield* parquetRecords(path, report, options);
    else if (format === 'zip' && !gzipped) yield* zipRecords(path, report, options);
    else yield* streamRecords(counted(createReadStream(path), options), path, format!, gzipped, report, options);
  } catch (error) {
    report({ source: path, kind: archive(error) ? 'broken archive' : 'unreadable', detail: `${(error as Error).message}.` });
  }
}

const archive = (error: unknown) => /^(Z_|ERR_ZLIB)/.test((error as NodeJS.ErrnoException).code ?? '') || /zip|header|central directory/i.test(String(error));

async function* streamRecords(
  bytes: Chunks,
  source: string,
  format: Format,
  gzipped: boolean,
  report: Report,
  options: ReadOptions,
): AsyncGenerator<SourceRecord> {
  const chunks = gzipped ? gunzipped(bytes, source, report) : bytes;
  if (format === 'parquet' || format === 'zip') {
    report({ source, kind: 'unknown format', detail: `A ${format} file inside an archive or gzipped is not read: unpack it first.` });
    return;
  }
  const texts = decodeText(chunks, source, report);
  const named = (records: AsyncIterable<RawRecord>) => withSource(records, source);
  if (format === 'text') yield* named(textRecords(splitLines(texts, source, report)));
  if (format === 'jsonl') yield* named(jsonRecords(splitLines(texts, source, report), source, report, options));
  if (format === 'html') yield* named(htmlRecords(texts, source, report));
  if (format === 'csv') yield* named(csvRecords(texts, source, report, options));
}

async function* withSource(records: AsyncIterable<RawRecord>, source: string): AsyncGenerator<SourceRecord> {
  for await (const record of records) yield { source, ...record };
}

async function* counted(bytes: Chunks, { onBytes }: ReadOptions): Chunks & AsyncGenerator<Uint8Array> {
  let total = 0;
  for await (const chunk of bytes) {
    total += chunk.length;
    onBytes?.(total);
    yield chunk;
  }
}

/** What comes before the damage in a truncated or corrupt gzip file is kept. */
async function* gunzipped(bytes: Chunks, source: string, report: Report): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
  const input = Readable.from(bytes);
  input.on('error', (error) => gunzip.destroy(error));
  try {
    yield* input.pipe(gunzip) as Chunks;
  } catch (error) {
    report({ source, kind: 'broken archive', detail: `Unpacking stopped: ${(error as Error).message}. What came before is kept.` });
  }
}

async function* jsonRecords(lines: AsyncIterable<string>, source: string, report: Report, options: ReadOptions): AsyncGenerator<RawRecord> {
  let [number, broken, first] = [0, 0, 0];
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
    yield* recordOf(row, `${source}#${number}`, report, options);
  }
  if (broken > 0) report({ source, kind: 'broken record', detail: `Lines that are no JSON, the first is line ${first}.`, count: broken });
}

async function* csvRecords(texts: AsyncIterable<string>, source: string, report: Report, options: ReadOptions): AsyncGenerator<RawRecord> {
  let broken = 0;
  const parser = parseCsv({
    columns: true,
    bom: true,
    relax_column_count: true,
    relax_quotes: true,
    max_record_size: 4_000_000,
    skip_records_with_error: true,
    on_skip: () => {
      broken++;
      return undefined;
    },
  });
  const rows = Readable.from(texts).pipe(parser) as AsyncIterable<Record<string, string>>;
  let number = 1;
  try {
    for await (const row of rows) yield* recordOf(row, `${source}#${++number}`, report, options);
  } catch (error) {
    report({ source, kind: 'broken record', detail: `After row ${number}: ${(error as Error).message}.` });
  }
  if (broken > 0) report({ source, kind: 'broken record', detail: 'Rows that are no CSV were left out.', count: broken });
}

async function* htmlRecords(texts: AsyncIterable<string>, source: string, report: Report): AsyncGenerator<RawRecord> {
  let html = '';
  for await (const text of texts) {
    html += text;
    if (html.length > HTML_LIMIT) {
      report({ source, kind: 'line too long', detail: `The page has more than ${HTML_LIMIT} characters and was left out.` });
      return;
    }
  }
  const text = htmlToText(html, {
    wordwrap: false,
    selectors: [
      { selector: 'a', options: { ignoreHref: true } },
      { selector: 'img', format: 'skip' },
      ...['nav', 'script', 'style', 'header', 'footer', 'aside', 'form'].map((selector) => ({ selector, format: 'skip' })),
      ...['h1', 'h2', 'h3', 'h4'].map((selector) => ({ selector, options: { uppercase: false } })),
    ],
  }).trim();
  if (text) yield { text };
  else report({ source, kind: 'empty', detail: 'The page holds no text.' });
}

async function* parquetRecords(path: string, report: Report, options: ReadOptions): AsyncGenerator<SourceRecord> {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  let rowStart = 0;
  // One row group at a time: memory holds no more than the writer of the file meant it to.
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    const rows = await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd });
    for (const [i, row] of rows.entries()) {
      yield* withSource(recordOf(row, `${path}#${rowStart + i + 1}`, report, options), path);
    }
    rowStart = rowEnd;
    options.onBytes?.(Math.round((file.byteLength * rowEnd) / Math.max(1, Number(metadata.num_rows))));
  }
}

async function* zipRecords(path: string, report: Report, options: ReadOptions): AsyncGenerator<SourceRecord> {
  const zip = await new Promise<ZipFile>((resolve, reject) =>
    openZip(path, { lazyEntries: true, autoClose: false }, (error, file) => (error ? reject(error) : resolve(file))),
  );
  try {
    for (let entry = await nextEntry(zip); entry; entry = await nextEntry(zip)) {
      const name = entry.fileName;
      if (name.endsWith('/')) continue;
      const { format, gzipped } = formatOf(name);
      const source = `${path}#${name}`;
      if (!format) {
        report({ source, kind: 'unknown format', detail: 'A file of this kind inside the archive was left out.' });
        continue;
      }
      try {
        yield* streamRecords(await entryStream(zip, entry), source, format, gzipped, report, options);
      } catch (error) {
        report({ source, kind: 'broken archive', detail: `${(error as Error).message}.` });
      }
    }
  } finally {
    zip.close();
  }
}

function nextEntry(zip: ZipFile): Promise<Entry | undefined> {
  return new Promise((resolve, reject) => {
    const done = (settle: () => void) => {
      zip.removeAllListeners('entry').removeAllListeners('end').removeAllListeners('error');
      settle();
    };
    zip.once('entry', (entry: Entry) => done(() => resolve(entry)));
    zip.once('end', () => done(() => resolve(undefined)));
    zip.once('error', (error: Error) => done(() => reject(error)));
    zip.readEntry();
  });
}

function entryStream(zip: ZipFile, entry: Entry): Promise<Chunks> {
  return new Promise((resolve, reject) =>
    zip.openReadStream(entry, (error, stream) => (error ? reject(error) : resolve(stream as Chunks))),
  );
}

/** Field names under which text is found, in the order they are tried; a pair is an instruction and its answer. */
const fieldNames: readonly (readonly [string] | readonly [string, string])[] = [
  ['instruction', 'response'],
  ['instruction', 'output'],
  ['prompt', 'completion'],
  ['question', 'answer'],
  ['text'],
  ['content'],
  ['body'],
  ['story'],
];

async function* recordOf(row: unknown, source: string, report: Report, { textField }: ReadOptions): AsyncGenerator<RawRecord> {
  if (typeof row === 'string') {
    yield { text: row };
    return;
  }
  const fields = (row ?? {}) as Record<string, unknown>;
  const has = (name: string) => typeof fields[name] === 'string' && fields[name] !== '';
  if (textField) {
    if (has(textField)) yield { text: fields[textField] as string };
    else report({ source, kind: 'no text field', detail: `There is no text in the field "${textField}".` });
    return;
  }
  if (Array.isArray(fields.messages)) {
    yield* exchanges(fields.messages);
    return;
  }
  const names = fieldNames.find((candidate) => candidate.every(has));
  if (!names) {
    report({
      source,
      kind: 'no text field',
      detail: `None of its fields (${Object.keys(fields).slice(0, 8).join(', ') || 'none'}) is one that wick looks for; --text-field names another.`,
    });
    return;
  }
  const [first, second] = names;
  yield second ? { instruction: fields[first] as string, text: fields[second] as string } : { text: fields[first] as string };
}

/** Each answer of a conversation with what was asked just before it. */
function* exchanges(messages: unknown[]): Generator<RawRecord> {
  let asked: string | undefined;
  for (const message of messages as { role?: unknown; content?: unknown }[]) {
    if (typeof message?.content !== 'string') continue;
    if (message.role === 'user') asked = message.content;
    if (message.role === 'assistant' && message.content) yield { instruction: asked, text: message.content };
  }
}
