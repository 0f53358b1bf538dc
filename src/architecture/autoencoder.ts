/**
 * An autoencoder of images (Kingma & Welling, 2014; Rombach et al., 2022): convolutions that halve the sides level by
 * level down to a few channels of latents, and back. Latent diffusion denoises these instead of pixels.
 */
import { Graph, type Value } from '../graph/graph.ts';
import { conv } from '../graph/operators/convolution.ts';
import { add, exp, mul, reciprocal, silu, sqrt, sub } from '../graph/operators/elementwise.ts';
import { reshape, split, transpose } from '../graph/operators/layout.ts';
import { reduceMean } from '../graph/operators/reduction.ts';
import type { AutoencoderConfig } from './diffusion-config.ts';
import {
  matrix,
  type ParameterSpec,
  parameterConstants,
  parameterInputs,
  type Weights,
} from './parameters.ts';

/** Convolution weights are `[out, in, k, k]`. */
export function autoencoderParameters(config: AutoencoderConfig): ParameterSpec[] {
  const { in_channels, latent_channels, block_out_channels: widths } = config;
  const specs: ParameterSpec[] = [];
  const weight = (name: string, out: number, into: number, kernel: number, scale = 1) =>
    // Muon is for matrices; a convolution is taken for a table, which AdamW takes care of.
    specs.push({
      ...matrix(name, [out, into, kernel, kernel], scale / Math.sqrt(into * kernel * kernel)),
      kind: 'table',
    });
  const block = (name: string, width: number) => {
    specs.push({ name: `${name}.norm.weight`, shape: [width, 1, 1], initial: 'ones', kind: 'vector' });
    weight(`${name}.conv1.weight`, width, width, 3);
    weight(`${name}.conv2.weight`, width, width, 3, 0.1);
  };
  weight('encoder.conv_in.weight', widths[0], in_channels, 3);
  for (const [level, width] of widths.entries()) {
    if (level > 0) weight(`encoder.down.${level}.weight`, width, 4 * widths[level - 1], 1);
    block(`encoder.block.${level}`, width);
  }
  weight('encoder.conv_out.weight', 2 * latent_channels, widths.at(-1)!, 3);
  weight('decoder.conv_in.weight', widths.at(-1)!, latent_channels, 3);
  for (let level = widths.length - 1; level >= 0; level--) {
    block(`decoder.block.${level}`, widths[level]);
    if (level > 0) weight(`decoder.up.${level}.weight`, 4 * widths[level - 1], widths[level], 1);
  }
  weight('decoder.conv_out.weight', in_channels, widths[0], 3);
  return specs;
}

/** x + conv(silu(conv(norm(x)))), the norm being over the channels of each place. */
function residual(x: Value, weights: Weights, name: string): Value {
  const { graph } = x;
  const inverse = reciprocal(sqrt(add(reduceMean(mul(x, x), [1]), graph.scalar(1e-5))));
  const normal = mul(mul(x, inverse), weights(`${name}.norm.weight`));
  return add(x, conv(silu(conv(normal, weights(`${name}.conv1.weight`))), weights(`${name}.conv2.weight`)));
}

/** Blocks of 2 × 2 places as channels: `[batch, c, h, w]` to `[batch, 4c, h/2, w/2]`. */
function spaceToDepth(x: Value): Value {
  const [batch, channels, height, width] = x.shape as [Value['shape'][0], number, number, number];
  const cut = reshape(x, [batch, channels, height / 2, 2, width / 2, 2]);
  return reshape(transpose(cut, [0, 3, 5, 1, 2, 4]), [batch, 4 * channels, height / 2, width / 2]);
}

/** The way back. */
function depthToSpace(x: Value): Value {
  const [batch, channels, height, width] = x.shape as [Value['shape'][0], number, number, number];
  const cut = reshape(x, [batch, 2, 2, channels / 4, height, width]);
  return reshape(transpose(cut, [0, 3, 4, 1, 5, 2]), [batch, channels / 4, 2 * height, 2 * width]);
}

/** Images `[batch, channels, size, size]`, -1 to 1, to mean and logarithm of the variance of their latents, side by side. */
export function encodeImage(config: AutoencoderConfig, weights: Weights, image: Value): Value {
  let hidden = conv(image, weights('encoder.conv_in.weight'));
  for (const level of config.block_out_channels.keys()) {
    if (level > 0) hidden = conv(spaceToDepth(hidden), weights(`encoder.down.${level}.weight`));
    hidden = residual(hidden, weights, `encoder.block.${level}`);
  }
  return conv(silu(hidden), weights('encoder.conv_out.weight'));
}

/** Latents `[batch, latent_channels, size / factor, size / factor]` to images. */
export function decodeLatents(config: AutoencoderConfig, weights: Weights, latents: Value): Value {
  let hidden = conv(latents, weights('decoder.conv_in.weight'));
  for (let level = config.block_out_channels.length - 1; level >= 0; level--) {
    hidden = residual(hidden, weights, `decoder.block.${level}`);
    if (level > 0) hidden = depthToSpace(conv(hidden, weights(`decoder.up.${level}.weight`)));
  }
  return conv(silu(hidden), weights('decoder.conv_out.weight'));
}

/** Pixels a side that one place of the latents stands for. */
export const latentFactor = (config: AutoencoderConfig): number =>
  2 ** (config.block_out_channels.length - 1);

/**
 * Adds the loss to a graph: mean squared error of what comes back, and `kl_weight` times the divergence of the latents
 * from N(0, 1), a number for each latent. Inputs: `image` `[batch, channels, size, size]`, `noise` of the latents'
 * shape, and every parameter by name. Also returns what comes back, `reconstruction`.
 */
export function autoencoderLoss(
  graph: Graph,
  config: AutoencoderConfig,
  batch: number,
): { loss: Value; parameters: Value[]; reconstruction: Value } {
  const { in_channels, sample_size, latent_channels, kl_weight } = config;
  const side = sample_size / latentFactor(config);
  const image = graph.input('image', 'float32', [batch, in_channels, sample_size, sample_size]);
  const noise = graph.input('noise', 'float32', [batch, latent_channels, side, side]);
  const { parameters, weights } = parameterInputs(graph, autoencoderParameters(config));
  const [mean, logVariance] = split(
    encodeImage(config, weights, image),
    [latent_channels, latent_channels],
    1,
  );
  const deviation = exp(mul(logVariance, graph.scalar(0.5)));
  const reconstruction = decodeLatents(config, weights, add(mean, mul(deviation, noise)));
  const error = sub(reconstruction, image);
  const variance = mul(deviation, deviation);
  const divergence = sub(add(mul(mean, mean), variance), add(logVariance, graph.scalar(1)));
  const loss = add(
    reduceMean(mul(error, error), undefined, false),
    mul(reduceMean(divergence, undefined, false), graph.scalar(kl_weight / 2)),
  );
  return { loss, parameters, reconstruction };
}

/** The encoder's graph: `sample` to `latent_parameters`, mean and logarithm of the variance. */
export function encoderInference(
  config: AutoencoderConfig,
  elements: ReadonlyMap<string, Float32Array>,
): Graph {
  const graph = new Graph('vae_encoder');
  const { in_channels, sample_size } = config;
  const image = graph.input('sample', 'float32', ['batch_size', in_channels, sample_size, sample_size]);
  const specs = autoencoderParameters(config).filter(({ name }) => name.startsWith('encoder.'));
  graph.output('latent_parameters', encodeImage(config, parameterConstants(graph, specs, elements), image));
  return graph;
}

/** The decoder's graph: `latent_sample` to `sample`. */
export function decoderInference(
  config: AutoencoderConfig,
  elements: ReadonlyMap<string, Float32Array>,
): Graph {
  const graph = new Graph('vae_decoder');
  const side = config.sample_size / latentFactor(config);
  const latents = graph.input('latent_sample', 'float32', ['batch_size', config.latent_channels, side, side]);
  const specs = autoencoderParameters(config).filter(({ name }) => name.startsWith('decoder.'));
  graph.output('sample', decodeLatents(config, parameterConstants(graph, specs, elements), latents));
  return graph;
}
