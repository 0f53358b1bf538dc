import { beforeAll, describe, expect, it } from 'vitest';
import { countParameters, gptInference, gptLoss, gptParameters } from '../../src/architecture/gpt.ts';
import { type GptConfig, parseGptConfig } from '../../src/architecture/gpt-config.ts';
import { createRandom } from '../../src/data/random.ts';
import { gradients } from '../../src/graph/autodiff.ts';
import { Graph } from '../../src/graph/graph.ts';
import { type Feed, prepareGraph } from '../fixtures/run-graph.ts';

const shape = {
  vocab_size: 37,
  hidden_size: 24,
  intermediate_size: 40,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 16,
  max_position_embeddings: 32,
};
const config = parseGptConfig(shape);
const random = createRandom(11);
const weights = new Map(
  gptParameters(config).map(({ name, shape }) => [
    name,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => (random() - 0.5) * 0.6),
  ]),
);
const tokens = Array.from({ length: 11 }, () => Math.floor(random() * shape.vocab_size));

const int64 = (values: number[], shape: number[]): Feed => ({
  data: BigInt64Array.from(values, BigInt),
  shape,
});
const weightFeeds = () =>
  Object.fromEntries(
    gptParameters(config).map(({ name, shape }) => [name, { data: weights.get(name)!, shape }]),
  );

/** The decoder again, in loops: what the formulas of its papers say. Logits for each position. */
function reference(config: GptConfig, ids: number[]): number[][] {
  const {
    hidden_size: width,
    intermediate_size: inner,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: size,
  } = config;
  const times = (x: number[], name: string, columns: number) => {
    const matrix = weights.get(name)!;
    return Array.from({ length: columns }, (_, j) =>
      x.reduce((sum, value, i) => sum + value * matrix[i * columns + j], 0),
    );
  };
  const norm = (x: number[], name: string) => {
    const scale =
      1 / Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length + config.rms_norm_eps);
    return x.map((value, i) => value * scale * weights.get(name)![i]);
  };
  const turn = (x: number[], position: number) =>
    x.map((value, i) => {
      const half = size / 2;
      const angle = position * config.rope_theta ** (-(i % half) / half);
      return value * Math.cos(angle) + (i < half ? -x[i + half] : x[i - half]) * Math.sin(angle);
    });
  const table = weights.get('model.embed_tokens.weight')!;
  let hidden = ids.map((id) => [...table.subarray(id * width, (id + 1) * width)]);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const at = `model.layers.${layer}`;
    const qkv = hidden.map((x) =>
      times(
        norm(x, `${at}.input_layernorm.weight`),
        `${at}.self_attn.qkv_proj.weight`,
        (heads + 2 * kvHeads) * size,
      ),
    );
    const head = (position: number, index: number) => qkv[position].slice(index * size, (index + 1) * size);
    hidden = hidden.map((x, position) => {
      const mixed = Array.from({ length: heads }, (_, h) => {
        const kv = heads + Math.floor(h / (heads / kvHeads));
        const q = turn(head(position, h), position);
        const scores = Array.from(
          { length: position + 1 },
          (_, t) => turn(head(t, kv), t).reduce((sum, k, i) => sum + k * q[i], 0) / Math.sqrt(size),
        );
        const total = scores.reduce((sum, score) => sum + Math.exp(score), 0);
        return Array.from({ length: size }, (_, i) =>
          scores.reduce((sum, score, t) => sum + (Math.exp(score) / total) * head(t, kv + kvHeads)[i], 0),
        );
      }).flat();
      const added = times(mixed, `${at}.self_attn.o_proj.weight`, width);
      return x.map((value, i) => value + added[i]);
    });
    hidden = hidden.map((x) => {
      const both = times(
        norm(x, `${at}.post_attention_layernorm.weight`),
        `${at}.mlp.gate_up_proj.weight`,
        2 * inner,
      );
      const gated = Array.from(
        { length: inner },
        (_, i) => (both[i] / (1 + Math.exp(-both[i]))) * both[inner + i],
      );
      const added = times(gated, `${at}.mlp.down_proj.weight`, width);
      return x.map((value, i) => value + added[i]);
    });
  }
  return hidden.map((x) => {
    const last = norm(x, 'model.norm.weight');
    return Array.from({ length: config.vocab_size }, (_, v) =>
      last.reduce((sum, value, i) => sum + value * table[v * width + i], 0),
    );
  });
}

let run: Awaited<ReturnType<typeof prepareGraph>>;
beforeAll(async () => {
  run = await prepareGraph(gptInference(config, weights));
});

type Cache = Record<string, Feed>;
async function step(ids: number[], past?: { cache: Cache; length: number }) {
  const before = past?.length ?? 0;
  const cache: Cache =
    past?.cache ??
    Object.fromEntries(
      [0, 1].flatMap((layer) =>
        ['key', 'value'].map((kind) => [
          `past_key_values.${layer}.${kind}`,
          { data: new Float32Array(0), shape: [1, 2, 0, 16] },
        ]),
      ),
    );
  const results = await run({
    input_ids: int64(ids, [1, ids.length]),
    attention_mask: int64(new Array(before + ids.length).fill(1), [1, before + ids.length]),
    position_ids: int64(
      ids.map((_, i) => before + i),
      [1, ids.length],
    ),
    ...cache,
  });
  const next = Object.fromEntries(
    Object.keys(cache).map((name) => {
      const { data, shape } = results[name.replace('past_key_values', 'present')];
      return [name, { data: data as unknown as Float32Array, shape: [...shape] } as Feed];
    }),
  );
  const rows = ids.map((_, i) =>
    Array.from({ length: shape.vocab_size }, (_, v) => Number(results.logits.data[i * shape.vocab_size + v])),
  );
  return { logits: rows, past: { cache: next, length: before + ids.length } };
}

const farthest = (a: number[][], b: number[][]) =>
  Math.max(...a.flatMap((row, i) => row.map((x, j) => Math.abs(x - b[i][j]))));

describe('a decoder', () => {
  it('computes what its formulas say', async () => {
    expect(farthest((await step(tokens)).logits, reference(config, tokens))).toBeLessThan(1e-4);
  });

  it('computes the same token by token as at once', async () => {
    const whole = (await step(tokens)).logits;
    let { logits, past } = await step(tokens.slice(0, 4));
    for (const token of tokens.slice(4)) {
      const next = await step([token], past);
      logits = [...logits, ...next.logits];
      past = next.past;
    }
    expect(farthest(whole, logits)).toBeLessThan(1e-4);
  });

  it('has as its training loss what its answers say of the targets', async () => {
    const graph = new Graph();
    graph.output('loss', gptLoss(graph, config).loss);
    const [inputs, targets] = [tokens.slice(0, -1), tokens.slice(1)];
    const { loss } = await (await prepareGraph(graph))({
      ...weightFeeds(),
      input_ids: int64(inputs, [1, 10]),
      targets: int64(targets, [1, 10]),
    });
    const { logits } = await step(inputs);
    const nats = targets.map(
      (target, i) => Math.log(logits[i].reduce((sum, logit) => sum + Math.exp(logit), 0)) - logits[i][target],
    );
    expect(Number(loss.data[0])).toBeCloseTo(nats.reduce((a, b) => a + b) / 10, 4);
  });

  it('has gradients that fit finite differences, with sizes as symbols and as numbers', async () => {
    for (const sizes of [{}, { batch: 2, seq: 5 }]) {
      const graph = new Graph();
      const { loss, parameters } = gptLoss(graph, config, sizes);
      graph.output('loss', loss);
      for (const [i, gradient] of gradients(loss, parameters).entries()) graph.output(`g${i}`, gradient);
      const run = await prepareGraph(graph);
      const fixed = {
        input_ids: int64(tokens.slice(0, 10), [2, 5]),
        targets: int64(tokens.slice(1, 11), [2, 5]),
      };
      const still = await run({ ...weightFeeds(), ...fixed });
      for (const [i, { name }] of gptParameters(config).entries()) {
        const direction = Float32Array.from(weights.get(name)!, () => random() - 0.5);
        const at = async (step: number) => {
          const moved = weights.get(name)!.map((value, j) => value + step * direction[j]);
          const feeds = weightFeeds();
          return Number(
            (
              await run({
                ...feeds,
                [name]: { ...feeds[name], data: moved },
                ...fixed,
              })
            ).loss.data[0],
          );
        };
        const measured = ((await at(4e-3)) - (await at(-4e-3))) / 8e-3;
        const told = direction.reduce((sum, value, j) => sum + value * Number(still[`g${i}`].data[j]), 0);
        expect(Math.abs(told - measured), `${name}: ${told} against ${measured}`).toBeLessThan(
          0.02 * Math.max(1, Math.abs(measured)),
        );
      }
    }
  });

  it('counts its parameters', () => {
    const layer = 24 + 24 * 8 * 16 + 4 * 16 * 24 + 24 + 24 * 80 + 40 * 24;
    expect(countParameters(config)).toBe(37 * 24 + 2 * layer + 24);
  });

  it('names the weight that is missing', () => {
    expect(() => gptInference(config, new Map())).toThrow(
      'The weights lack the parameter "model.embed_tokens.weight".',
    );
  });
});

describe('a configuration', () => {
  it.each([
    [null, /JSON object/],
    [[], /JSON object/],
    [{ ...shape, vocab_size: undefined }, /"vocab_size" as a whole number from 1/],
    [{ ...shape, hidden_size: -1 }, /"hidden_size"/],
    [{ ...shape, num_hidden_layers: 1.5 }, /"num_hidden_layers"/],
    [{ ...shape, num_key_value_heads: 3 }, /has to divide/],
    [{ ...shape, head_dim: 15 }, /multiple of 16/],
    [{ ...shape, hidden_act: 'gelu' }, /wick builds "silu"/],
    [{ ...shape, tie_word_embeddings: false }, /wick builds true/],
    [{ ...shape, rope_theta: 0 }, /"rope_theta" as a positive number/],
  ])('%j is refused with a sentence', (json, message) => {
    expect(() => parseGptConfig(json)).toThrow(message);
  });
});
