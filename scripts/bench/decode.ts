/**
 * One sequence's tokens beside Transformers.js on the same graph, beside llama.cpp (node-llama-cpp, Q4_0) on a model of
 * the same shape, and beside what the memory's bandwidth allows: each in a process of its own, in turns.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { BenchResult } from '../bench.ts';
import { readBandwidth } from './decode/bandwidth.ts';
import type { Task, Times } from './decode/measure.ts';
import { installedPeers } from './decode/peers.ts';
import { config, smolShape } from './decode/shape.ts';

const names = { wick: 'wick', transformers: 'Transformers.js', llama: 'llama.cpp' } as const;
type Name = keyof typeof names;

export async function run({ args }: { args: string[] }): Promise<BenchResult> {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '3' },
      prompt: { type: 'string', default: '512' },
      tokens: { type: 'string', default: '32' },
      threads: { type: 'string', default: String(availableParallelism()) },
    },
  });
  const [rounds, prompt, tokens, threads] = [values.rounds, values.prompt, values.tokens, values.threads].map(
    Number,
  );
  const folder = resolve('.wick/bench');
  mkdirSync(folder, { recursive: true });
  const { onnx, gguf } = smolShape(folder);
  const peers = installedPeers(join(folder, 'peers'));
  const times = Object.fromEntries(
    Object.keys(names).map((name) => [name, { prefill: [], token: [] }]),
  ) as unknown as Record<Name, Times>;
  const bandwidths: number[] = [];
  for (let round = 0; round < rounds; round++) {
    bandwidths.push(await readBandwidth(threads));
    for (const engine of Object.keys(names) as Name[]) {
      const model = engine === 'llama' ? gguf : onnx;
      const got = measure({
        ...{ engine, model, peers, threads, prompt, tokens },
        rounds: 2,
        vocab: config.vocab_size,
      });
      times[engine].prefill.push(...got.prefill);
      times[engine].token.push(...got.token);
    }
  }
  const [wick, transformers, llama] = (Object.keys(names) as Name[]).map((name) => ({
    token: median(times[name].token),
    prefill: (prompt / median(times[name].prefill)) * 1000,
  }));
  const { num_hidden_layers: layers, num_key_value_heads: kvHeads, head_dim } = config;
  const cacheBytes = (prompt + tokens / 2) * layers * kvHeads * head_dim * 2 * 4;
  const bandwidth = Math.max(...bandwidths);
  const limit = ((statSync(join(onnx, 'onnx/model_q4.onnx')).size + cacheBytes) / bandwidth) * 1000;
  return {
    rows: [
      ...(Object.keys(names) as Name[]).map((name) => ({
        engine: names[name],
        'ms/token': round2(median(times[name].token)),
        'best ms/token': round2(Math.min(...times[name].token)),
        'prompt tokens/s': Math.round((prompt / median(times[name].prefill)) * 1000),
      })),
      {
        engine: `memory at ${round2(bandwidth / 1e9)} GB/s`,
        'ms/token': round2(limit),
        'best ms/token': '',
        'prompt tokens/s': '',
      },
    ],
    summary: {
      over_transformersjs: round2(transformers.token / wick.token),
      over_llamacpp: round2(llama.token / wick.token),
      prefill_over_transformersjs: round2(wick.prefill / transformers.prefill),
      prefill_over_llamacpp: round2(wick.prefill / llama.prefill),
      of_bandwidth: round2(limit / wick.token),
      ms_per_token: round2(wick.token),
      prompt,
      threads,
    },
  };
}

/** Runs one engine in a process of its own. */
function measure(task: Task): Times {
  const script = fileURLToPath(new URL('./decode/measure.ts', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, JSON.stringify(task)], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const last = stdout.trim().split('\n').at(-1);
  if (status !== 0 || !last) throw new Error(`${names[task.engine]} failed: ${stderr.trim() || stdout}`);
  return JSON.parse(last) as Times;
}

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1];
const round2 = (value: number): number => Math.round(value * 100) / 100;
