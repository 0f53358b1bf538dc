/**
 * Drawing: what the sampler costs beside the model, images a second for one, four and sixteen of them, and whether memory
 * stays flat.
 */
import { parseArgs } from 'node:util';
import { drawImage } from '../../src/generation/image/pipeline.ts';
import { loadImageFolder } from '../../src/service/image-folder.ts';
import { loadRuntime, type Provider } from '../../src/service/runtime.ts';
import type { BenchResult } from '../bench.ts';

const MEMORY_IMAGES = 100;

export async function run({ args }: { args: string[] }): Promise<BenchResult> {
  const { values } = parseArgs({
    args,
    options: {
      model: { type: 'string', default: 'models/wick-draw' },
      device: { type: 'string', default: 'cpu' },
      steps: { type: 'string' },
      counts: { type: 'string', default: '1,4,16' },
      memory: { type: 'string', default: String(MEMORY_IMAGES) },
    },
  });
  const counts = values.counts.split(',').map(Number);
  const spent = { model: 0, all: 0 };
  await timeSessions(spent);
  const model = await loadImageFolder(values.model, { provider: values.device as Provider });
  const steps = values.steps ? Number(values.steps) : undefined;
  const draw = async (seed: number) => {
    for await (const _ of drawImage(
      model,
      { prompt: 'a red apple', seed, num_inference_steps: steps },
      new AbortController().signal,
    ));
  };
  // The first drawings warm up.
  for (let seed = 0; seed < 3; seed++) await draw(seed);
  spent.model = 0;
  const rates: Record<number, number> = {};
  for (const count of counts) {
    const began = performance.now();
    for (let seed = 0; seed < count; seed++) await draw(seed);
    const ms = performance.now() - began;
    spent.all += ms;
    rates[count] = count / (ms / 1000);
  }
  const outside = 1 - spent.model / spent.all;
  const memory: number[] = [];
  for (let seed = 0; seed < Number(values.memory); seed++) {
    await draw(seed);
    if (seed % 10 === 9) {
      globalThis.gc?.();
      memory.push(process.memoryUsage().rss / 2 ** 20);
    }
  }
  await model.release();
  return {
    rows: counts.map((count) => ({
      images: count,
      'images/s': rates[count].toFixed(2),
      's an image': (1 / rates[count]).toFixed(3),
    })),
    summary: {
      outside_run: Number(outside.toFixed(4)),
      ...Object.fromEntries(
        counts.map((count) => [`images_per_second_n${count}`, Number(rates[count].toFixed(3))]),
      ),
      memory_first_mib: Math.round(memory[0] ?? 0),
      memory_last_mib: Math.round(memory.at(-1) ?? 0),
      memory_growth: Number(((memory.at(-1) ?? 1) / (memory[0] ?? 1)).toFixed(3)),
      steps: steps ?? model.defaults.num_inference_steps,
      device: values.device,
    },
  };
}

/** Adds up the time that sessions spend running. */
async function timeSessions(spent: { model: number }): Promise<void> {
  const { InferenceSession } = await loadRuntime();
  // Typed as a factory, it is the class of sessions.
  const { prototype } = InferenceSession as unknown as {
    prototype: { run: (...args: unknown[]) => Promise<unknown> };
  };
  const { run } = prototype;
  prototype.run = async function (...args) {
    const began = performance.now();
    try {
      return await run.apply(this, args);
    } finally {
      spent.model += performance.now() - began;
    }
  };
}
