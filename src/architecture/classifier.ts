/**
 * A small classifier of texts that may have several labels at once. A word is the mean of vectors of itself and of
 * its runs of letters (Bojanowski et al., 2017), so that a changed spelling stays near; convolutions over three words
 * (Kim, 2014) see what stands beside it; the largest and the mean value of each feature over all words tell the labels.
 */
import { z } from 'zod';
import { Graph, type Value } from '../graph/graph.ts';
import {
  abs,
  add,
  cast,
  div,
  exp,
  greater,
  log,
  max,
  min,
  mul,
  neg,
  sigmoid,
  silu,
  sub,
} from '../graph/operators/elementwise.ts';
import { gather } from '../graph/operators/indexing.ts';
import { concat, expandTo, slice } from '../graph/operators/layout.ts';
import { matmul } from '../graph/operators/matmul.ts';
import { rmsNorm } from '../graph/operators/normalization.ts';
import { reduceMax, reduceSum } from '../graph/operators/reduction.ts';
import { checkedConfig } from './checked-config.ts';
import { hashedTable, type LookUp, weighedSum } from './hashed-table.ts';
import {
  matrix,
  type ParameterSpec,
  parameterConstants,
  parameterInputs,
  table,
  vector,
  type Weights,
} from './parameters.ts';

const size = z.number().int().min(1).max(65_536);

const schema = z.strictObject({
  architectures: z.tuple([z.literal('WickTextClassifier')]).default(['WickTextClassifier']),
  model_type: z.literal('wick_text_classifier').default('wick_text_classifier'),
  problem_type: z.literal('multi_label_classification').default('multi_label_classification'),
  /** Labels by their place in the result. */
  id2label: z.record(z.string().regex(/^\d+$/), z.string().min(1)),
  /** Rows of the table into which words and runs of letters are hashed; row 0 stands for nothing. */
  num_buckets: size.min(2),
  /** Features that a word has at most, itself the first. */
  features_per_word: size.max(256),
  /** Words that are read at a time. */
  max_words: size.min(2).max(4096),
  /** A power of two, so that a row of the table is one block of whole numbers. */
  hidden_size: size.refine((width) => width >= 16 && Number.isInteger(Math.log2(width)), {
    message: 'it is 16, 32, 64, …',
  }),
  intermediate_size: size,
  num_hidden_layers: z.number().int().min(0).max(16),
  rms_norm_eps: z.number().positive().default(1e-5),
});
export type ClassifierConfig = z.infer<typeof schema>;

/**
 * Completes and checks a configuration.
 * @throws Error naming each field that is not right
 */
export function parseClassifierConfig(json: unknown): ClassifierConfig {
  const data = checkedConfig(schema, json);
  const places = Object.keys(data.id2label).map(Number);
  if (places.length === 0 || places.some((place, i) => place !== i))
    throw new Error('The model configuration needs "id2label" with the labels at "0", "1", … without a gap.');
  return data;
}

/** The labels in the order of the results. */
export const labelsOf = ({ id2label }: Pick<ClassifierConfig, 'id2label'>): string[] =>
  Object.values(id2label);

/** The parameters in order; matrices are `[in, out]`. */
export function classifierParameters(config: ClassifierConfig): ParameterSpec[] {
  const { hidden_size: width, intermediate_size: inner, num_hidden_layers: layers } = config;
  const labels = labelsOf(config).length;
  return [
    table('embed_features.weight', [config.num_buckets, width], 1),
    vector('embed_norm.weight', width, 'ones'),
    ...Array.from({ length: layers }, (_, i) => `layers.${i}`).flatMap((layer) => [
      matrix(`${layer}.conv.weight`, [3 * width, inner], 1 / Math.sqrt(3 * width)),
      matrix(`${layer}.out_proj.weight`, [inner, width], 1 / Math.sqrt(inner * layers)),
      vector(`${layer}.norm.weight`, width, 'ones'),
    ]),
    matrix('pooler.weight', [2 * width, inner], 1 / Math.sqrt(2 * width)),
    vector('pooler.bias', inner, 0.01),
    // The last layer is no step between hidden states.
    table('classifier.weight', [inner, labels], 1 / Math.sqrt(inner)),
    vector('classifier.bias', labels, 0.01),
  ];
}

/**
 * Logits `[batch, labels]` of features int64 `[batch, max_words, features_per_word]`, where 0 stands for none; each
 * text has at least one.
 */
function classify(config: ClassifierConfig, weights: Weights, features: Value, embed: LookUp): Value {
  const { graph } = features;
  const one = graph.scalar(1);
  const isThere = cast(greater(features, graph.scalar(0, 'int64')), 'float32');
  const count = reduceSum(isThere, [2]);
  const share = div(isThere, max(count, one));
  const kept = min(count, one);
  let hidden = rmsNorm(embed(features, share), weights('embed_norm.weight'), config.rms_norm_eps);
  hidden = mul(hidden, kept);
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const window = withNeighbours(hidden);
    const inner = silu(matmul(window, weights(`layers.${i}.conv.weight`)));
    const seen = add(hidden, matmul(inner, weights(`layers.${i}.out_proj.weight`)));
    hidden = mul(rmsNorm(seen, weights(`layers.${i}.norm.weight`), config.rms_norm_eps), kept);
  }
  const outside = mul(sub(kept, one), graph.scalar(1e4));
  const largest = reduceMax(add(hidden, outside), [1], false);
  const mean = div(reduceSum(hidden, [1], false), reduceSum(kept, [1], false));
  const pooled = silu(add(matmul(concat([largest, mean]), weights('pooler.weight')), weights('pooler.bias')));
  return add(matmul(pooled, weights('classifier.weight')), weights('classifier.bias'));
}

/** The word before, the word itself and the word after: `[batch, words, width]` to `[batch, words, 3·width]`. */
function withNeighbours(x: Value): Value {
  const [batch, words, width] = x.shape;
  const none = expandTo(x.graph.scalar(0), [batch, 1, width]);
  const before = concat([none, slice(x, 0, Number(words) - 1, 1)], 1);
  const after = concat([slice(x, 1, Number(words), 1), none], 1);
  return concat([before, x, after]);
}

/**
 * Adds the loss to a graph: binary cross-entropy in nats a label, over the labels that are known.
 * Inputs: `input_ids` int64 `[batch, max_words, features_per_word]`, `labels` float32 `[batch, labels]` of 0 and 1,
 * `known` likewise, 1 where the label is known, and every parameter by name. Also returns the logits.
 */
export function classifierLoss(
  graph: Graph,
  config: ClassifierConfig,
  batch: number,
): { loss: Value; parameters: Value[]; logits: Value } {
  const features = graph.input('input_ids', 'int64', [batch, config.max_words, config.features_per_word]);
  const shape = [batch, labelsOf(config).length];
  const labels = graph.input('labels', 'float32', shape);
  const known = graph.input('known', 'float32', shape);
  const { parameters, weights } = parameterInputs(graph, classifierParameters(config));
  const embed: LookUp = (ids, shares) => weighedSum(gather(weights('embed_features.weight'), ids), shares);
  const logits = classify(config, weights, features, embed);
  const zero = graph.scalar(0);
  // -log sigmoid of the logit or of its negative, without an exponential that could overflow.
  const rest = log(add(graph.scalar(1), exp(neg(abs(logits)))));
  const each = add(sub(max(logits, zero), mul(logits, labels)), rest);
  const sum = reduceSum(mul(each, known), undefined, false);
  const loss = div(sum, max(reduceSum(known, undefined, false), graph.scalar(1)));
  return { loss, parameters, logits };
}

/**
 * The graph that judges: `input_ids` int64 `[batch_size, max_words, features_per_word]` to `logits` and `scores`
 * (their sigmoids), both `[batch_size, labels]`. The table is kept in 8 bits, each row with a scale.
 *
 * @throws Error naming a parameter that is missing or of the wrong size
 */
export function classifierInference(
  config: ClassifierConfig,
  elements: ReadonlyMap<string, Float32Array>,
): Graph {
  const { max_words, features_per_word } = config;
  const graph = new Graph('classifier');
  const features = graph.input('input_ids', 'int64', ['batch_size', max_words, features_per_word]);
  const [embedding, ...rest] = classifierParameters(config);
  const embed = hashedTable(graph, embedding, elements);
  const logits = classify(config, parameterConstants(graph, rest, elements), features, embed);
  graph.output('logits', logits);
  graph.output('scores', sigmoid(logits));
  return graph;
}
