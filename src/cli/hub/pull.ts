/** Models from the hub, file by file: what is there is not fetched again, what was cut goes on, what arrives is checked. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, normalize, sep } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { setTimeout as sleep } from 'node:timers/promises';
import { downloadFile, HubApiError, type ListFileEntry, listFiles, modelInfo } from '@huggingface/hub';
import { wantedFiles } from './wanted-files.ts';

export interface PullOptions {
  /** OWNER/NAME */
  name: string;
  /** A branch, a tag or a commit. */
  revision: string;
  /** Exactly these files; without them those that are needed to run it. */
  files?: string[];
  variant: string;
  /** Where the files go. */
  folder: string;
  /** Where the hub is, and what it knows the caller by. */
  url?: string;
  token?: string;
  signal: AbortSignal;
  /** Bytes that are here, of all that will be. */
  onProgress(done: number, total: number, file: string): void;
}

export interface Pulled {
  folder: string;
  /** The commit that the files are of. */
  revision: string;
  files: { path: string; bytes: number; fetched: boolean }[];
}

/** What stands beside the files: where they come from, and the checksum of each that was checked. */
interface Record {
  name: string;
  revision: string;
  files: { [path: string]: string };
}
const RECORD = '.wick.json';

/** How often in a row a file may break off without a byte of it, and milliseconds before it is asked for again. */
const [TRIES, PAUSE] = [4, 500];

/**
 * Brings a model's files here.
 * @throws Error saying what is missing, refused or broken; what has arrived stays, and the next call goes on from it
 */
export async function pull(options: PullOptions): Promise<Pulled> {
  const { name, folder, files: named, variant } = options;
  const hub = { hubUrl: options.url, accessToken: options.token };
  const from = { ...hub, fetch: fetchUntil(options.signal) };
  const { sha } = await asked(options, () =>
    modelInfo({ ...from, name, revision: options.revision, additionalFields: ['sha'] }),
  );
  const repo = { type: 'model', name } as const;
  const published = await asked(options, async () => {
    const files: ListFileEntry[] = [];
    for await (const entry of listFiles({ ...from, repo, revision: sha, recursive: true }))
      if (entry.type === 'file') files.push(entry);
    return files;
  });
  const wanted: ListFileEntry[] = named ? byName(published, named) : wantedFiles(published, variant);
  for (const { path } of wanted) refuseEscape(path);
  const total = wanted.reduce((sum, { size }) => sum + size, 0);
  const record = await readRecord(folder, name);
  record.revision = sha;
  const pulled: Pulled = { folder, revision: sha, files: [] };
  let done = 0;
  for (const entry of wanted) {
    const { path, size } = entry;
    const target = join(folder, path);
    const sum = checksumOf(entry);
    const here = record.files[path] === sum && existsSync(target) && (await sizeOf(target)) === size;
    if (!here) {
      await mkdir(dirname(target), { recursive: true });
      const report = (bytes: number) => options.onProgress(done + bytes, total, path);
      await fetchFile(entry, `${target}.part`, options, report, () =>
        downloadFile({ ...from, repo, path, revision: sha }),
      );
      await rename(`${target}.part`, target);
      record.files[path] = sum;
      await writeFile(join(folder, RECORD), `${JSON.stringify(record, null, 1)}\n`);
    }
    done += size;
    options.onProgress(done, total, path);
    pulled.files.push({ path, bytes: size, fetched: !here });
  }
  return pulled;
}

/** Fetches into `part`, going on from what it holds, until it is whole and its checksum right. */
async function fetchFile(
  entry: ListFileEntry,
  part: string,
  { signal }: PullOptions,
  report: (bytes: number) => void,
  open: () => Promise<Blob | null>,
): Promise<void> {
  const { path, size } = entry;
  if ((await sizeOf(part)) > size) await rm(part);
  let here = await sizeOf(part);
  for (let failures = 0; here < size; ) {
    let why = 'The hub sent less than it said.';
    try {
      const blob = await open();
      if (!blob) throw new Error('It is not in the repository any more.');
      await append(part, here === 0 ? blob : blob.slice(here, size), (bytes) => {
        signal.throwIfAborted();
        if (here + bytes > size) throw new Error(`It is longer than the ${size} bytes it should have.`);
        report(here + bytes);
      });
    } catch (error) {
      signal.throwIfAborted();
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC')
        throw new Error(`The disk is full in the middle of ${path}. The same command goes on.`);
      if (refusedFor(error)) throw error;
      why = said(error);
    }
    const before = here;
    here = await sizeOf(part);
    failures = here > before ? 0 : failures + 1;
    if (failures === TRIES)
      throw new Error(`${path} broke off after ${here} of ${size} bytes: ${why} The same command goes on.`);
    if (here < size) await sleep(PAUSE * (failures + 1), undefined, { signal });
  }
  if (size === 0) await writeFile(part, '');
  if ((await checksum(part, entry)) === checksumOf(entry)) return;
  await rm(part);
  throw new Error(`${path} arrived with another checksum than the hub tells: it was thrown away.`);
}

/** Appends a blob to a file; `onBytes` hears how many have come. */
async function append(file: string, blob: Blob, onBytes: (bytes: number) => void): Promise<void> {
  let bytes = 0;
  const counted = async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      onBytes(bytes);
      yield chunk;
    }
  };
  const from = Readable.fromWeb(blob.stream() as ReadableStream);
  await pipeline(from, counted, createWriteStream(file, { flags: 'a' }));
}

const sizeOf = async (file: string): Promise<number> => (existsSync(file) ? (await stat(file)).size : 0);

/** Large files are known by their SHA-256, small ones as git knows them. */
const checksumOf = ({ lfs, oid }: ListFileEntry): string => lfs?.oid ?? oid ?? '';

async function checksum(file: string, { lfs, size }: ListFileEntry): Promise<string> {
  const hash = lfs ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function byName(files: readonly ListFileEntry[], names: readonly string[]): ListFileEntry[] {
  return names.map((name) => {
    const file = files.find(({ path }) => path === name);
    if (file) return file;
    throw new Error(
      `The repository has no file ${name}. It has: ${files.map(({ path }) => path).join(', ')}.`,
    );
  });
}

/** A repository's paths come from whoever wrote it: none may lead out of the folder. */
function refuseEscape(path: string): void {
  const plain = normalize(path);
  if (/^[/\\]|^[A-Za-z]:|\0/.test(path) || plain.split(sep).includes('..') || plain === RECORD)
    throw new Error(
      `The repository names a file ${JSON.stringify(path)}, which would lie outside of its folder.`,
    );
}

async function readRecord(folder: string, name: string): Promise<Record> {
  const fresh: Record = { name, revision: '', files: {} };
  if (!existsSync(join(folder, RECORD))) return fresh;
  try {
    const record = JSON.parse(await readFile(join(folder, RECORD), 'utf8')) as Record;
    if (record.name === name && typeof record.files === 'object') return record;
  } catch {
    // A record that was cut off: everything is checked anew.
  }
  return fresh;
}

const fetchUntil =
  (signal: AbortSignal): typeof fetch =>
  (input, init) =>
    fetch(input, { ...init, signal });

/** What the hub answers, or its refusal in a sentence. */
async function asked<T>({ name, revision, token, signal }: PullOptions, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    signal.throwIfAborted();
    const status = refusedFor(error);
    if (status === 401 || status === 403) {
      throw new Error(
        `The hub does not give ${name}: it does not exist, or is for those alone who were let in${token ? '' : ' (HF_TOKEN names you)'}.`,
      );
    }
    if (status === 404) throw new Error(`The hub has no ${name} at ${revision}.`);
    throw new Error(`The hub does not answer: ${said(error)}`);
  }
}

const refusedFor = (error: unknown): number | undefined =>
  error instanceof HubApiError && error.statusCode < 500 && error.statusCode !== 429
    ? error.statusCode
    : undefined;

/** The first sentence of an error, and of what caused it. */
function said(error: unknown): string {
  const { message, cause } = error as Error;
  const why = cause instanceof Error && cause.message ? `${message} (${cause.message})` : message;
  return why.split('\n')[0].replace(/\.?$/, '.');
}
