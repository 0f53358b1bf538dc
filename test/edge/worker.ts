/** The built Worker on a real workerd, for the tests of this room. */
import { createServer } from 'node:net';
import { type RunningWorker, runWorker } from '../../src/edge/host.ts';
import { sharedBundle } from './shared-bundle.ts';

export const secret = 'a secret for tests alone';

/** A Worker, and what it has logged. */
export type Started = RunningWorker & { log: string[] };

/** Starts the built Worker on a free port. */
export async function startWorker(variables: Record<string, string> = {}, inspect = false): Promise<Started> {
  const log: string[] = [];
  const bundle = await sharedBundle();
  const worker = await runWorker({ bundle, port: 0, variables, inspect, log: (line) => log.push(line) });
  return { ...worker, log };
}

/** A port that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Waits until a condition holds. @throws Error naming what never came */
export async function until(
  what: string,
  holds: () => Promise<boolean> | boolean,
  milliseconds = 30_000,
): Promise<void> {
  const end = Date.now() + milliseconds;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`This never came: ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
