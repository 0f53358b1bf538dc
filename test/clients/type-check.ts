/** Values held to types: what a server said is written down as TypeScript, and the compiler judges it. */
import { execFile } from 'node:child_process';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../fixtures/tiny.ts';

const modules = fileURLToPath(new URL('../../node_modules', import.meta.url));

export interface Typed {
  /** What it is, for the complaint about it. */
  what: string;
  /** A type, in the words of TypeScript. */
  type: string;
  value: unknown;
}

/**
 * Whether values fit their types exactly: a field too many is as wrong as one too few.
 * @param declarations what stands before them: imports, and types of one's own
 * @returns what the compiler has against them, each complaint with what it is about
 */
export async function typeFaults(declarations: string, values: readonly Typed[]): Promise<string[]> {
  const folder = temporaryFolder();
  symlinkSync(modules, join(folder, 'node_modules'));
  const lines = values.map(
    ({ type, value }, i) => `export const value${i} = ${JSON.stringify(value)} satisfies ${type};`,
  );
  const before = declarations.trim().split('\n');
  writeFileSync(join(folder, 'values.ts'), [...before, ...lines].join('\n'));
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2024', '--module', 'nodenext'];
  const compiler = join(modules, 'typescript/bin/tsc');
  const stdout = await new Promise<string>((resolve, reject) => {
    const args = [compiler, '--ignoreConfig', '--pretty', 'false', '--types', '', ...options, 'values.ts'];
    execFile(process.execPath, args, { cwd: folder, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error && !stdout) reject(new Error(stderr || error.message));
      else resolve(stdout);
    });
  });
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const at = /^values\.ts\((\d+),/.exec(line);
      const value = at && values[Number(at[1]) - 1 - before.length];
      return value ? `${value.what}: ${line.slice(0, 600)}` : line.slice(0, 600);
    });
}
