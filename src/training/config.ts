/** What `wick train` is told: a JSON file, checked field by field. */
import { z } from 'zod';
import { type ClassifierConfig, parseClassifierConfig } from '../architecture/classifier.ts';
import {
  type AutoencoderConfig,
  type DiffusionConfig,
  parseAutoencoderConfig,
  parseDiffusionConfig,
} from '../architecture/diffusion-config.ts';
import { type GptConfig, parseGptConfig } from '../architecture/gpt-config.ts';
import { parseTaggerConfig, type TaggerConfig } from '../architecture/tagger.ts';

const count = z.number().int().min(1);
const rate = z.number().min(0).max(10);

/** What every training has. */
const common = z.strictObject({
  /** What is learnt: to go on with text, which labels it has, what stands in it, to draw a caption, or to write images down in latents. */
  task: z
    .enum(['text', 'text-classification', 'token-classification', 'text-to-image', 'image-autoencoder'])
    .default('text'),
  /**
   * The model: for text in the form of Hugging Face's config.json; to draw, `text_encoder` and `transformer`; a
   * classifier's, a tagger's or an autoencoder's config.json.
   */
  model: z.record(z.string(), z.unknown()),
  /** A folder that `wick prepare`, `wick prepare-labels`, `wick prepare-tags` or `wick prepare-images` made. */
  data: z.string().min(1),
  /** Where checkpoints, metrics and the curve go. */
  out: z.string().min(1),
  /** A model folder that was exported: its weights are where learning begins. Without it they are drawn. */
  initial_model: z.string().min(1).optional(),
  seed: z.number().int().min(0).max(0xffffffff).default(1),
  batch_size: count.max(65_536),
  gradient_accumulation_steps: count.max(1024).default(1),
  max_steps: count,
  optimizer: z.enum(['adamw', 'muon']).default('adamw'),
  /** The peak rate of AdamW. */
  learning_rate: rate,
  /** The peak rate of Muon, which then takes the matrices; AdamW keeps the table and the norms. */
  matrix_learning_rate: rate.default(0.02),
  warmup_steps: z.number().int().min(0).default(100),
  /** The last rate as a share of the peak. */
  final_learning_rate_ratio: z.number().min(0).max(1).default(0.1),
  /** 'cosine' from warm-up to the end; 'linear' to zero likewise. */
  schedule: z.enum(['cosine', 'linear']).default('cosine'),
  weight_decay: z.number().min(0).max(10).default(0.1),
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.95),
  epsilon: z.number().positive().default(1e-8),
  momentum: z.number().min(0).lt(1).default(0.95),
  max_grad_norm: z.number().positive().default(1),
  /** How much of the running average of the weights stays at each step; 0 keeps no average. */
  ema_decay: z.number().min(0).lt(1).default(0),
  evaluate_every: count.default(250),
  checkpoint_every: count.default(250),
  keep_checkpoints: count.min(2).default(2),
});

const textConfig = common.extend({
  task: z.literal('text').default('text'),
  sequence_length: count.max(65_536),
  /** Windows of the validation split that an evaluation reads. */
  evaluation_windows: count.default(64),
});

const probability = z.number().min(0).lt(1);
const classificationConfig = common.extend({
  task: z.literal('text-classification'),
  /** Texts of the validation split that an evaluation reads. */
  evaluation_texts: count.default(2000),
  /** How often a word is given with a typing error. */
  misspelling: probability.default(0.03),
  /** How often a word is not seen at all, so that those around it have to tell. */
  blanks: probability.default(0),
  /** How often a word itself is left out, so that its runs of letters have to tell it. */
  word_dropout: probability.default(0.2),
  /** How often each of its runs of letters is left out. */
  feature_dropout: probability.default(0.1),
  /** How often of a text that has none of the labels only a few words are read: they have none either. */
  excerpts: probability.default(0),
  /** The share of texts without a label that may be said to have it, when its threshold is set. */
  over_blocking: z.number().min(0).max(1).default(0.01),
  /** Labels that are told but are no reason to flag a text. */
  informative_labels: z.array(z.string()).default([]),
});

const taggingConfig = common.extend({
  task: z.literal('token-classification'),
  /** Texts of the validation split that an evaluation reads. */
  evaluation_texts: count.default(2000),
  /** How often a text is given in small letters, and in capitals. */
  lower_casing: probability.default(0.12),
  upper_casing: probability.default(0.05),
  /** How often its words with a capital are given all in capitals. */
  emphasis: probability.default(0.05),
  /** How often a word is known by its shape alone, and how often one with a capital is. */
  word_dropout: probability.default(0.08),
  capital_dropout: probability.default(0.2),
  /** How often each other feature of a word is left out. */
  feature_dropout: probability.default(0.1),
});

const imageConfig = common.extend({
  task: z.literal('text-to-image'),
  /** A folder with an autoencoder that was exported; the model then denoises its latents instead of pixels. */
  autoencoder: z.string().min(1).optional(),
  /** How often a caption is left out, so that the model learns to draw without one: guidance needs both. */
  caption_dropout: z.number().min(0).lt(1).default(0.1),
  /** Noise levels are drawn from sigmoid(N(mean, deviation)) (Esser et al., 2024), 1 being noise alone. */
  noise_level: z
    .strictObject({ mean: z.number().min(-5).max(5), deviation: z.number().min(0.01).max(5) })
    .default({ mean: 0, deviation: 1 }),
  /** Validation images that an evaluation reads. */
  evaluation_images: count.default(64),
  /** What is drawn now and then, to be looked at. */
  sample_prompts: z.array(z.string().max(1000)).max(64).default([]),
  sample_every: count.default(500),
  sample_guidance_scale: z.number().min(0).max(30).default(3),
});

const autoencoderConfig = common.extend({
  task: z.literal('image-autoencoder'),
  /** Validation images that an evaluation reads. */
  evaluation_images: count.default(64),
  /** How many are drawn beside what comes back of them, now and then, to be looked at. */
  sample_images: count.max(256).default(16),
  sample_every: count.default(500),
});

export type TextTrainingConfig = Omit<z.infer<typeof textConfig>, 'model'> & { model: GptConfig };
export type ClassificationTrainingConfig = Omit<z.infer<typeof classificationConfig>, 'model'> & {
  model: ClassifierConfig;
};
export type TaggingTrainingConfig = Omit<z.infer<typeof taggingConfig>, 'model'> & { model: TaggerConfig };
export type ImageTrainingConfig = Omit<z.infer<typeof imageConfig>, 'model'> & { model: DiffusionConfig };
export type AutoencoderTrainingConfig = Omit<z.infer<typeof autoencoderConfig>, 'model'> & {
  model: AutoencoderConfig;
};
export type TrainingConfig =
  | TextTrainingConfig
  | ClassificationTrainingConfig
  | TaggingTrainingConfig
  | ImageTrainingConfig
  | AutoencoderTrainingConfig;
/** What the trainer itself reads, whatever is learnt. */
export type CommonTrainingConfig = z.infer<typeof common>;

/**
 * Checks a training configuration and fills in defaults.
 * @throws Error that names each wrong field, and what would be right
 */
export function parseTrainingConfig(json: unknown): TrainingConfig {
  const task = String((json as { task?: unknown } | null)?.task);
  const config = Object.hasOwn(parsers, task) ? parsers[task](json) : parseTextConfig(json);
  if (config.warmup_steps >= config.max_steps) {
    throw new Error(`warmup_steps (${config.warmup_steps}) has to be below max_steps (${config.max_steps}).`);
  }
  return config;
}

function parseTextConfig(json: unknown): TextTrainingConfig {
  const data = check(textConfig, json);
  const model = parseGptConfig(data.model);
  if (data.sequence_length > model.max_position_embeddings) {
    throw new Error(
      `sequence_length (${data.sequence_length}) is longer than the model's max_position_embeddings (${model.max_position_embeddings}).`,
    );
  }
  return { ...data, model };
}

const parsers: Record<string, (json: unknown) => TrainingConfig> = {
  'text-classification'(json) {
    const data = check(classificationConfig, json);
    return { ...data, model: parseClassifierConfig(data.model) };
  },
  'token-classification'(json) {
    const data = check(taggingConfig, json);
    return { ...data, model: parseTaggerConfig(data.model) };
  },
  'text-to-image'(json) {
    const data = check(imageConfig, json);
    return { ...data, model: parseDiffusionConfig(data.model) };
  },
  'image-autoencoder'(json) {
    const data = check(autoencoderConfig, json);
    return { ...data, model: parseAutoencoderConfig(data.model) };
  },
};

function check<T>(schema: z.ZodType<T>, json: unknown): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const problems = result.error.issues.map(
    ({ path, message }) => `${path.join('.') || 'the file'}: ${message}`,
  );
  throw new Error(`The training configuration is not right. ${problems.join('; ')}.`);
}
