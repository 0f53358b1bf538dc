/**
 * The Worker on a real workerd: the memory of its isolate, the time from a cold start to the first token, and tokens
 * a second, beside the same model and the same loop on onnxruntime-node with one thread, measured in turns.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bundleWorker, type RunningWorker, runWorker } from '../../src/edge/host.ts';
import { type IsolateMemory, measureIsolate, workerdResidentBytes } from '../../src/edge/isolate-memory.ts';
import { generate } from '../../src/generation/generate.ts';
import { loadModelFolder } from '../../src/service/model-folder.ts';
import type { BenchResult } from '../bench.ts';

const id = 'Llama-wick-3M';
const folder = fileURLToPath(new URL(`../../models/${id}`, import.meta.url));
const prompt = 'Once upon a time';

export async function run({ args }: { args: string[] }): Promise<BenchResult> {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '5' },
      tokens: { type: 'string', default: '256' },
    },
  });
  const rounds = Number(values.rounds);
  // Greedy, and never the model's end: every answer is as long as asked.
  const parameters = {
    temperature: 0,
    max_tokens: Number(values.tokens),
    logit_bias: { 2: -100 },
  };
  const bundle = await bundleWorker();
  const launch = () => runWorker({ bundle, port: 0, variables: {}, log: () => {}, inspect: true });

  const colds: { start: number; firstToken: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    const worker = await launch();
    const start = performance.now() - began;
    const { firstToken } = await ask(worker, { ...parameters, max_tokens: 1 });
    await worker.stop();
    colds.push({ start, firstToken });
  }

  const worker = await launch();
  const residentBefore = await workerdResidentBytes();
  // Both models: the one that writes and the one that judges.
  await ask(worker, { ...parameters, max_tokens: 1 });
  await judge(worker);
  const loaded = await measureIsolate(worker);
  const residentLoaded = await workerdResidentBytes();
  const node = await loadModelFolder(folder, { threads: 1 });
  const rates: { edge: number; node: number }[] = [];
  for (let round = 0; round <= rounds; round++) {
    const edge = (await ask(worker, parameters)).tokensPerSecond;
    const began = performance.now();
    let first = 0;
    for await (const event of generate(node, { text: prompt }, parameters))
      if (event.type === 'delta') first ||= performance.now();
    const beside = (parameters.max_tokens - 1) / ((performance.now() - (first || began)) / 1000);
    // The first round warms up.
    if (round > 0) rates.push({ edge, node: beside });
  }
  const peak = await peakOf(
    worker,
    Array.from({ length: 4 }, () => ask(worker, { ...parameters, max_tokens: 480 })),
  );
  await worker.stop();

  const best = (of: 'edge' | 'node') => Math.max(...rates.map((rate) => rate[of]));
  const middle = (of: 'start' | 'firstToken') =>
    Math.round(colds.map((cold) => cold[of]).sort((a, b) => a - b)[rounds >> 1]);
  const megabytes = (bytes: number | undefined) =>
    bytes === undefined ? 0 : Number((bytes / 1e6).toFixed(1));
  return {
    rows: rates.map(({ edge, node }, i) => ({
      round: i + 1,
      'start of workerd, ms': Math.round(colds[i].start),
      'then to the first token, ms': Math.round(colds[i].firstToken),
      'edge, tokens/s': Math.round(edge),
      'node 1 thread, tokens/s': Math.round(node),
      ratio: (edge / node).toFixed(2),
    })),
    summary: {
      memory_loaded_mb: megabytes(loaded.total),
      memory_generating_mb: megabytes(peak.total),
      memory_wasm_mb: megabytes(peak.wasm),
      memory_buffers_mb: megabytes(peak.buffers),
      memory_heap_mb: megabytes(peak.heap + peak.embedder),
      workerd_rss_before_mb: megabytes(residentBefore),
      workerd_rss_loaded_mb: megabytes(residentLoaded),
      start_ms: middle('start'),
      first_token_ms: middle('firstToken'),
      cold_start_to_first_token_ms: middle('start') + middle('firstToken'),
      tokens_per_second: Math.round(best('edge')),
      node_tokens_per_second: Math.round(best('node')),
      edge_over_node: Number((best('edge') / best('node')).toFixed(3)),
      model: id,
    },
  };
}

/** One streamed answer: milliseconds to its first token, and tokens a second from there on. */
async function ask(
  worker: RunningWorker,
  parameters: { max_tokens: number },
): Promise<{ firstToken: number; tokensPerSecond: number }> {
  const began = performance.now();
  const response = await fetch(new URL('/v1/completions', worker.url), {
    method: 'POST',
    body: JSON.stringify({ model: id, prompt, stream: true, ...parameters }),
  });
  if (!response.ok || !response.body)
    throw new Error(`The Worker answered ${response.status}: ${await response.text()}`);
  let first = 0;
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    if (piece.includes('"text"')) first ||= performance.now();
  }
  const tokensPerSecond = (parameters.max_tokens - 1) / ((performance.now() - first) / 1000);
  return { firstToken: first - began, tokensPerSecond };
}

/** Has a text judged, for which the classifier is loaded. */
async function judge(worker: RunningWorker): Promise<void> {
  const url = new URL('/v1/moderations', worker.url);
  const response = await fetch(url, { method: 'POST', body: JSON.stringify({ input: prompt }) });
  if (!response.ok) throw new Error(`The Worker answered ${response.status}: ${await response.text()}`);
  await response.body?.cancel();
}

/** The most that an isolate holds while answers are made. */
async function peakOf(worker: RunningWorker, answers: Promise<unknown>[]): Promise<IsolateMemory> {
  let over = false;
  const all = Promise.all(answers).finally(() => {
    over = true;
  });
  let peak = await measureIsolate(worker);
  while (!over) {
    const now = await measureIsolate(worker);
    if (now.total > peak.total) peak = now;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await all;
  return peak;
}
