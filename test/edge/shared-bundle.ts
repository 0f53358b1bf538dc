/** The Worker's bundle, made once for all files of a test run: bundling takes longer than most of them. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { deserialize, serialize } from 'node:v8';
import { bundleWorker, type WorkerBundle } from '../../src/edge/host.ts';

/** Where the bundle of a test run lies, by the process that runs the files in processes of its own. */
export const bundleFolder = (runner: number): string => join(tmpdir(), `wick-test-bundle-${runner}`);

/** The bundle: whoever comes first makes it, the others wait. */
export async function sharedBundle(): Promise<WorkerBundle> {
  const folder = bundleFolder(process.ppid);
  const file = join(folder, 'bundle');
  for (;;) {
    try {
      return deserialize(readFileSync(file)) as WorkerBundle;
    } catch {
      // It is not there yet.
    }
    if (isFirst(folder)) {
      try {
        const bundle = await bundleWorker();
        writeFileSync(`${file}.part`, serialize(bundle));
        renameSync(`${file}.part`, file);
        return bundle;
      } catch (error) {
        rmSync(folder, { recursive: true, force: true });
        throw error;
      }
    }
    await sleep(50);
  }
}

function isFirst(folder: string): boolean {
  try {
    mkdirSync(folder);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
