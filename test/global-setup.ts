/** Before and after all test files. */
import { rmSync } from 'node:fs';
import { bundleFolder } from './edge/shared-bundle.ts';

const clean = () => rmSync(bundleFolder(process.pid), { recursive: true, force: true });

export function setup(): void {
  // What a run with the same process number left when it was killed.
  clean();
}

export const teardown = clean;
