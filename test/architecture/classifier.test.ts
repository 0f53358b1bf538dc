import { describe, expect, it } from 'vitest';
import {
  classifierInference,
  classifierLoss,
  classifierParameters,
  parseClassifierConfig,
} from '../../src/architecture/classifier.ts';
import { createRandom, normal } from '../../src/data/random.ts';
import { Graph } from '../../src/graph/graph.ts';
import { expectGradients } from '../fixtures/gradients.ts';
import { type Feed, prepareGraph, runGraph, sizeOf } from '../fixtures/run-graph.ts';

const config = parseClassifierConfig({
  id2label: { 0: 'first', 1: 'second', 2: 'third' },
  ...{ num_buckets: 30, features_per_word: 4, max_words: 6 },
  ...{ hidden_size: 16, intermediate_size: 10, num_hidden_layers: 2 },
});
const batch = 3;

function feedsOf(seed: number): Record<string, Feed> {
  const random = createRandom(seed);
  const below = (end: number) => BigInt(1 + Math.floor(random() * (end - 1)));
  const { max_words: words, features_per_word: features } = config;
  const draw = (shape: number[]): Feed => ({
    data: Float32Array.from({ length: sizeOf(shape) }, () => 0.5 * normal(random)),
    shape,
  });
  const bits = (): Feed => ({
    data: Float32Array.from({ length: batch * 3 }, () => Number(random() < 0.5)),
    shape: [batch, 3],
  });
  return {
    input_ids: {
      // Texts of two, three and four words, words of one to four features.
      data: BigInt64Array.from({ length: batch * words * features }, (_, i) => {
        const [text, word] = [Math.floor(i / (words * features)), Math.floor(i / features) % words];
        return word < text + 2 && i % features <= word ? below(config.num_buckets) : 0n;
      }),
      shape: [batch, words, features],
    },
    labels: bits(),
    known: bits(),
    ...Object.fromEntries(classifierParameters(config).map(({ name, shape }) => [name, draw(shape)])),
  };
}

const parametersIn = (feeds: Record<string, Feed>) =>
  new Map(classifierParameters(config).map(({ name }) => [name, feeds[name].data as Float32Array]));

describe('the classifier', () => {
  it('has the gradients that finite differences give', async () => {
    await expectGradients((graph) => classifierLoss(graph, config, batch), feedsOf(1));
  });

  it('learns nothing of labels that are not known', async () => {
    const graph = new Graph();
    graph.output('loss', classifierLoss(graph, config, batch).loss);
    const feeds = feedsOf(3);
    const known = feeds.known.data as Float32Array;
    const others = (feeds.labels.data as Float32Array).map((label, i) => (known[i] ? label : 1 - label));
    const run = await prepareGraph(graph);
    const loss = (await run(feeds)).loss.data[0];
    expect((await run({ ...feeds, labels: { data: others, shape: [batch, 3] } })).loss.data[0]).toBe(loss);
    const none = { data: new Float32Array(known.length), shape: [batch, 3] };
    expect((await run({ ...feeds, known: none })).loss.data[0]).toBe(0);
  });

  it('judges as it learnt, but for the rounding of its table, each text by itself', async () => {
    const feeds = feedsOf(4);
    const graph = new Graph();
    graph.output('logits', classifierLoss(graph, config, batch).logits);
    const learnt = Array.from((await runGraph(graph, feeds)).logits.data, Number);
    const judge = await prepareGraph(classifierInference(config, parametersIn(feeds)));
    const { logits, scores } = await judge({ input_ids: feeds.input_ids });
    for (const [i, logit] of learnt.entries()) {
      expect(Math.abs(Number(logits.data[i]) - logit)).toBeLessThan(0.05);
      expect(Number(scores.data[i])).toBeCloseTo(1 / (1 + Math.exp(-Number(logits.data[i]))), 5);
    }
    const length = config.max_words * config.features_per_word;
    const second = (feeds.input_ids.data as BigInt64Array).slice(length, 2 * length);
    const alone = await judge({ input_ids: { data: second, shape: [1, 6, 4] } });
    for (const i of [0, 1, 2])
      expect(Number(alone.logits.data[i])).toBeCloseTo(Number(logits.data[3 + i]), 4);
  });

  it('says what is wrong with a configuration', () => {
    expect(() => parseClassifierConfig({ ...config, hidden_size: 24 })).toThrow(/hidden_size: it is 16, 32/);
    expect(() => parseClassifierConfig({ ...config, id2label: { 1: 'a' } })).toThrow(/without a gap/);
    expect(() => classifierInference(config, new Map())).toThrow(
      /lack the parameter "embed_features.weight"/,
    );
  });
});
