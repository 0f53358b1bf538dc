/** A folder that appears whole or not at all. */
import { existsSync, mkdirSync, readdirSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';

export interface OutputFolder {
  /** Where the files are written until they are done. */
  work: string;
  /** Puts the work in its place. Prepared data that stood there before is replaced; other files are left alone. */
  finish(): void;
  /** Removes what is left of the work. */
  discard(): void;
}

/**
 * @param sources files that are read: none may lie in a folder that is replaced
 * @param mark the file by which a folder shows that it was made here and may be replaced
 * @param force also write into a folder that holds other things; they stay
 * @throws Error if `out` is a file, holds something else, or holds a source
 */
export function openOutput(
  out: string,
  { sources, mark, force = false }: { sources: readonly string[]; mark: string; force?: boolean },
): OutputFolder {
  const target = resolve(out);
  if (existsSync(target)) {
    if (!statSync(target).isDirectory()) throw new Error(`${out} is a file: name a folder to write into.`);
    const names = readdirSync(target);
    if (names.length > 0 && !names.includes(mark) && !force) {
      throw new Error(
        `${out} is not empty and holds no ${mark}: choose another folder, or say --force to write beside what is there.`,
      );
    }
    const inside = realpathSync(target) + sep;
    const source = sources.find((path) => realpathSync(path).startsWith(inside));
    if (source)
      throw new Error(`The source ${source} lies in ${out}, which would be replaced: choose another folder.`);
  }
  const prefix = `.${basename(target)}.partial-`;
  removeAbandoned(dirname(target), prefix);
  const work = join(dirname(target), `${prefix}${process.pid}`);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  return {
    work,
    finish() {
      const foreign = existsSync(target) && readdirSync(target).length > 0 && !existsSync(join(target, mark));
      if (foreign) {
        for (const name of readdirSync(work)) renameSync(join(work, name), join(target, name));
        return;
      }
      const old = `${work}.old`;
      if (existsSync(target)) renameSync(target, old);
      renameSync(work, target);
      rmSync(old, { recursive: true, force: true });
    },
    discard: () => rmSync(work, { recursive: true, force: true }),
  };
}

/** Work of processes that were killed. */
function removeAbandoned(folder: string, prefix: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const pid = name.startsWith(prefix) ? Number(name.slice(prefix.length)) : 0;
    if (Number.isInteger(pid) && pid > 0 && !isRunning(pid))
      rmSync(join(folder, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
