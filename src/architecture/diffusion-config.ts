/** Configurations of the parts of a text-to-image model, each the `config.json` of its folder in a diffusers pipeline. */
import { z } from 'zod';

const size = z.number().int().min(1).max(65_536);

const textEncoder = z.strictObject({
  model_type: z.literal('wick_text_encoder').default('wick_text_encoder'),
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  max_position_embeddings: size,
  pad_token_id: z.number().int().min(0).default(0),
  rms_norm_eps: z.number().positive().default(1e-5),
  initializer_range: z.number().positive().default(0.02),
});
export type TextEncoderConfig = z.infer<typeof textEncoder>;

/** What the denoiser is asked for: the noise, Salimans & Ho's v, or the velocity from image to noise. */
export const predictionTypes = ['epsilon', 'v_prediction', 'flow_prediction'] as const;
export type PredictionType = (typeof predictionTypes)[number];

const transformer = z.strictObject({
  _class_name: z.literal('WickTransformer2DModel').default('WickTransformer2DModel'),
  /** Pixels (or latent places) a side. */
  sample_size: size,
  patch_size: size,
  in_channels: size.default(3),
  hidden_size: size,
  intermediate_size: size,
  num_layers: size,
  num_attention_heads: size,
  /** Width of the text encoder's states. */
  cross_attention_dim: size,
  max_text_length: size,
  frequency_embedding_size: size.default(256),
  prediction_type: z.enum(predictionTypes).default('flow_prediction'),
  /**
   * What the last layer computes: the prediction itself, or the clean image, from which a velocity follows (Li & He,
   * 2025): a small network finds images easier to aim at than noise.
   */
  parameterization: z.enum(['direct', 'sample']).default('direct'),
  norm_eps: z.number().positive().default(1e-5),
  initializer_range: z.number().positive().default(0.02),
});
export type TransformerConfig = z.infer<typeof transformer>;

const autoencoder = z.strictObject({
  _class_name: z.literal('WickAutoencoder').default('WickAutoencoder'),
  /** Pixels a side. */
  sample_size: size,
  in_channels: size.default(3),
  latent_channels: size,
  /** Channels of each level; each after the first halves the sides. */
  block_out_channels: z.array(size).min(1).max(8),
  /** How much the latents' divergence from N(0, 1) counts beside the error of the image. */
  kl_weight: z.number().min(0).max(10).default(1e-4),
  /** Latents are multiplied by it before they are noised, to a deviation of about 1. */
  scaling_factor: z.number().positive().default(1),
});
export type AutoencoderConfig = z.infer<typeof autoencoder>;

/**
 * Completes and checks the configuration of an autoencoder.
 * @throws Error naming the field and what would be right
 */
export function parseAutoencoderConfig(json: unknown): AutoencoderConfig {
  const result = autoencoder.safeParse(json);
  if (!result.success) throw notRight(result.error);
  const { sample_size, block_out_channels } = result.data;
  if (sample_size % 2 ** (block_out_channels.length - 1) !== 0) {
    throw new Error(
      `The model configuration is not right: sample_size (${sample_size}) has to be halved ${block_out_channels.length - 1} times.`,
    );
  }
  return result.data;
}

function notRight(error: z.ZodError): Error {
  const problems = error.issues.map(({ path, message }) => `${path.join('.') || 'the model'}: ${message}`);
  return new Error(`The model configuration is not right. ${problems.join('; ')}.`);
}

const model = z.strictObject({ text_encoder: textEncoder, transformer });
export type DiffusionConfig = z.infer<typeof model>;

/**
 * Completes and checks the configuration of a text encoder and a denoiser that belong together.
 * @throws Error naming the field and what would be right
 */
export function parseDiffusionConfig(json: unknown): DiffusionConfig {
  const result = model.safeParse(json);
  if (!result.success) throw notRight(result.error);
  const { text_encoder, transformer } = result.data;
  const demands: [boolean, string][] = [
    [
      divides(text_encoder.num_attention_heads, text_encoder.hidden_size),
      'text_encoder.num_attention_heads has to divide its hidden_size',
    ],
    [
      divides(transformer.num_attention_heads, transformer.hidden_size),
      'transformer.num_attention_heads has to divide its hidden_size',
    ],
    [
      divides(transformer.patch_size, transformer.sample_size),
      'transformer.patch_size has to divide its sample_size',
    ],
    [transformer.frequency_embedding_size % 2 === 0, 'transformer.frequency_embedding_size has to be even'],
    [
      transformer.cross_attention_dim === text_encoder.hidden_size,
      "transformer.cross_attention_dim has to be the text encoder's hidden_size",
    ],
    [
      transformer.max_text_length === text_encoder.max_position_embeddings,
      "transformer.max_text_length has to be the text encoder's max_position_embeddings",
    ],
    [
      transformer.parameterization === 'direct' || transformer.prediction_type === 'flow_prediction',
      'transformer.parameterization "sample" goes with prediction_type "flow_prediction"',
    ],
    [
      text_encoder.pad_token_id < text_encoder.vocab_size,
      'text_encoder.pad_token_id has to be below its vocab_size',
    ],
  ];
  const broken = demands.find(([holds]) => !holds);
  if (broken) throw new Error(`The model configuration is not right: ${broken[1]}.`);
  return result.data;
}

const divides = (a: number, b: number) => b % a === 0;
