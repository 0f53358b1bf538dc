/** The command line as a process, for tests. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

export const wick = new URL('../../src/cli/wick.js', import.meta.url).pathname;

export interface Ended {
  /** The exit code, or the signal that ended it. */
  code: number | string | null;
  stdout: string;
  stderr: string;
}

/** Resolves when a process has ended and all that it wrote is there. */
export function ended(child: ChildProcessByStdio<Writable | null, Readable, Readable>): Promise<Ended> {
  return new Promise((resolve, reject) => {
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code: code ?? signal, stdout, stderr }));
  });
}

interface Surroundings {
  /** What is piped to it. */
  input?: string | Uint8Array;
  /** Beside the tests' own environment. */
  env?: Record<string, string>;
}

/** Starts `wick ARGS`, with a file as standard input: it stands for what a shell pipes. */
export function start(args: string[], { input = '', env = {} }: Surroundings = {}): Child {
  // Colours are for terminals, whatever the tests themselves are told.
  const { FORCE_COLOR, ...own } = process.env;
  const folder = mkdtempSync(join(tmpdir(), 'wick-input-'));
  writeFileSync(join(folder, 'input'), input);
  const descriptor = openSync(join(folder, 'input'), 'r');
  try {
    return spawn(process.execPath, [wick, ...args], {
      env: { ...own, ...env },
      stdio: [descriptor, 'pipe', 'pipe'],
    }) as Child;
  } finally {
    closeSync(descriptor);
    rmSync(folder, { recursive: true });
  }
}
type Child = ChildProcessByStdio<null, Readable, Readable>;

/** Runs `wick ARGS` to its end. */
export const run = (args: string[], surroundings?: Surroundings): Promise<Ended> =>
  ended(start(args, surroundings));
