/** A decoder of a given shape with random weights, and how fast a device runs its graph for batches. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { countParameters, gptInference, gptParameters } from '../../../src/architecture/gpt.ts';
import { parseGptConfig } from '../../../src/architecture/gpt-config.ts';
import { release } from '../../../src/generation/model.ts';
import { toOnnx } from '../../../src/graph/onnx.ts';
import { cacheOutputs } from '../../../src/graph/rewrites/cache-outputs.ts';
import { keepsCacheOnDevice } from '../../../src/service/model-folder.ts';
import { loadRuntime, openSession, type Provider } from '../../../src/service/runtime.ts';
import { initialParameters } from '../../../src/training/initialization.ts';
import { config as smollm2 } from '../decode/shape.ts';
import { fastest } from './limits.ts';

const shapes = {
  /** That of SmolLM2-135M. */
  smollm2,
  /** For software adapters. */
  small: parseGptConfig({
    vocab_size: 4096,
    hidden_size: 192,
    intermediate_size: 512,
    num_hidden_layers: 4,
    num_attention_heads: 3,
    num_key_value_heads: 3,
    head_dim: 64,
    max_position_embeddings: 2048,
  }),
};
export const shapeNames = Object.keys(shapes) as (keyof typeof shapes)[];

export interface DecoderBench {
  parameters: number;
  /** Bytes of keys and values of one token. */
  cacheBytesPerToken: number;
  /** Seconds of a step of one token for each of `batch` sequences that have `past` tokens. */
  decode(batch: number, past: number, rounds: number): Promise<number>;
  /** Seconds in which prompts of `length` tokens are taken in, `batch` at once. */
  prefill(batch: number, length: number, rounds: number): Promise<number>;
}

/** @param folder where the graph is written */
export async function decoderBench(
  shape: keyof typeof shapes,
  provider: Provider,
  folder: string,
): Promise<DecoderBench> {
  const config = shapes[shape];
  const drawn = initialParameters(gptParameters(config), 1);
  const graph = toOnnx(gptInference(config, new Map([...drawn].map(([name, { data }]) => [name, data]))));
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${shape}.onnx`);
  writeFileSync(path, graph);
  const ort = await loadRuntime();
  const cache = cacheOutputs(graph);
  const onDevice = keepsCacheOnDevice(provider) ? cache : [];
  const session = await openSession(ort, path, { provider }, { onDevice });

  const feedsOf = (batch: number, length: number, past: number): Record<string, Tensor> => {
    const ids = (count: number, of: (i: number) => number) =>
      BigInt64Array.from({ length: batch * count }, (_, i) => BigInt(of(i % count)));
    return {
      input_ids: new ort.Tensor(
        'int64',
        ids(length, (i) => i % config.vocab_size),
        [batch, length],
      ),
      attention_mask: new ort.Tensor(
        'int64',
        ids(past + length, () => 1),
        [batch, past + length],
      ),
      position_ids: new ort.Tensor(
        'int64',
        ids(length, (i) => past + i),
        [batch, length],
      ),
    };
  };
  const emptyCache = (batch: number) =>
    Object.fromEntries(
      cache.map((name) => {
        const shape = [batch, config.num_key_value_heads, 0, config.head_dim];
        return [pastOf(name), new ort.Tensor('float32', new Float32Array(0), shape)];
      }),
    );
  // What is fetched is copied, unless it stays on the device.
  const outputs = ['logits', ...onDevice];

  return {
    parameters: countParameters(config),
    cacheBytesPerToken: 4 * 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim,
    async decode(batch, past, rounds) {
      const begun = await session.run({ ...feedsOf(batch, past, 0), ...emptyCache(batch) }, [
        'logits',
        ...cache,
      ]);
      const own = Object.fromEntries(cache.map((name) => [pastOf(name), begun[name]]));
      const feeds = { ...feedsOf(batch, 1, past), ...own };
      const seconds = await fastest(rounds, () => stepped(session, feeds, outputs));
      for (const tensor of Object.values(own)) release(tensor);
      return seconds;
    },
    prefill(batch, length, rounds) {
      const feeds = { ...feedsOf(batch, length, 0), ...emptyCache(batch) };
      return fastest(rounds, () => stepped(session, feeds, outputs));
    },
  };
}

const pastOf = (output: string): string => output.replace('present', 'past_key_values');

async function stepped(
  session: InferenceSession,
  feeds: Record<string, Tensor>,
  outputs: readonly string[],
): Promise<void> {
  for (const tensor of Object.values(await session.run(feeds, outputs))) release(tensor);
}
