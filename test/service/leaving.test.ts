import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readEvents } from '../../src/api/events.ts';
import { createRandom } from '../../src/data/random.ts';
import { type ServiceProcess, startServiceIn } from '../fixtures/service.ts';

const folder = new URL('../fixtures/families/smollm2', import.meta.url).pathname;
let service: ServiceProcess;
beforeAll(async () => {
  // With little room garbage is collected often, and what stays is what is held.
  const environment = { NODE_OPTIONS: '--max-old-space-size=48 --max-semi-space-size=1' };
  service = await startServiceIn(environment, '--models', folder, '--max-queue', '100', '--cache', '2MB');
});
afterAll(() => service?.stop());

const prompts = [
  'The cat',
  'The cat sat on the mat and',
  'One two three one two three one two',
  'A',
  'Hello there',
];
const request = (seed: number) => ({
  model: 'smollm2',
  input: { text: prompts[seed % prompts.length] },
  parameters: {
    max_tokens: 40,
    temperature: seed % 3 ? 1 : 0,
    seed: seed % 10,
    n: seed % 7 ? 1 : 3,
    ignore_eos: true,
  },
});
const KINDS = 210;

async function answerTo(seed: number): Promise<number[][]> {
  const response = await service.ask('POST', '/v1/generate', request(seed));
  const tokens: number[][] = [[], [], []];
  let last = '';
  for await (const event of readEvents(response.body!)) {
    if (event.type === 'delta') tokens[event.index].push(...event.tokens);
    last = event.type;
  }
  expect(last).toBe('done');
  return tokens;
}

/** Reads so many pieces of an answer and leaves. */
async function leave(seed: number, pieces: number): Promise<void> {
  const left = new AbortController();
  const asked = service.ask('POST', '/v1/generate', request(seed), left.signal);
  if (pieces === 0) setTimeout(() => left.abort(), 1);
  try {
    const reader = (await asked).body!.getReader();
    for (let i = 0; i < pieces; i++) await reader.read();
    left.abort();
  } catch (error) {
    if (!left.signal.aborted) throw error;
  }
}

async function metrics(): Promise<(name: string) => number> {
  const text = await (await service.ask('GET', '/metrics')).text();
  return (name) => Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1]);
}

/** The figures once nothing is written any more. */
async function settled(): Promise<(name: string) => number> {
  for (let i = 0; i < 100; i++) {
    const figure = await metrics();
    const busy = [
      'wick_requests_running',
      'wick_requests_queued',
      'wick_sequences_running',
      'wick_sequences_waiting',
    ];
    if (busy.every((name) => figure(name) === 0)) return figure;
    await sleep(50);
  }
  throw new Error('Somebody who has left is still written for.');
}

it('500 who leave at random moments leave nothing behind, and who stays gets what it would alone', async () => {
  const alone = new Map<number, number[][]>();
  for (const seed of [0, 1, 7, 21, 33, 104]) alone.set(seed, await answerTo(seed));
  const stayers = [...alone.keys()];
  const random = createRandom(5);
  const memory: number[] = [];
  for (let round = 0; round < 5; round++) {
    let begun = 0;
    const caller = async () => {
      while (begun++ < 100) {
        const seed = Math.floor(random() * KINDS);
        if (begun % 10 > 0) await leave(seed, Math.floor(random() * 12));
        else {
          const stayer = stayers[begun % stayers.length];
          expect(await answerTo(stayer)).toEqual(alone.get(stayer));
        }
      }
    };
    await Promise.all(Array.from({ length: 25 }, caller));
    const figure = await settled();
    expect(figure('wick_cache_tokens')).toBe(figure('wick_cache_prefix_tokens'));
    memory.push(figure('process_resident_memory_bytes'));
  }
  for (const [seed, tokens] of alone) expect(await answerTo(seed)).toEqual(tokens);
  // What the first rounds warm up stays; the later ones add next to nothing.
  expect(memory[4] - memory[1]).toBeLessThan(25e6);
}, 120_000);
