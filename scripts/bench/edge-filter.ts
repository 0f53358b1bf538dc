/**
 * What the filter costs in the Worker: milliseconds to the first token and between two, by the default policy over one
 * that allows all, in turns in one run; and how fast it reads texts there.
 */
import { parseArgs } from 'node:util';
import { readServerSentEvents } from '../../src/api/server-sent-events.ts';
import { bundleWorker, type RunningWorker, runWorker } from '../../src/edge/host.ts';
import type { BenchResult } from '../bench.ts';
import { allowing } from './edge/allowing.ts';

const model = 'Llama-wick-3M';
const prose =
  'She had walked for 3 hours through the old town when, at last, the rain stopped and the light came back. ';
const UNITS = 900_000;

/** Milliseconds to the first piece of an answer, and between any two. */
interface Times {
  first: number;
  rest: number[];
}

export async function run({ args }: { args: string[] }): Promise<BenchResult> {
  const options = {
    rounds: { type: 'string', default: '60' },
    tokens: { type: 'string', default: '48' },
  } as const;
  const { values } = parseArgs({ args, options });
  const [rounds, tokens] = [Number(values.rounds), Number(values.tokens)];
  const bundle = await bundleWorker();
  const start = (variables: Record<string, string>) =>
    runWorker({ bundle, port: 0, variables, log: () => {} });
  const workers = { without: await start({ WICK_POLICY: allowing }), with: await start({}) };
  try {
    const all: Record<keyof typeof workers, Times[]> = { without: [], with: [] };
    const reading: Record<keyof typeof workers, number[]> = { without: [], with: [] };
    for (let round = -5; round < rounds; round++) {
      for (const name of ['without', 'with'] as const) {
        const times = await answer(workers[name], tokens, round);
        // The first rounds warm up, both as much.
        if (round >= 0) all[name].push(times);
        if (round >= 0 && round < 8) reading[name].push(await read(workers[name]));
      }
    }
    const first = (name: keyof typeof all) => all[name].map((times) => times.first);
    const rest = (name: keyof typeof all) => all[name].flatMap((times) => times.rest);
    const added = (of: typeof first, q: number) =>
      round(quantile(of('with'), q) - quantile(of('without'), q));
    const seconds = (Math.min(...reading.with) - Math.min(...reading.without)) / 1000;
    const speed = round(UNITS / 1e6 / seconds);
    const row = (way: string, of: typeof first) => ({
      way,
      'without p50, ms': round(quantile(of('without'), 0.5)),
      'added p50, ms': added(of, 0.5),
      'added p99, ms': added(of, 0.99),
      samples: of('with').length,
    });
    return {
      rows: [
        row('first token', first),
        row('each further piece', rest),
        { way: `reading prose: ${speed} MB/s` },
      ],
      summary: {
        first_token_added_p50_ms: added(first, 0.5),
        first_token_added_p99_ms: added(first, 0.99),
        piece_added_p50_ms: added(rest, 0.5),
        piece_added_p99_ms: added(rest, 0.99),
        workerd_mb_per_s: speed,
        rounds,
        tokens,
        model,
      },
    };
  } finally {
    await Promise.all(Object.values(workers).map((worker) => worker.stop()));
  }
}

/** A streamed answer: when its pieces come. */
async function answer(worker: RunningWorker, tokens: number, seed: number): Promise<Times> {
  const wish = { model, prompt: 'Once upon a time', stream: true, max_tokens: tokens, seed: seed + 100 };
  const began = performance.now();
  const response = await fetch(new URL('/v1/completions', worker.url), {
    method: 'POST',
    body: JSON.stringify({ ...wish, logit_bias: { 2: -100 } }),
  });
  const came: number[] = [];
  for await (const { data } of readServerSentEvents(response.body!, 1e6))
    if (data.includes('"finish_reason":null')) came.push(performance.now());
  if (came.length === 0) throw new Error(`It answered ${response.status} without a token.`);
  return { first: came[0] - began, rest: came.slice(1).map((at, i) => at - came[i]) };
}

/** Milliseconds of a prompt that is read, and then refused for its length. */
async function read(worker: RunningWorker): Promise<number> {
  const began = performance.now();
  const body = JSON.stringify({ model, prompt: prose.repeat(UNITS / prose.length) });
  const response = await fetch(new URL('/v1/completions', worker.url), { method: 'POST', body });
  if (response.status !== 400) throw new Error(`It answered ${response.status}: ${await response.text()}`);
  await response.arrayBuffer();
  return performance.now() - began;
}

const quantile = (list: readonly number[], q: number): number =>
  [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(q * list.length))];
const round = (value: number): number => Math.round(value * 100) / 100;
