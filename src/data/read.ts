/** Files of every format, packed or not, as streams of raw records. What is broken is reported and passed over. */
import { closeSync, createReadStream, createWriteStream, openSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { pipeline as finished } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { convert as htmlToText } from 'html-to-text';
import { type Entry, openPromise as openZip } from 'yauzl';
import type { ReportProblem } from './problems.ts';
import { type Format, formatOf } from './sources.ts';
import { csvRecords, type FieldOptions, jsonRecords, parquetRecords } from './table-records.ts';
import { type RawRecord, textRecords } from './text-records.ts';
import { decodeText, peek, splitLines } from './text-stream.ts';

type Chunks = AsyncIterable<Uint8Array>;

export interface ReadOptions extends FieldOptions {
  /** A folder for what must be unpacked to be read: archives and Parquet files inside archives. */
  scratch: string;
  /** Called with the bytes of the file read so far. */
  onBytes?: (bytes: number) => void;
}

export interface SourceRecord extends RawRecord {
  /** The file, and what it is in an archive behind a `#`. */
  source: string;
}

/** An HTML page is taken whole; larger ones are reported. In characters. */
const HTML_LIMIT = 32_000_000;
/** Archives in archives are opened down to this depth. */
const DEPTH_LIMIT = 4;
/** An archive inside an archive may unpack to this many bytes. */
const SCRATCH_LIMIT = 4_000_000_000;

interface Item {
  /** Shown in reports and documents. */
  source: string;
  /** By whose ending the format is known. */
  name: string;
  depth: number;
  report: ReportProblem;
  options: ReadOptions;
}

/** All records of a file. Never throws for what is in the file. */
export async function* readFile(
  { path, name }: { path: string; name: string },
  report: ReportProblem,
  options: ReadOptions,
): AsyncGenerator<SourceRecord> {
  const item: Item = { source: name, name: path, depth: 0, report, options };
  try {
    const kind = packing(headOf(path));
    if (kind === 'zip' || kind === 'parquet') yield* unpacked(path, kind, item);
    else yield* streamRecords(counted(createReadStream(path), options), item);
  } catch (error) {
    report({ source: name, kind: 'unreadable', detail: sentence(error) });
  }
}

const sentence = (error: unknown) => `${(error as Error).message.replace(/\.$/, '')}.`;

/** What the first bytes of a file say of it, whatever its name says. */
function packing(head: Uint8Array): 'gzip' | 'zip' | 'parquet' | undefined {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  const four = String.fromCharCode(...head.subarray(0, 4));
  if (four === 'PAR1') return 'parquet';
  // The second is the mark of an archive without files.
  return four === 'PK\x03\x04' || four === 'PK\x05\x06' ? 'zip' : undefined;
}

function headOf(path: string): Uint8Array {
  const file = openSync(path, 'r');
  try {
    const head = new Uint8Array(4);
    return head.subarray(0, readSync(file, head, 0, 4, 0));
  } finally {
    closeSync(file);
  }
}

async function* streamRecords(bytes: Chunks, item: Item): AsyncGenerator<SourceRecord> {
  const { source, name, depth, report, options } = item;
  const { head, all } = await peek(bytes, 4);
  if (head.length === 0) {
    // A stream that failed before its first byte throws its error here.
    for await (const _ of all);
    report({ source, kind: 'empty', detail: 'The file has no bytes.' });
    return;
  }
  const kind = packing(head);
  const { format, gzipped } = formatOf(name);
  if (kind === 'gzip') {
    if (!gzipped)
      report({
        source,
        kind: 'wrong ending',
        detail: 'It is gzipped, though its name does not end in .gz: read as such.',
      });
    if (depth >= DEPTH_LIMIT) return tooDeep(item);
    const inner = gzipped ? name.slice(0, -3) : name;
    return yield* streamRecords(gunzipped(all, item), { ...item, name: inner, depth: depth + 1 });
  }
  if (gzipped)
    report({
      source,
      kind: 'wrong ending',
      detail: 'It is not gzipped, though its name ends in .gz: read as it is.',
    });
  if (kind) {
    const path = await unpack(all, item);
    try {
      if (path) yield* unpacked(path, kind, item);
    } finally {
      if (path) rmSync(path, { force: true });
    }
    return;
  }
  if (format === 'zip' || format === 'parquet') {
    report({
      source,
      kind: 'broken archive',
      detail: `It does not begin as a ${format} file does, though its name says so.`,
    });
    await all.return(undefined);
    return;
  }
  yield* withSource(formatRecords(decodeText(all, source, report), format, item, options), source);
}

function formatRecords(
  texts: AsyncIterable<string>,
  format: Format | undefined,
  item: Item,
  options: ReadOptions,
): AsyncIterable<RawRecord> {
  const { source, report } = item;
  switch (format) {
    case 'jsonl':
      return jsonRecords(splitLines(texts, source, report), source, report, options);
    case 'csv':
      return csvRecords(texts, source, report, options);
    case 'html':
      return htmlRecords(texts, source, report);
    default:
      return textRecords(splitLines(texts, source, report));
  }
}

async function* withSource(records: AsyncIterable<RawRecord>, source: string): AsyncGenerator<SourceRecord> {
  for await (const record of records) yield { source, ...record };
}

async function* unpacked(
  path: string,
  kind: 'zip' | 'parquet' | 'gzip',
  item: Item,
): AsyncGenerator<SourceRecord> {
  const { source, name, report, options, depth } = item;
  if (formatOf(name).format !== kind) {
    report({
      source,
      kind: 'wrong ending',
      detail: `It is a ${kind} file under another ending: read as such.`,
    });
  }
  const onBytes = depth === 0 ? options.onBytes : undefined;
  try {
    if (kind === 'parquet')
      yield* withSource(parquetRecords(path, source, report, { ...options, onBytes }), source);
    else yield* zipRecords(path, { ...item, options: { ...options, onBytes } });
  } catch (error) {
    report({ source, kind: 'broken archive', detail: `As a ${kind} file it is broken: ${sentence(error)}` });
  }
}

async function* counted(bytes: Chunks, { onBytes }: ReadOptions): AsyncGenerator<Uint8Array> {
  let total = 0;
  for await (const chunk of bytes) {
    total += chunk.length;
    onBytes?.(total);
    yield chunk;
  }
}

/** What comes before the damage in a truncated or corrupt gzip file is kept. */
async function* gunzipped(bytes: Chunks, { source, report }: Item): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
  pipeline(Readable.from(bytes, { objectMode: false }), gunzip, () => {
    // Errors reach the loop below through the stream.
  });
  try {
    yield* gunzip as Chunks;
  } catch (error) {
    const detail = `Unpacking stopped: ${sentence(error)} What came before is kept.`;
    report({ source, kind: 'broken archive', detail });
  }
}

let unpackedFiles = 0;

/** Writes a stream into a file, for what cannot be read from beginning to end. */
async function unpack(bytes: Chunks, item: Item): Promise<string | undefined> {
  const { source, report, options, depth } = item;
  if (depth >= DEPTH_LIMIT) {
    tooDeep(item);
    return undefined;
  }
  const path = join(options.scratch, `unpacked-${process.pid}-${unpackedFiles++}`);
  let length = 0;
  async function* limited(): AsyncGenerator<Uint8Array> {
    for await (const chunk of bytes) {
      length += chunk.length;
      if (length > SCRATCH_LIMIT) return;
      yield chunk;
    }
  }
  try {
    await finished(limited, createWriteStream(path));
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
  if (length <= SCRATCH_LIMIT) return path;
  rmSync(path, { force: true });
  report({
    source,
    kind: 'too long',
    detail: `It unpacks to more than ${SCRATCH_LIMIT} bytes and was left out.`,
  });
  return undefined;
}

function tooDeep({ source, report }: Item): void {
  report({
    source,
    kind: 'too long',
    detail: `Archives stand in one another more than ${DEPTH_LIMIT} deep: left out.`,
  });
}

/** @throws Error if the file is no zip archive */
async function* zipRecords(path: string, item: Item): AsyncGenerator<SourceRecord> {
  const { report, options } = item;
  const zip = await openZip(path, { autoClose: false });
  let read = 0;
  let files = 0;
  try {
    for await (const entry of zip.eachEntry() as AsyncIterable<Entry>) {
      const name = entry.fileName;
      read += entry.compressedSize;
      if (name.endsWith('/') || /(^|\/)(\.|__MACOSX\/)/.test(name)) continue;
      files++;
      const source = `${item.source}#${name}`;
      if (!formatOf(name).format) {
        report({
          source,
          kind: 'unknown format',
          detail: 'A file of this kind inside the archive was left out.',
        });
        continue;
      }
      try {
        const chunks = (await zip.openReadStreamPromise(entry)) as Chunks;
        const inner = { ...options, onBytes: undefined };
        yield* streamRecords(chunks, { ...item, source, name, depth: item.depth + 1, options: inner });
      } catch (error) {
        report({ source, kind: 'broken archive', detail: sentence(error) });
      }
      options.onBytes?.(read);
    }
  } finally {
    zip.close();
  }
  if (files === 0) report({ source: item.source, kind: 'empty', detail: 'The archive holds no files.' });
}

async function* htmlRecords(
  texts: AsyncIterable<string>,
  source: string,
  report: ReportProblem,
): AsyncGenerator<RawRecord> {
  let html = '';
  for await (const text of texts) {
    html += text;
    if (html.length > HTML_LIMIT) {
      report({
        source,
        kind: 'too long',
        detail: `The page has more than ${HTML_LIMIT} characters and was left out.`,
      });
      return;
    }
  }
  const skipped = [
    'nav',
    'script',
    'style',
    'header',
    'footer',
    'aside',
    'form',
    'img',
    'svg',
    'noscript',
    'template',
  ];
  const text = htmlToText(html, {
    wordwrap: false,
    baseElements: { selectors: ['article', 'main', 'body'], orderBy: 'selectors', returnDomByDefault: true },
    limits: { maxBaseElements: 1, maxDepth: 256, maxInputLength: HTML_LIMIT },
    selectors: [
      { selector: 'a', options: { ignoreHref: true } },
      ...skipped.map((selector) => ({ selector, format: 'skip' })),
      ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({
        selector,
        options: { uppercase: false },
      })),
    ],
  }).trim();
  if (text) yield { text };
  else report({ source, kind: 'empty', detail: 'The page holds no text.' });
}
