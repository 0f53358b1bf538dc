/**
 * A transformer encoder of captions: every token sees every other. RMSNorm before each block, learnt positions, SwiGLU.
 */
import { Graph, type Value } from '../graph/graph.ts';
import { add, cast, div, equal, max, mul, silu, sub } from '../graph/operators/elementwise.ts';
import { gather } from '../graph/operators/indexing.ts';
import { reshape, split } from '../graph/operators/layout.ts';
import { matmul } from '../graph/operators/matmul.ts';
import { rmsNorm } from '../graph/operators/normalization.ts';
import { reduceSum } from '../graph/operators/reduction.ts';
import { attendHeads } from './attention-heads.ts';
import type { TextEncoderConfig } from './diffusion-config.ts';
import { matrix, type ParameterSpec, parameterConstants, table, vector, type Weights } from './parameters.ts';

/** The parameters of an encoder, in order; matrices are `[in, out]`. */
export function textEncoderParameters(config: TextEncoderConfig, prefix = ''): ParameterSpec[] {
  const {
    hidden_size: width,
    intermediate_size: inner,
    num_hidden_layers: layers,
    initializer_range: std,
  } = config;
  const residual = std / Math.sqrt(2 * layers);
  return [
    // As large as what follows them: smaller ones would be drowned in what all captions share.
    table(`${prefix}embed_tokens.weight`, [config.vocab_size, width], 1),
    table(`${prefix}embed_positions.weight`, [config.max_position_embeddings, width], 0.1),
    ...Array.from({ length: layers }, (_, i) => `${prefix}layers.${i}`).flatMap((layer) => [
      vector(`${layer}.input_layernorm.weight`, width, 'ones'),
      matrix(`${layer}.self_attn.qkv_proj.weight`, [width, 3 * width], std),
      matrix(`${layer}.self_attn.o_proj.weight`, [width, width], residual),
      vector(`${layer}.post_attention_layernorm.weight`, width, 'ones'),
      matrix(`${layer}.mlp.gate_up_proj.weight`, [width, 2 * inner], std),
      matrix(`${layer}.mlp.down_proj.weight`, [inner, width], residual),
    ]),
    vector(`${prefix}norm.weight`, width, 'ones'),
  ];
}

export interface EncodedText {
  /** Hidden states of all tokens, `[batch, seq, hidden_size]`. */
  states: Value;
  /** Their mean without pads, `[batch, hidden_size]`. */
  pooled: Value;
  /** What attention to the tokens adds to its scores: 0, or -1e9 at pads, `[batch, 1, 1, seq]`. */
  mask: Value;
}

/** Encodes tokens int64 `[batch, seq]`; pads are seen by none. The sequence has `max_position_embeddings` tokens. */
export function encodeText(
  config: TextEncoderConfig,
  weights: Weights,
  tokens: Value,
  prefix = '',
): EncodedText {
  const { graph } = tokens;
  const {
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: inner,
    rms_norm_eps,
  } = config;
  const [batch, seq] = tokens.shape;
  const norm = (x: Value, name: string) => rmsNorm(x, weights(`${prefix}${name}`), rms_norm_eps);
  const project = (x: Value, name: string) => matmul(x, weights(`${prefix}${name}`));
  const isPad = cast(equal(tokens, graph.scalar(config.pad_token_id, 'int64')), 'float32');
  const mask = mul(reshape(isPad, [batch, 1, 1, seq]), graph.scalar(-1e9));
  let hidden = add(
    gather(weights(`${prefix}embed_tokens.weight`), tokens),
    weights(`${prefix}embed_positions.weight`),
  );
  for (let i = 0; i < layers; i++) {
    const qkv = project(
      norm(hidden, `layers.${i}.input_layernorm.weight`),
      `layers.${i}.self_attn.qkv_proj.weight`,
    );
    const [q, k, v] = split(qkv, [config.hidden_size, config.hidden_size, config.hidden_size]);
    hidden = add(hidden, project(attendHeads(q, k, v, heads, mask), `layers.${i}.self_attn.o_proj.weight`));
    const gateUp = project(
      norm(hidden, `layers.${i}.post_attention_layernorm.weight`),
      `layers.${i}.mlp.gate_up_proj.weight`,
    );
    const [gate, up] = split(gateUp, [inner, inner]);
    hidden = add(hidden, project(mul(silu(gate), up), `layers.${i}.mlp.down_proj.weight`));
  }
  const states = norm(hidden, 'norm.weight');
  const kept = reshape(sub(graph.scalar(1), isPad), [batch, seq, 1]);
  const count = max(reduceSum(kept, [1], false), graph.scalar(1));
  return { states, pooled: div(reduceSum(mul(states, kept), [1], false), count), mask };
}

/**
 * The graph of the encoder. Input `input_ids` int64 `[batch, max_position_embeddings]`; outputs `last_hidden_state`
 * `[batch, seq, hidden_size]` and `pooler_output` `[batch, hidden_size]`.
 *
 * @throws Error naming a parameter that is missing or of the wrong size
 */
export function textEncoderInference(
  config: TextEncoderConfig,
  elements: ReadonlyMap<string, Float32Array>,
  prefix = '',
): Graph {
  const graph = new Graph('text_encoder');
  const tokens = graph.input('input_ids', 'int64', ['batch_size', config.max_position_embeddings]);
  const weights = parameterConstants(graph, textEncoderParameters(config, prefix), elements);
  const { states, pooled } = encodeText(config, weights, tokens, prefix);
  graph.output('last_hidden_state', states);
  graph.output('pooler_output', pooled);
  return graph;
}
