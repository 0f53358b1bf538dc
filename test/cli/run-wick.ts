/** The command line as a process, for tests. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';

export const wick = new URL('../../src/cli/wick.js', import.meta.url).pathname;

export interface Ended {
  /** The exit code, or the signal that ended it. */
  code: number | string | null;
  stdout: string;
  stderr: string;
}

/** Resolves when a process has ended and all that it wrote is there. */
export function ended(child: ChildProcessWithoutNullStreams): Promise<Ended> {
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

/** Runs `wick ARGS` to its end. */
export function run(args: string[], { input = '' }: { input?: string } = {}): Promise<Ended> {
  // Colours are for terminals, whatever the tests themselves are told.
  const { FORCE_COLOR, ...env } = process.env;
  const child = spawn(process.execPath, [wick, ...args], { env });
  child.stdin.end(input);
  return ended(child);
}
