/**
 * Many callers at once: what is written in all for sixteen beside what is written for one, beside llama.cpp
 * (node-llama-cpp, Q4_0) for sixteen, and how long callers wait for a token, and newcomers for their first, while a long
 * prompt is read.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createBatchDecoder } from '../../src/generation/engine/batch-decoder.ts';
import { createEngine, type Engine } from '../../src/generation/engine/engine.ts';
import { defaultParameters } from '../../src/generation/parameters.ts';
import { createSampler } from '../../src/generation/sampler.ts';
import { loadModelFolder } from '../../src/service/model-folder.ts';
import type { BenchResult } from '../bench.ts';
import { drawing, promptOf, quantile, rateOf } from './batch/callers.ts';
import type { LlamaTask } from './batch/llama.ts';
import { installedPeers } from './decode/peers.ts';
import { config, smolShape } from './decode/shape.ts';

const LONG = 1500;
/** Milliseconds from one newcomer to the next while the long prompt is read. */
const COMING = 300;

export async function run({ args }: { args: string[] }): Promise<BenchResult> {
  const { values } = parseArgs({
    args,
    options: {
      callers: { type: 'string', default: '16' },
      prompt: { type: 'string', default: '64' },
      tokens: { type: 'string', default: '48' },
      rounds: { type: 'string', default: '3' },
      threads: { type: 'string', default: String(availableParallelism()) },
    },
  });
  const [callers, prompt, tokens, rounds, threads] = [
    ...[values.callers, values.prompt, values.tokens, values.rounds, values.threads],
  ].map(Number);
  const folder = resolve('.wick/bench');
  mkdirSync(folder, { recursive: true });
  const { onnx, gguf } = smolShape(folder);
  const peers = installedPeers(join(folder, 'peers'));
  const steps = (why: string) => {
    throw new Error(why);
  };
  const model = await loadModelFolder(onnx, { variant: 'q4', threads, steps });
  const decoder = createBatchDecoder(model);
  const { contextLength } = model;
  const engine = () => createEngine(decoder, { contextLength, cacheBytes: 4e9 });

  await together(engine(), 2, prompt, 8, 0);
  const rates: Record<'one' | 'many' | 'llama', number[]> = { one: [], many: [], llama: [] };
  for (let round = 0; round < rounds; round++) {
    rates.one.push(rateOf(await together(engine(), 1, prompt, tokens, 100 * round)));
    rates.many.push(rateOf(await together(engine(), callers, prompt, tokens, 100 * round)));
    rates.llama.push(llama({ gguf, peers, threads, callers, prompt, tokens, vocabulary: config.vocab_size }));
  }
  const [one, many, other] = [rates.one, rates.many, rates.llama].map((each) => quantile(each, 0.5));

  const busy = engine();
  const writing = together(busy, callers, prompt, 3 * tokens, 7);
  await sleep(3000);
  const began = performance.now();
  const long = write(busy, promptOf(LONG, 7777, config.vocab_size), 1, 7777);
  let reading = true;
  const read = () => {
    reading = false;
  };
  long.then(read, read);
  // Others come meanwhile, with short prompts.
  const newcomers: Promise<number>[] = [];
  for (let seed = 8000; reading; seed++) {
    const came = performance.now();
    const answer = write(busy, promptOf(prompt, seed, config.vocab_size), 4, seed);
    newcomers.push(answer.then(([first]) => first - came));
    await sleep(COMING);
  }
  const [first] = await long;
  const times = await writing;
  const waits = await Promise.all(newcomers);
  const late = times.flatMap((each) =>
    each.slice(1).flatMap((time, i) => (time > began && each[i] < first ? [time - each[i]] : [])),
  );
  return {
    rows: [
      { engine: 'wick', callers: 1, 'tokens/s': round1(one) },
      { engine: 'wick', callers, 'tokens/s': round1(many) },
      { engine: 'llama.cpp', callers, 'tokens/s': round1(other) },
    ],
    summary: {
      over_single: round2(many / one),
      over_llamacpp: round2(many / other),
      tokens_per_second: round1(many),
      long_prompt_first_token_ms: Math.round(first - began),
      newcomers: waits.length,
      newcomer_first_token_p50_ms: Math.round(quantile(waits, 0.5)),
      newcomer_first_token_p99_ms: Math.round(quantile(waits, 0.99)),
      inter_token_p50_beside_it_ms: Math.round(quantile(late, 0.5)),
      inter_token_p99_beside_it_ms: Math.round(quantile(late, 0.99)),
      callers,
      threads,
    },
  };
}

/** So many callers at once, each with a prompt of its own. */
const together = (engine: Engine, callers: number, prompt: number, tokens: number, seed: number) =>
  Promise.all(
    Array.from({ length: callers }, (_, i) =>
      write(engine, promptOf(prompt, seed + i, config.vocab_size), tokens, seed + i),
    ),
  );

/** When each token came, in milliseconds. */
async function write(engine: Engine, prompt: number[], tokens: number, seed: number): Promise<number[]> {
  const sampler = createSampler({ ...defaultParameters, ...drawing, seed }, prompt);
  const state = engine.open();
  const times: number[] = [];
  let logits = await state.step(prompt);
  for (;;) {
    const token = sampler.next(logits);
    if (times.push(performance.now()) === tokens) break;
    logits = await state.step([token]);
  }
  state.close();
  return times;
}

/** Tokens a second of llama.cpp, in a process of its own. */
function llama(task: LlamaTask): number {
  const script = fileURLToPath(new URL('./batch/llama.ts', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, JSON.stringify(task)], {
    encoding: 'utf8',
  });
  const last = stdout.trim().split('\n').at(-1);
  if (status !== 0 || !last) throw new Error(`node-llama-cpp failed: ${stderr.trim() || stdout}`);
  return Number(last);
}

const round1 = (value: number): number => Math.round(10 * value) / 10;
const round2 = (value: number): number => Math.round(100 * value) / 100;
