/**
 * A Llama-shaped decoder: RMSNorm before each block, rotary positions, grouped-query attention, a SwiGLU
 * feed-forward, and one table for reading tokens in and writing them out (Touvron et al., 2023).
 *
 * One description of a layer makes both graphs. Training computes all positions at once and has a gradient;
 * inference keeps keys and values between steps. They differ in `attend` alone.
 */
import { Graph, type Value } from '../graph/graph.ts';
import { add, cast, mul, silu, sub } from '../graph/operators/elementwise.ts';
import { gather } from '../graph/operators/indexing.ts';
import { expandTo, range, reshape, shapeTensor, split, transpose } from '../graph/operators/layout.ts';
import { matmul } from '../graph/operators/matmul.ts';
import { rmsNorm } from '../graph/operators/normalization.ts';
import { reduceSum } from '../graph/operators/reduction.ts';
import {
  causalAttention,
  causalMask,
  groupQueryAttention,
  linearCrossEntropy,
  rotary,
  rotaryTables,
} from '../graph/operators/transformer.ts';
import { type Dim, product } from '../graph/shape.ts';
import type { GptConfig } from './gpt-config.ts';
import {
  countNumbers,
  matrix,
  type ParameterSpec,
  parameterConstants,
  parameterInputs,
  table,
  vector,
  type Weights,
} from './parameters.ts';

/**
 * The parameters of a decoder, in order. Matrices are `[in, out]`; query, key and value stand in one, as do gate
 * and up, so that each is one product. What adds to the residual stream begins smaller by √(2·layers)
 * (Radford et al., 2019).
 */
export function gptParameters(config: GptConfig): ParameterSpec[] {
  const { hidden_size: width, intermediate_size: inner, num_hidden_layers: layers, head_dim } = config;
  const std = config.initializer_range;
  const residual = std / Math.sqrt(2 * layers);
  const norm = (name: string) => vector(name, width, 'ones');
  const heads = config.num_attention_heads + 2 * config.num_key_value_heads;
  return [
    table('model.embed_tokens.weight', [config.vocab_size, width], std),
    ...Array.from({ length: layers }, (_, i) => `model.layers.${i}`).flatMap((layer) => [
      norm(`${layer}.input_layernorm.weight`),
      matrix(`${layer}.self_attn.qkv_proj.weight`, [width, heads * head_dim], std),
      matrix(`${layer}.self_attn.o_proj.weight`, [config.num_attention_heads * head_dim, width], residual),
      norm(`${layer}.post_attention_layernorm.weight`),
      matrix(`${layer}.mlp.gate_up_proj.weight`, [width, 2 * inner], std),
      matrix(`${layer}.mlp.down_proj.weight`, [inner, width], residual),
    ]),
    norm('model.norm.weight'),
  ];
}

/** How many numbers a decoder learns. */
export const countParameters = (config: GptConfig): number => countNumbers(gptParameters(config));

/** Attention of layer `i`: query, key, value side by side `[batch, seq, (heads + 2·kv_heads)·head_dim]` to `[batch, seq, heads·head_dim]`. */
type Attend = (qkv: Value, layer: number) => Value;

/** Tokens `[batch, seq]` to the normalised hidden states before the output table, `[batch, seq, hidden_size]`. */
function decoder(config: GptConfig, weights: Weights, tokens: Value, attend: Attend): Value {
  const norm = (x: Value, name: string) => rmsNorm(x, weights(name), config.rms_norm_eps);
  let hidden = gather(weights('model.embed_tokens.weight'), tokens);
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const layer = `model.layers.${i}`;
    const qkv = matmul(
      norm(hidden, `${layer}.input_layernorm.weight`),
      weights(`${layer}.self_attn.qkv_proj.weight`),
    );
    hidden = add(hidden, matmul(attend(qkv, i), weights(`${layer}.self_attn.o_proj.weight`)));
    const inner = matmul(
      norm(hidden, `${layer}.post_attention_layernorm.weight`),
      weights(`${layer}.mlp.gate_up_proj.weight`),
    );
    const [gate, up] = split(inner, [config.intermediate_size, config.intermediate_size]);
    hidden = add(hidden, matmul(mul(silu(gate), up), weights(`${layer}.mlp.down_proj.weight`)));
  }
  return norm(hidden, 'model.norm.weight');
}

function rotaryConstants(graph: Graph, config: GptConfig): { cos: Value; sin: Value } {
  const { max_position_embeddings: positions, head_dim } = config;
  const tables = rotaryTables(positions, head_dim, config.rope_theta);
  const constant = (name: 'cos' | 'sin') =>
    graph.constant(name, tables[name], [positions, head_dim / 2], 'float32');
  return { cos: constant('cos'), sin: constant('sin') };
}

/**
 * The graph of the training loss. Sizes of the batch and the sequence may be numbers or symbols.
 * Inputs: `input_ids` and `targets` int64 `[batch, seq]` and every parameter by name; the returned `loss` is the
 * mean negative log-likelihood of the targets in nats, a scalar.
 */
export function gptLoss(
  graph: Graph,
  config: GptConfig,
  { batch = 'batch', seq = 'seq' }: { batch?: Dim; seq?: Dim } = {},
): { loss: Value; parameters: Value[] } {
  const shape: Dim[] = [batch, seq];
  const tokens = graph.input('input_ids', 'int64', shape);
  const targets = graph.input('targets', 'int64', shape);
  const { parameters, weights } = parameterInputs(graph, gptParameters(config));
  const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim } = config;
  const { cos, sin } = rotaryConstants(graph, config);
  const positions = expandTo(reshape(range(tokens, seq), [1, seq]), shape);
  const mask = causalMask(tokens, seq);
  const attend: Attend = (qkv) => {
    const parts = split(qkv, [heads * head_dim, kvHeads * head_dim, kvHeads * head_dim]);
    const [q, k, v] = parts.map((x, i) =>
      transpose(reshape(x, [...shape, i === 0 ? heads : kvHeads, head_dim]), [0, 2, 1, 3]),
    );
    const turn = (x: Value) => rotary(x, positions, cos, sin);
    const mixed = causalAttention(turn(q), turn(k), v, mask);
    return reshape(transpose(mixed, [0, 2, 1, 3]), [...shape, heads * head_dim]);
  };
  const hidden = decoder(config, weights, tokens, attend);
  const rows = product(shape);
  const loss = linearCrossEntropy(
    reshape(hidden, [rows, config.hidden_size]),
    weights('model.embed_tokens.weight'),
    reshape(targets, [rows]),
  );
  return { loss, parameters };
}

/**
 * The graph that answers: the interface of Hugging Face's exports with a key-value cache.
 * Inputs: `input_ids` and `position_ids` int64 `[batch, seq]`, `attention_mask` int64 `[batch, total]`,
 * `past_key_values.N.key|value` float32 `[batch, kv_heads, past, head_dim]`. Outputs: `logits`
 * `[batch, seq, vocab]`, `present.N.key|value`, and what the logits are computed from, `last_hidden_state`
 * `[batch, seq, hidden_size]`, which costs nothing where it is not fetched.
 *
 * @param weights each parameter's elements, by the names of `gptParameters`
 * @throws Error naming a parameter that is missing or of the wrong size
 */
export function gptInference(config: GptConfig, weights: ReadonlyMap<string, Float32Array>): Graph {
  const graph = new Graph('decoder');
  // The names of symbolic dimensions are those of Hugging Face's exports: Transformers.js looks for `batch_size`.
  const tokens = graph.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
  const mask = graph.input('attention_mask', 'int64', ['batch_size', 'total_sequence_length']);
  const positions = graph.input('position_ids', 'int64', ['batch_size', 'sequence_length']);
  const cacheShape: Dim[] = [
    'batch_size',
    config.num_key_value_heads,
    'past_sequence_length',
    config.head_dim,
  ];
  const past = Array.from({ length: config.num_hidden_layers }, (_, i) => ({
    key: graph.input(`past_key_values.${i}.key`, 'float32', cacheShape),
    value: graph.input(`past_key_values.${i}.value`, 'float32', cacheShape),
  }));
  const constants = parameterConstants(graph, gptParameters(config), weights);
  const { cos, sin } = rotaryConstants(graph, config);
  // The attention operator counts from the mask: the last position of each row, and the longest row's length.
  const last = cast(sub(reduceSum(mask, [1], false), graph.scalar(1, 'int64')), 'int32');
  const total = cast(reshape(shapeTensor(mask, ['total_sequence_length']), []), 'int32');
  const present: { key: Value; value: Value }[] = [];
  const attend: Attend = (qkv, layer) => {
    const { output, key, value } = groupQueryAttention(
      qkv,
      past[layer],
      { last, total, cos, sin, positions },
      config,
    );
    present[layer] = { key, value };
    return output;
  };
  const hidden = decoder(config, constants, tokens, attend);
  graph.output(
    'logits',
    matmul(hidden, constants('model.embed_tokens.weight'), {
      transB: true,
    }),
  );
  for (const [i, { key, value }] of present.entries()) {
    graph.output(`present.${i}.key`, key);
    graph.output(`present.${i}.value`, value);
  }
  graph.output('last_hidden_state', hidden);
  return graph;
}
