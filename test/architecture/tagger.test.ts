import { describe, expect, it } from 'vitest';
import {
  parseTaggerConfig,
  taggerInference,
  taggerLoss,
  taggerParameters,
} from '../../src/architecture/tagger.ts';
import { createRandom } from '../../src/data/random.ts';
import { Graph } from '../../src/graph/graph.ts';
import { expectGradients } from '../fixtures/gradients.ts';
import { drawnWeights, tags } from '../fixtures/random-tagger.ts';
import { type Feed, prepareGraph, runGraph } from '../fixtures/run-graph.ts';

const config = parseTaggerConfig({
  ...tags,
  ...{ num_buckets: 40, features_per_word: 4, max_words: 9, embedding_size: 16, hidden_size: 12 },
  ...{
    intermediate_size: 10,
    windows: [
      [-1, 0, 1],
      [-2, 0, 1],
    ],
  },
});
const [batch, words, features, count] = [3, config.max_words, config.features_per_word, 5];

/** Texts of five, seven and nine words, each word with two features at least. */
function feedsOf(seed: number): Record<string, Feed> {
  const random = createRandom(seed);
  const ids = BigInt64Array.from({ length: batch * words * features }, (_, i) => {
    const [text, word] = [Math.floor(i / (words * features)), Math.floor(i / features) % words];
    const there = word < 5 + 2 * text && i % features < 2 + (word % 3);
    return there ? BigInt(1 + Math.floor(random() * (config.num_buckets - 1))) : 0n;
  });
  const known = Float32Array.from({ length: batch * words * count }, (_, i) =>
    Number(i % count === Math.floor(i / count) % count && Math.floor(i / count) % 4 > 0),
  );
  const weights = drawnWeights(config, seed);
  return {
    input_ids: { data: ids, shape: [batch, words, features] },
    tags: { data: known, shape: [batch, words, count] },
    ...Object.fromEntries(
      taggerParameters(config).map(({ name, shape }) => [name, { data: weights.get(name)!, shape }]),
    ),
  };
}

describe('the tagger', () => {
  it('has the gradients that finite differences give', async () => {
    await expectGradients((graph) => taggerLoss(graph, config, batch), feedsOf(1));
  });

  it('tags as it learnt, but for the rounding of its table', async () => {
    const feeds = feedsOf(4);
    const graph = new Graph();
    graph.output('logits', taggerLoss(graph, config, batch).logits);
    const learnt = Array.from((await runGraph(graph, feeds)).logits.data, Number);
    const tag = await prepareGraph(taggerInference(config, drawnWeights(config, 4)));
    const { scores } = await tag({ input_ids: feeds.input_ids });
    for (let i = 0; i < learnt.length; i += count) {
      const powers = learnt.slice(i, i + count).map(Math.exp);
      const sum = powers.reduce((a, b) => a + b);
      for (const [j, power] of powers.entries())
        expect(Math.abs(Number(scores.data[i + j]) - power / sum)).toBeLessThan(0.03);
    }
  });

  it('sees three words before a word and two behind it, and no others', async () => {
    const tag = await prepareGraph(taggerInference(config, drawnWeights(config, 5)));
    const { input_ids } = feedsOf(5);
    const whole = (input_ids.data as BigInt64Array).slice(-words * features);
    const scoresOf = async (data: BigInt64Array) =>
      Array.from((await tag({ input_ids: { data, shape: [1, words, features] } })).scores.data, Number);
    const before = await scoresOf(whole);
    const changed = whole.slice();
    changed.fill(7n, 4 * features, 5 * features);
    const after = await scoresOf(changed);
    const moved = Array.from({ length: words }, (_, word) =>
      before.slice(word * count, (word + 1) * count).some((score, i) => score !== after[word * count + i]),
    );
    // The word itself is number 4: those that have it at most two behind, or at most three before them.
    expect(moved).toEqual([false, false, true, true, true, true, true, true, false]);
  });

  it('says what is wrong with a configuration', () => {
    const wrong = (change: object) => () => parseTaggerConfig({ ...config, ...change });
    expect(wrong({ embedding_size: 24 })).toThrow(/embedding_size: it is 16, 32/);
    expect(wrong({ windows: [] })).toThrow(/windows/);
    expect(wrong({ id2label: { 0: 'O', 1: 'B-a', 2: 'I-b' } })).toThrow(/O, then B-TYPE and I-TYPE/);
    expect(() => taggerInference(config, new Map())).toThrow(/lack the parameter "embed_features.weight"/);
  });
});
