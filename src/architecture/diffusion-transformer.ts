/**
 * A diffusion transformer (Peebles & Xie, 2023) that reads captions: patches of a noisy image attend to each other and
 * to the caption's tokens, and every block is scaled, shifted and gated by the noise level and the caption as a whole,
 * with one table of modulations for all blocks and an offset for each (Chen et al., 2023).
 */
import { Graph, type Value } from '../graph/graph.ts';
import { add, cast, cos, div, max, mul, silu, sin, sub } from '../graph/operators/elementwise.ts';
import { concat, reshape, split, transpose } from '../graph/operators/layout.ts';
import { matmul } from '../graph/operators/matmul.ts';
import { rmsNorm } from '../graph/operators/normalization.ts';
import { attendHeads } from './attention-heads.ts';
import type { TransformerConfig } from './diffusion-config.ts';
import { matrix, type ParameterSpec, parameterConstants, table, vector, type Weights } from './parameters.ts';

/** Noise levels are counted in thousandths, as timesteps of diffusers are. */
export const TIMESTEPS = 1000;
/** Where the velocity is computed from the clean image, the noise level counts as at least this. */
const LEAST_NOISE = 0.05;

/** The parameters of a denoiser, in order; matrices are `[in, out]`. */
export function transformerParameters(config: TransformerConfig, prefix = ''): ParameterSpec[] {
  const { hidden_size: width, intermediate_size: inner, num_layers: layers, initializer_range: std } = config;
  const residual = std / Math.sqrt(3 * layers);
  const patch = config.in_channels * config.patch_size ** 2;
  const name = (rest: string) => `${prefix}${rest}`;
  return [
    table(name('patch_embed.weight'), [patch, width], 1 / Math.sqrt(patch)),
    table(name('pos_embed'), [patches(config), width], std),
    table(
      name('time_embed.in.weight'),
      [config.frequency_embedding_size, width],
      1 / Math.sqrt(config.frequency_embedding_size),
    ),
    table(name('time_embed.out.weight'), [width, width], 1 / Math.sqrt(width)),
    table(
      name('caption_embed.weight'),
      [config.cross_attention_dim, width],
      1 / Math.sqrt(config.cross_attention_dim),
    ),
    table(name('modulation.weight'), [width, 6 * width], 0),
    ...Array.from({ length: layers }, (_, i) => name(`blocks.${i}`)).flatMap((block) => [
      vector(`${block}.modulation`, 6 * width, 0),
      matrix(`${block}.attn1.qkv.weight`, [width, 3 * width], std),
      matrix(`${block}.attn1.out.weight`, [width, width], residual),
      vector(`${block}.norm2.weight`, width, 'ones'),
      matrix(`${block}.attn2.q.weight`, [width, width], std),
      matrix(`${block}.attn2.kv.weight`, [config.cross_attention_dim, 2 * width], std),
      matrix(`${block}.attn2.out.weight`, [width, width], residual),
      matrix(`${block}.ff.gate_up.weight`, [width, 2 * inner], std),
      matrix(`${block}.ff.down.weight`, [inner, width], residual),
    ]),
    table(name('norm_out.modulation.weight'), [width, 2 * width], 0),
    table(name('proj_out.weight'), [width, patch], 0),
  ];
}

/** Patches of an image. */
const patches = ({ sample_size, patch_size }: TransformerConfig) => (sample_size / patch_size) ** 2;

export interface Caption {
  /** `[batch, text, cross_attention_dim]` */
  states: Value;
  /** `[batch, cross_attention_dim]` */
  pooled: Value;
  /** Added to the scores of attention, `[batch, 1, 1, text]`. */
  mask: Value;
}

/**
 * What the denoiser predicts of noisy images.
 * @param noisy `[batch, channels, sample_size, sample_size]`
 * @param timestep float32 `[batch]`, from 0 (clean) to 1000 (noise)
 * @returns the prediction of `config.prediction_type`, of the shape of `noisy`
 */
export function denoise(
  config: TransformerConfig,
  weights: Weights,
  { noisy, timestep, caption }: { noisy: Value; timestep: Value; caption: Caption },
  prefix = '',
): Value {
  const { graph } = noisy;
  const { hidden_size: width, num_attention_heads: heads, intermediate_size: inner } = config;
  const batch = noisy.shape[0];
  const weight = (name: string) => weights(`${prefix}${name}`);
  const one = graph.scalar(1);
  const ones = graph.constant('ones', new Float32Array(width).fill(1), [width], 'float32');
  const normal = (x: Value) => rmsNorm(x, ones, config.norm_eps);
  const modulated = (x: Value, shift: Value, scale: Value) => add(mul(normal(x), add(scale, one)), shift);
  const rows = (x: Value, parts: number) =>
    split(reshape(x, [batch, 1, parts * width]), Array(parts).fill(width));

  const time = matmul(
    silu(matmul(frequencies(config, timestep), weight('time_embed.in.weight'))),
    weight('time_embed.out.weight'),
  );
  const condition = silu(add(time, matmul(caption.pooled, weight('caption_embed.weight'))));
  const shared = matmul(condition, weight('modulation.weight'));
  const places = add(
    graph.constant('places', placeCodes(config), [patches(config), width], 'float32'),
    weight('pos_embed'),
  );
  let hidden = add(matmul(patchify(config, noisy), weight('patch_embed.weight')), places);
  for (let i = 0; i < config.num_layers; i++) {
    const block = (name: string) => weight(`blocks.${i}.${name}`);
    const [shift1, scale1, gate1, shift2, scale2, gate2] = rows(add(shared, block('modulation')), 6);
    const gated = (x: Value, gate: Value) => mul(x, add(gate, one));
    const [q, k, v] = split(matmul(modulated(hidden, shift1, scale1), block('attn1.qkv.weight')), [
      width,
      width,
      width,
    ]);
    hidden = add(hidden, gated(matmul(attendHeads(q, k, v, heads), block('attn1.out.weight')), gate1));
    const query = matmul(rmsNorm(hidden, block('norm2.weight'), config.norm_eps), block('attn2.q.weight'));
    const [textKey, textValue] = split(matmul(caption.states, block('attn2.kv.weight')), [width, width]);
    hidden = add(
      hidden,
      matmul(attendHeads(query, textKey, textValue, heads, caption.mask), block('attn2.out.weight')),
    );
    const [gate, up] = split(matmul(modulated(hidden, shift2, scale2), block('ff.gate_up.weight')), [
      inner,
      inner,
    ]);
    hidden = add(hidden, gated(matmul(mul(silu(gate), up), block('ff.down.weight')), gate2));
  }
  const [shift, scale] = rows(matmul(condition, weight('norm_out.modulation.weight')), 2);
  const output = unpatchify(
    config,
    matmul(modulated(hidden, shift, scale), weight('proj_out.weight')),
    noisy,
  );
  return config.parameterization === 'direct' ? output : velocity(noisy, output, timestep);
}

/** The velocity from a clean image to its noise: x = (1 - σ)·clean + σ·noise, so noise - clean = (x - clean) / σ. */
function velocity(noisy: Value, clean: Value, timestep: Value): Value {
  const { graph } = noisy;
  const level = mul(reshape(timestep, [noisy.shape[0], 1, 1, 1]), graph.scalar(1 / TIMESTEPS));
  return div(sub(noisy, clean), max(level, graph.scalar(LEAST_NOISE)));
}

/** sin and cos of the noise level at frequencies from 1 to 1/10,000 per thousandth, `[batch, frequency_embedding_size]`. */
function frequencies(config: TransformerConfig, timestep: Value): Value {
  const half = config.frequency_embedding_size / 2;
  const table = Float32Array.from({ length: half }, (_, i) => 10_000 ** (-i / half));
  const rates = timestep.graph.constant('frequencies', table, [1, half], 'float32');
  const angles = mul(reshape(timestep, [timestep.shape[0], 1]), rates);
  return concat([cos(angles), sin(angles)], -1);
}

/**
 * Where each patch stands, `[patches, hidden_size]`: sin and cos of its row in one half, of its column in the other
 * (Vaswani et al., 2017). The learnt table adds to it; without a code from the first step on, patches learn late to look
 * at their neighbours.
 */
function placeCodes(config: TransformerConfig): Float32Array {
  const { hidden_size: width, sample_size, patch_size } = config;
  const side = sample_size / patch_size;
  const quarter = Math.floor(width / 4);
  const codes = new Float32Array(side * side * width);
  for (let place = 0; place < side * side; place++) {
    for (const [half, position] of [Math.floor(place / side), place % side].entries()) {
      for (let i = 0; i < quarter; i++) {
        const angle = position * 10_000 ** (-i / quarter);
        const at = place * width + half * 2 * quarter;
        codes[at + i] = Math.sin(angle);
        codes[at + quarter + i] = Math.cos(angle);
      }
    }
  }
  return codes;
}

/** `[batch, channels, size, size]` to `[batch, patches, channels·patch²]`. */
function patchify(
  { in_channels: channels, patch_size: patch, sample_size }: TransformerConfig,
  image: Value,
): Value {
  const side = sample_size / patch;
  const cut = reshape(image, [image.shape[0], channels, side, patch, side, patch]);
  return reshape(transpose(cut, [0, 2, 4, 1, 3, 5]), [image.shape[0], side * side, channels * patch * patch]);
}

/** The way back from `patchify`. */
function unpatchify(
  { in_channels: channels, patch_size: patch, sample_size }: TransformerConfig,
  rows: Value,
  like: Value,
): Value {
  const side = sample_size / patch;
  const cut = reshape(rows, [like.shape[0], side, side, channels, patch, patch]);
  return reshape(transpose(cut, [0, 3, 1, 4, 2, 5]), like.shape);
}

/**
 * The graph of the denoiser. Inputs: `hidden_states` float32 `[batch, channels, size, size]`, `timestep` float32
 * `[batch]`, `encoder_hidden_states` `[batch, text, width]`, `pooled_projections` `[batch, width]` and
 * `encoder_attention_mask` int64 `[batch, text]`, 1 for tokens and 0 for pads. Output: `out_hidden_states`, the
 * prediction of `config.prediction_type`.
 *
 * @throws Error naming a parameter that is missing or of the wrong size
 */
export function transformerInference(
  config: TransformerConfig,
  elements: ReadonlyMap<string, Float32Array>,
  prefix = '',
): Graph {
  const graph = new Graph('transformer');
  const { in_channels, sample_size, cross_attention_dim: width, max_text_length: text } = config;
  const batch = 'batch_size';
  const noisy = graph.input('hidden_states', 'float32', [batch, in_channels, sample_size, sample_size]);
  const timestep = graph.input('timestep', 'float32', [batch]);
  const states = graph.input('encoder_hidden_states', 'float32', [batch, text, width]);
  const pooled = graph.input('pooled_projections', 'float32', [batch, width]);
  const kept = cast(graph.input('encoder_attention_mask', 'int64', [batch, text]), 'float32');
  const mask = mul(reshape(sub(kept, graph.scalar(1)), [batch, 1, 1, text]), graph.scalar(1e9));
  const weights = parameterConstants(graph, transformerParameters(config, prefix), elements);
  const output = denoise(config, weights, { noisy, timestep, caption: { states, pooled, mask } }, prefix);
  graph.output('out_hidden_states', output);
  return graph;
}
