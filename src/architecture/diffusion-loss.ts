/** The loss of a text-to-image model: noise images, and ask the denoiser what it sees in them. */
import type { Graph, Value } from '../graph/graph.ts';
import { add, mul, sub } from '../graph/operators/elementwise.ts';
import { reshape } from '../graph/operators/layout.ts';
import { reduceMean } from '../graph/operators/reduction.ts';
import type { DiffusionConfig, PredictionType } from './diffusion-config.ts';
import { denoise, TIMESTEPS, transformerParameters } from './diffusion-transformer.ts';
import { type ParameterSpec, parameterInputs } from './parameters.ts';
import { encodeText, textEncoderParameters } from './text-encoder.ts';

/** Names of a model's parameters begin with the part they belong to. */
export const prefixes = { textEncoder: 'text_encoder.', transformer: 'transformer.' } as const;

/** The parameters of text encoder and denoiser. */
export function diffusionParameters(config: DiffusionConfig): ParameterSpec[] {
  return [
    ...textEncoderParameters(config.text_encoder, prefixes.textEncoder),
    ...transformerParameters(config.transformer, prefixes.transformer),
  ];
}

/** How much of an image and how much of its noise a noisy image has: x = image·x₀ + noise·ε. */
export interface Shares {
  image: number;
  noise: number;
}

/**
 * The shares at a timestep from 0 to 1000. Flow: a straight line (Liu et al., 2023). Otherwise image² + noise² = 1 with
 * the cosine schedule (Nichol & Dhariwal, 2021), which diffusers calls `squaredcos_cap_v2`.
 */
export function sharesAt(prediction: PredictionType, timestep: number): Shares {
  if (prediction === 'flow_prediction') {
    return { image: 1 - timestep / TIMESTEPS, noise: timestep / TIMESTEPS };
  }
  const image2 = cosineProducts[Math.min(TIMESTEPS - 1, Math.max(0, Math.floor(timestep)))];
  return { image: Math.sqrt(image2), noise: Math.sqrt(1 - image2) };
}

/** ᾱ at each timestep: the product of 1 - β, with each β at most 0.999. */
const cosineProducts = (() => {
  const bar = (t: number) => Math.cos(((t + 0.008) / 1.008) * (Math.PI / 2)) ** 2;
  let product = 1;
  return Float64Array.from({ length: TIMESTEPS }, (_, t) => {
    product *= 1 - Math.min(1 - bar((t + 1) / TIMESTEPS) / bar(t / TIMESTEPS), 0.999);
    return product;
  });
})();

/**
 * Adds the loss to a graph. Inputs: `image` and `noise` float32 `[batch, channels, size, size]`, the image from -1 to 1;
 * `timestep`, `image_share` and `noise_share` float32 `[batch]`; `input_ids` int64 `[batch, text]`; and every parameter
 * by name.
 *
 * The target is the noise ε (Ho et al., 2020), v = image_share·ε - noise_share·x₀ (Salimans & Ho, 2022), or the velocity
 * ε - x₀ (Liu et al., 2023).
 *
 * @returns `loss`, the mean squared error over all, and `losses`, that of each image, `[batch]`
 */
export function diffusionLoss(
  graph: Graph,
  config: DiffusionConfig,
  batch: number,
): { loss: Value; losses: Value; parameters: Value[] } {
  const { in_channels, sample_size, prediction_type } = config.transformer;
  const shape = [batch, in_channels, sample_size, sample_size];
  const image = graph.input('image', 'float32', shape);
  const noise = graph.input('noise', 'float32', shape);
  const timestep = graph.input('timestep', 'float32', [batch]);
  const share = (name: string) => reshape(graph.input(name, 'float32', [batch]), [batch, 1, 1, 1]);
  const [imageShare, noiseShare] = [share('image_share'), share('noise_share')];
  const tokens = graph.input('input_ids', 'int64', [batch, config.text_encoder.max_position_embeddings]);
  const { parameters, weights } = parameterInputs(graph, diffusionParameters(config));
  const noisy = add(mul(image, imageShare), mul(noise, noiseShare));
  const caption = encodeText(config.text_encoder, weights, tokens, prefixes.textEncoder);
  const predicted = denoise(config.transformer, weights, { noisy, timestep, caption }, prefixes.transformer);
  const targets: Record<PredictionType, () => Value> = {
    epsilon: () => noise,
    v_prediction: () => sub(mul(noise, imageShare), mul(image, noiseShare)),
    flow_prediction: () => sub(noise, image),
  };
  const error = sub(predicted, targets[prediction_type]());
  const losses = reduceMean(mul(error, error), [1, 2, 3], false);
  return { loss: reduceMean(losses, undefined, false), losses, parameters };
}
