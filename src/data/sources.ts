/** Which files a list of sources stands for. */
import { existsSync, globSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { ReportProblem } from './problems.ts';

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
  /** Its name in the data set: from the named folder on, or its own folder and name. */
  name: string;
  bytes: number;
}

/**
 * The files behind names of files, folders (with all below them) and globs, sorted and each once. Names that lead
 * nowhere, empty folders and files of other kinds are reported, not thrown. Hidden files, and what is in the folder
 * `except`, are passed over.
 */
export function listSources(
  sources: readonly string[],
  report: ReportProblem,
  except?: string,
): SourceFile[] {
  const walk: Walk = { found: new Map(), folders: new Set(), report, except: except && real(except) };
  for (const source of sources) {
    // A name that is there is meant as it stands, also where it holds signs of a pattern.
    const paths = !existsSync(source) && /[*?[{]/.test(source) ? globSync(source).sort() : [source];
    if (paths.length === 0) report({ source, kind: 'nothing found', detail: 'The pattern matches no file.' });
    for (const path of paths) collect(path, namedBy(path), walk);
  }
  return [...walk.found.values()];
}

interface Walk {
  found: Map<string, SourceFile>;
  /** Folders that were entered, by their real path: a link may lead back into one. */
  folders: Set<string>;
  report: ReportProblem;
  except?: string;
}

function real(path: string): string {
  return existsSync(path) ? realpathSync(path) : resolve(path);
}

function namedBy(path: string): string {
  const full = resolve(path);
  return existsSync(path) && statSync(path).isDirectory()
    ? basename(full)
    : join(basename(dirname(full)), basename(full));
}

function collect(path: string, name: string, walk: Walk): void {
  const { report } = walk;
  try {
    const stats = statSync(path);
    const place = realpathSync(path);
    if (place === walk.except) return;
    if (stats.isDirectory()) {
      if (walk.folders.has(place)) return;
      walk.folders.add(place);
      const names = readdirSync(path)
        .filter((entry) => !entry.startsWith('.'))
        .sort();
      if (names.length === 0) report({ source: path, kind: 'nothing found', detail: 'The folder is empty.' });
      for (const entry of names) collect(join(path, entry), join(name, entry), walk);
    } else if (!stats.isFile()) {
      report({ source: path, kind: 'unreadable', detail: 'It is neither a file nor a folder.' });
    } else if (stats.size === 0) {
      report({ source: path, kind: 'empty', detail: 'The file has no bytes.' });
    } else if (!formatOf(path).format) {
      const known = Object.keys(formats).join(' ');
      report({ source: path, kind: 'unknown format', detail: `Its name ends in none of ${known}.` });
    } else if (!walk.found.has(place)) {
      walk.found.set(place, { path, name, bytes: stats.size });
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const detail = code === 'ENOENT' ? 'There is no such file or folder.' : `${message}.`;
    report({ source: path, kind: 'unreadable', detail });
  }
}
