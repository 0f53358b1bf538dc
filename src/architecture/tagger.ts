/**
 * A small tagger of words (BIO tags: where something begins, is inside, or is not). A word is the mean of vectors of
 * itself and of its runs of letters, and a vector of its shape (capitals, digits, space before it); convolutions over
 * words around it, left-leaning, see a finite and known way to both sides, so that a stream needs to wait for few words.
 */
import { z } from 'zod';
import { Graph, type Value } from '../graph/graph.ts';
import { add, cast, div, greater, max, min, mul, neg, silu } from '../graph/operators/elementwise.ts';
import { gather } from '../graph/operators/indexing.ts';
import { concat, expandTo, slice } from '../graph/operators/layout.ts';
import { matmul } from '../graph/operators/matmul.ts';
import { logSoftmax, rmsNorm, softmax } from '../graph/operators/normalization.ts';
import { reduceSum } from '../graph/operators/reduction.ts';
import { checkedConfig } from './checked-config.ts';
import { labelsOf } from './classifier.ts';
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
  architectures: z.tuple([z.literal('WickTagger')]).default(['WickTagger']),
  model_type: z.literal('wick_tagger').default('wick_tagger'),
  /** Tags by their place in the result: `O`, then `B-` and `I-` of each type. */
  id2label: z.record(z.string().regex(/^\d+$/), z.string().min(1)),
  /** Rows of the table into which words, runs of letters and shapes are hashed; row 0 stands for nothing. */
  num_buckets: size.min(2),
  /** Features that a word has at most, its shape the first. */
  features_per_word: size.min(2).max(256),
  /** Words that are read at a time. */
  max_words: size.min(2).max(4096),
  /** Width of the table: a power of two, so that a row is one block of whole numbers. */
  embedding_size: size.refine((width) => width >= 16 && Number.isInteger(Math.log2(width)), {
    message: 'it is 16, 32, 64, …',
  }),
  hidden_size: size,
  intermediate_size: size,
  /** For each layer, which words it sees beside each word: -1 is the one before, 0 itself. */
  windows: z
    .array(z.array(z.number().int().min(-64).max(64)).min(1).max(32))
    .min(1)
    .max(16),
  rms_norm_eps: z.number().positive().default(1e-5),
});
export type TaggerConfig = z.infer<typeof schema>;

/**
 * Completes and checks a configuration.
 * @throws Error naming each field that is not right
 */
export function parseTaggerConfig(json: unknown): TaggerConfig {
  const data = checkedConfig(schema, json);
  const tags = labelsOf(data);
  const types = tags.slice(1).filter((_, i) => i % 2 === 0);
  const wanted = ['O', ...types.flatMap((tag) => [tag, tag.replace(/^B-/, 'I-')])];
  if (tags.length < 3 || tags.join() !== wanted.join() || types.some((tag) => !/^B-./.test(tag)))
    throw new Error('The model configuration needs "id2label" with O, then B-TYPE and I-TYPE for each type.');
  return data;
}

/** The parameters in order; matrices are `[in, out]`. */
export function taggerParameters(config: TaggerConfig): ParameterSpec[] {
  const { embedding_size: width, hidden_size: hidden, intermediate_size: inner, windows } = config;
  const tags = labelsOf(config).length;
  return [
    // Small: a feature that was never learnt is to say little.
    table('embed_features.weight', [config.num_buckets, width], 0.1),
    vector('embed_norm.weight', width, 'ones'),
    matrix('in_proj.weight', [width, hidden], 1 / Math.sqrt(width)),
    ...windows.flatMap((window, i) => [
      matrix(
        `layers.${i}.conv.weight`,
        [window.length * hidden, inner],
        1 / Math.sqrt(window.length * hidden),
      ),
      matrix(`layers.${i}.out_proj.weight`, [inner, hidden], 1 / Math.sqrt(inner * windows.length)),
      vector(`layers.${i}.norm.weight`, hidden, 'ones'),
    ]),
    // The last layer is no step between hidden states.
    table('classifier.weight', [hidden, tags], 1 / Math.sqrt(hidden)),
    vector('classifier.bias', tags, 0.01),
  ];
}

/**
 * Logits `[batch, words, tags]` of features int64 `[batch, max_words, features_per_word]`, where 0 stands for none and
 * the first is a word's shape. A word without features is no word: what stands there is as the end of the text.
 */
function tag(config: TaggerConfig, weights: Weights, features: Value, lookUp: LookUp): Value {
  const { graph } = features;
  const one = graph.scalar(1);
  const isThere = cast(greater(features, graph.scalar(0, 'int64')), 'float32');
  const shape = slice(isThere, 0, 1, 2);
  const lexical = slice(isThere, 1, config.features_per_word, 2);
  const shares = concat([shape, div(lexical, max(reduceSum(lexical, [2]), one))]);
  const kept = min(reduceSum(isThere, [2]), one);
  const word = rmsNorm(lookUp(features, shares), weights('embed_norm.weight'), config.rms_norm_eps);
  let hidden = mul(matmul(word, weights('in_proj.weight')), kept);
  for (const [i, window] of config.windows.entries()) {
    const around = concat(window.map((offset) => moved(hidden, offset)));
    const inner = silu(matmul(around, weights(`layers.${i}.conv.weight`)));
    const seen = add(hidden, matmul(inner, weights(`layers.${i}.out_proj.weight`)));
    hidden = mul(rmsNorm(seen, weights(`layers.${i}.norm.weight`), config.rms_norm_eps), kept);
  }
  return add(matmul(hidden, weights('classifier.weight')), weights('classifier.bias'));
}

/** At each word what stands so many words behind it, or before it where the offset is negative; else zeros. */
function moved(x: Value, offset: number): Value {
  if (offset === 0) return x;
  const [batch, words, width] = x.shape;
  const by = Math.min(Math.abs(offset), Number(words));
  const none = expandTo(x.graph.scalar(0), [batch, by, width]);
  if (by === words) return none;
  return offset < 0
    ? concat([none, slice(x, 0, Number(words) - by, 1)], 1)
    : concat([slice(x, by, Number(words), 1), none], 1);
}

/**
 * Adds the loss to a graph: cross-entropy in nats a word, over the words whose tags are known.
 * Inputs: `input_ids` int64 `[batch, max_words, features_per_word]`, `tags` float32 `[batch, max_words, tags]`, 1 at a
 * word's tag and nowhere where it is not known, and every parameter by name. Also returns the logits.
 */
export function taggerLoss(
  graph: Graph,
  config: TaggerConfig,
  batch: number,
): { loss: Value; parameters: Value[]; logits: Value } {
  const features = graph.input('input_ids', 'int64', [batch, config.max_words, config.features_per_word]);
  const tags = graph.input('tags', 'float32', [batch, config.max_words, labelsOf(config).length]);
  const { parameters, weights } = parameterInputs(graph, taggerParameters(config));
  const lookUp: LookUp = (ids, shares) => weighedSum(gather(weights('embed_features.weight'), ids), shares);
  const logits = tag(config, weights, features, lookUp);
  const all = reduceSum(mul(logSoftmax(logits), tags), undefined, false);
  const loss = neg(div(all, max(reduceSum(tags, undefined, false), graph.scalar(1))));
  return { loss, parameters, logits };
}

/**
 * The graph that tags: `input_ids` int64 `[batch_size, max_words, features_per_word]` to `scores`, the probabilities
 * `[batch_size, max_words, tags]`. The table is kept in 8 bits, each row with a scale.
 *
 * @throws Error naming a parameter that is missing or of the wrong size
 */
export function taggerInference(config: TaggerConfig, elements: ReadonlyMap<string, Float32Array>): Graph {
  const graph = new Graph('tagger');
  const features = graph.input('input_ids', 'int64', [
    'batch_size',
    config.max_words,
    config.features_per_word,
  ]);
  const [embedding, ...rest] = taggerParameters(config);
  const lookUp = hashedTable(graph, embedding, elements);
  graph.output('scores', softmax(tag(config, parameterConstants(graph, rest, elements), features, lookUp)));
  return graph;
}
