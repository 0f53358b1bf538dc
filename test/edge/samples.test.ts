/** The examples of the reference, run as they stand there against the built Worker. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Sample, samples } from '../../src/edge/reference/samples.ts';
import { type DrawingService, startDrawingService } from './drawing-service.ts';
import { type Started, secret, startWorker } from './worker.ts';

const run = promisify(execFile);
let folder: string;
let worker: Started;
let service: DrawingService;
let shown: Sample[];
/** Whether there is a Python to run its examples with. */
let python = true;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wick-samples-'));
  await symlink(new URL('../../node_modules', import.meta.url).pathname, join(folder, 'node_modules'));
  await run('python3', ['-c', 'pass']).catch(() => {
    python = false;
  });
  service = await startDrawingService();
  worker = await startWorker({ WICK_SERVICE_URL: service.url, WICK_SECRET: secret });
  const { paths } = (await (await fetch(new URL('/openapi.json', worker.url))).json()) as {
    paths: Record<string, Record<string, { 'x-codeSamples'?: Sample[] }>>;
  };
  shown = Object.values(paths)
    .flatMap((methods) => Object.values(methods))
    .flatMap((operation) => operation['x-codeSamples'] ?? []);
});
afterAll(async () => {
  await worker?.stop();
  await service?.down();
  await rm(folder, { recursive: true, force: true });
});

/** By its language, the program that runs an example. */
const runners: Record<Sample['lang'], (source: string) => Promise<[program: string, ...args: string[]]>> = {
  // A failure's status is one of curl's as well.
  Shell: async (source) => ['sh', '-c', source.replace('curl ', 'curl -sS --fail-with-body ')],
  Python: async (source) => ['python3', '-c', source],
  TypeScript: async (source) => {
    const file = join(folder, `${crypto.randomUUID()}.mts`);
    await writeFile(file, source);
    return [process.execPath, '--no-warnings', file];
  },
};

const all = Object.values(samples).flat();

test('all are shown, each under a name of its own', () => {
  expect(shown.map(({ label }) => label).sort()).toEqual(all.map(({ label }) => label).sort());
  expect(new Set(shown.map(({ label }) => label)).size).toBe(all.length);
});

for (const { lang, label } of all) {
  test(label, async ({ skip }) => {
    if (lang === 'Python' && !python) skip('There is no python3 here.');
    const { source } = shown.find((each) => each.label === label)!;
    const [program, ...args] = await runners[lang](source);
    const { stdout, stderr } = await run(program, args, { cwd: folder });
    expect(stderr).toBe('');
    if (label.endsWith('at its address')) expect(await readdir(folder)).toContain('apple.png');
    else expect(stdout.trim()).not.toBe('');
  });
}
