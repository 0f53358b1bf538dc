/** Which files a list of sources stands for. */
import { globSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Problem } from './problems.ts';

/** File name endings that are read, with what they hold. `.gz` may stand behind any of them. */
export const formats = {
  '.md': 'text',
  '.txt': 'text',
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.html': 'html',
  '.htm': 'html',
  '.csv': 'csv',
  '.parquet': 'parquet',
  '.zip': 'zip',
} as const;
export type Format = (typeof formats)[keyof typeof formats];

/** The format of a file by its name, and whether it is gzipped. */
export function formatOf(name: string): { format: Format | undefined; gzipped: boolean } {
  const lower = name.toLowerCase();
  const gzipped = lower.endsWith('.gz');
  const bare = gzipped ? lower.slice(0, -3) : lower;
  const ending = (Object.keys(formats) as (keyof typeof formats)[]).find((end) => bare.endsWith(end));
  return { format: ending && formats[ending], gzipped };
}

export interface SourceFile {
  path: string;
  bytes: number;
}

/**
 * The files behind names of files, folders (with all below them) and globs, sorted and each once. Names that lead
 * nowhere, empty folders and files of other kinds are reported, not thrown.
 */
export function listSources(sources: readonly string[], report: (problem: Problem) => void): SourceFile[] {
  const found = new Map<string, SourceFile>();
  for (const source of sources) {
    const paths = /[*?[{]/.test(source) ? globSync(source).sort() : [source];
    if (paths.length === 0) report({ source, kind: 'nothing found', detail: 'The pattern matches no file.' });
    for (const path of paths) collect(path, true, found, report);
  }
  return [...found.values()];
}

function collect(path: string, named: boolean, found: Map<string, SourceFile>, report: (problem: Problem) => void): void {
  let stats: ReturnType<typeof statSync>;
  try {
    stats = statSync(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    report({ source: path, kind: 'unreadable', detail: code === 'ENOENT' ? 'There is no such file or folder.' : `${message}.` });
    return;
  }
  if (stats.isDirectory()) {
    let names: string[];
    try {
      names = readdirSync(path).sort();
    } catch (error) {
      report({ source: path, kind: 'unreadable', detail: `${(error as Error).message}.` });
      return;
    }
    const visible = names.filter((name) => !name.startsWith('.'));
    if (visible.length === 0) report({ source: path, kind: 'nothing found', detail: 'The folder is empty.' });
    for (const name of visible) collect(join(path, name), false, found, report);
  } else if (!stats.isFile()) {
    report({ source: path, kind: 'unreadable', detail: 'It is neither a file nor a folder.' });
  } else if (!formatOf(path).format) {
    const known = Object.keys(formats).join(' ');
    if (named || stats.size > 0) report({ source: path, kind: 'unknown format', detail: `Its name ends in none of ${known}.` });
  } else if (stats.size === 0) {
    report({ source: path, kind: 'empty', detail: 'The file has no bytes.' });
  } else {
    found.set(path, { path, bytes: stats.size });
  }
}
