/** What the service tells of itself to who watches over it; each figure has its help text here. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { EngineStats } from '../generation/engine/engine.ts';
import type { ImageHost } from './image-host.ts';
import type { Host, ModelHost } from './model-host.ts';
import { createRegistry, type Sample } from './prometheus.ts';

export interface Metrics {
  /** A request is over; `status` is that of its failure, where it failed in the middle of its stream. */
  request(route: string, status: number): void;
  queue(model: string, seconds: number): void;
  firstToken(model: string, seconds: number): void;
  /** So many tokens came, each after so many seconds. */
  interToken(model: string, seconds: number, tokens: number): void;
  tokens(model: string, counts: { prompt?: number; generated?: number; cached?: number }): void;
  image(model: string): void;
  /** All figures as text. */
  text(): string;
}

/** Upper bounds in seconds. */
const [SHORT, LONG] = [
  [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
  [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
];
/** What of an engine's figures is told, under which name. */
const ofEngine: readonly [
  type: 'gauge' | 'counter',
  name: string,
  figure: keyof EngineStats,
  help: string,
][] = [
  ['gauge', 'wick_batch_size', 'batch', 'Sequences that were computed together last.'],
  ['gauge', 'wick_sequences_running', 'running', 'Sequences with keys and values in the cache.'],
  ['gauge', 'wick_sequences_waiting', 'waiting', 'Sequences that wait for room in the cache.'],
  ['gauge', 'wick_cache_tokens', 'cache_tokens', 'Tokens in the cache.'],
  ['gauge', 'wick_cache_prefix_tokens', 'prefix_tokens', 'Tokens in the cache that no sequence uses now.'],
  ['gauge', 'wick_cache_capacity_tokens', 'cache_capacity', 'Tokens that the cache has room for.'],
  ['counter', 'wick_turns_total', 'turns', 'Runs of the graph.'],
  ['counter', 'wick_prefilled_tokens_total', 'prefill_tokens', 'Tokens of prompts that were computed.'],
  ['counter', 'wick_decoded_tokens_total', 'decode_tokens', 'Tokens of answers that were computed.'],
  ['counter', 'wick_preemptions_total', 'preemptions', 'Sequences that lost their room for a while.'],
  ['counter', 'wick_proposed_tokens_total', 'proposed_tokens', 'Tokens that were computed ahead.'],
  ['counter', 'wick_accepted_tokens_total', 'accepted_tokens', 'Tokens computed ahead that were drawn.'],
];
/** Milliseconds between two looks at the event loop. */
const RESOLUTION = 10;

export function createMetrics(
  models: ReadonlyMap<string, ModelHost>,
  imageModels: ReadonlyMap<string, ImageHost>,
): Metrics {
  const registry = createRegistry();
  const hosts = function* (of: (host: Host) => number): Iterable<Sample> {
    for (const [model, host] of [...models, ...imageModels]) yield [{ model }, of(host)];
  };
  const requests = registry.counter('wick_requests_total', 'Requests that are over, by route and status.');
  const prompt = registry.counter('wick_prompt_tokens_total', 'Tokens of prompts.');
  const generated = registry.counter('wick_generated_tokens_total', 'Tokens of answers.');
  const cached = registry.counter('wick_cached_tokens_total', 'Tokens of prompts found in the cache.');
  const images = registry.counter('wick_images_total', 'Images drawn.');
  const queue = registry.histogram('wick_queue_seconds', 'Time in the line before a model.', LONG);
  const first = registry.histogram(
    'wick_time_to_first_token_seconds',
    'From the admission of a request to its first token.',
    LONG,
  );
  const between = registry.histogram('wick_inter_token_seconds', 'Between two tokens of an answer.', SHORT);
  registry.read('gauge', 'wick_requests_running', 'Requests that a model works at.', () =>
    hosts((host) => host.load().running),
  );
  registry.read('gauge', 'wick_requests_queued', 'Requests in the line before a model.', () =>
    hosts((host) => host.load().queued),
  );
  registry.read('gauge', 'wick_model_loaded', 'Whether a model is in memory.', () =>
    hosts((host) => Number(host.state() === 'loaded')),
  );
  registry.read('gauge', 'wick_model_bytes', "Bytes of a model's weights.", () =>
    hosts((host) => host.bytes),
  );
  registry.read('counter', 'wick_model_crashes_total', 'Threads of a model that died.', () =>
    hosts((host) => host.deaths()),
  );
  registry.read('gauge', 'process_resident_memory_bytes', 'Memory of the process.', () => [
    [{}, process.memoryUsage.rss()],
  ]);
  for (const [type, name, figure, help] of ofEngine) {
    registry.read(type, name, help, function* () {
      for (const [model, host] of models) {
        const value = host.stats()?.[figure];
        if (value !== undefined) yield [{ model }, value];
      }
    });
  }
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
  delay.enable();
  registry.read(
    'gauge',
    'wick_event_loop_delay_seconds',
    'How late the thread that answers requests is, since it was asked last.',
    () => {
      const quantiles = [0.5, 0.99, 1].map((quantile): Sample => {
        const late = delay.count > 0 ? delay.percentile(100 * quantile) / 1e9 - RESOLUTION / 1000 : 0;
        return [{ quantile: String(quantile) }, Math.max(0, late)];
      });
      delay.reset();
      return quantiles;
    },
  );
  return {
    request: (route, status) => requests({ route, status: String(status) }),
    queue: (model, seconds) => queue({ model }, seconds),
    firstToken: (model, seconds) => first({ model }, seconds),
    interToken: (model, seconds, tokens) => between({ model }, seconds, tokens),
    tokens(model, counts) {
      if (counts.prompt) prompt({ model }, counts.prompt);
      if (counts.generated) generated({ model }, counts.generated);
      if (counts.cached) cached({ model }, counts.cached);
    },
    image: (model) => images({ model }),
    text: registry.text,
  };
}
