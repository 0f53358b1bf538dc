/**
 * A service under load for a while: connections that ask one request after another, long and short. No answer is lost,
 * each is the one that it is alone, and memory stays flat.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readEvents } from '../../src/api/events.ts';
import { createRandom } from '../../src/data/random.ts';
import { type ServiceProcess, startServiceIn } from '../../test/fixtures/service.ts';
import type { BenchResult } from '../bench.ts';

const models = fileURLToPath(new URL('../../models/Llama-wick-3M', import.meta.url));
const KINDS = 40;

export async function run({ args }: { args: string[] }): Promise<BenchResult> {
  const { values } = parseArgs({
    args,
    options: {
      seconds: { type: 'string', default: '300' },
      requests: { type: 'string', default: '1000' },
      connections: { type: 'string', default: '100' },
    },
  });
  const [seconds, requests, connections] = [values.seconds, values.requests, values.connections].map(Number);
  // With little room garbage is collected often, and what stays is what is held.
  const environment = { NODE_OPTIONS: '--max-old-space-size=96' };
  const service = await startServiceIn(
    environment,
    ...['--models', models, '--max-queue', '1000', '--cache', '64MB'],
  );
  try {
    const alone: string[] = [];
    for (let kind = 0; kind < KINDS; kind++) alone.push(await answerTo(service, kind));
    const counts = { answers: 0, lost: 0, crossed: 0 };
    const memory: number[] = [];
    const random = createRandom(1);
    const until = performance.now() + 1000 * seconds;
    let asked = 0;
    // At least for so long, and at least so many.
    const goesOn = () => asked < requests || performance.now() < until;
    const caller = async () => {
      while (goesOn()) {
        asked++;
        const kind = Math.floor(random() * KINDS);
        const answer = await answerTo(service, kind).catch(() => undefined);
        if (answer === undefined) counts.lost++;
        else if (answer !== alone[kind]) counts.crossed++;
        counts.answers++;
      }
    };
    const watch = setInterval(async () => memory.push(await residentBytes(service)), 5000);
    await Promise.all(Array.from({ length: connections }, caller));
    clearInterval(watch);
    const [early, late] = [memory.slice(0, memory.length >> 1), memory.slice(memory.length >> 1)].map(
      (part) => Math.round(Math.max(0, ...part) / 1e6),
    );
    return {
      rows: [{ ...counts, 'first half, MB': early, 'second half, MB': late }],
      summary: { ...counts, memory_growth: Math.round((100 * late) / Math.max(1, early)) / 100, connections },
    };
  } finally {
    await service.stop();
  }
}

/** The tokens of an answer, choice by choice. @throws Error if it does not come to its end */
async function answerTo(service: ServiceProcess, kind: number): Promise<string> {
  const random = createRandom(1000 + kind);
  const below = (most: number) => Math.floor(random() * most);
  const response = await service.ask('POST', '/v1/generate', {
    model: 'Llama-wick-3M',
    input: { tokens: Array.from({ length: 1 + below(kind % 5 ? 40 : 300) }, () => 300 + below(3000)) },
    parameters: {
      ...{ max_tokens: 1 + below(kind % 3 ? 40 : 150), temperature: below(2), seed: kind },
      ...{ n: kind % 8 ? 1 : 3, ignore_eos: true },
    },
  });
  const tokens: number[][] = [];
  for await (const event of readEvents(response.body!)) {
    if (event.type === 'error') throw new Error(event.error.message);
    if (event.type !== 'delta') continue;
    tokens[event.index] ??= [];
    tokens[event.index].push(...event.tokens);
  }
  return JSON.stringify(tokens);
}

async function residentBytes(service: ServiceProcess): Promise<number> {
  const text = await (await service.ask('GET', '/metrics')).text();
  return Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)?.[1]);
}
