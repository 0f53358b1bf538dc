/** What `wick train` is told: a JSON file, checked field by field. */
import { z } from 'zod';
import { type GptConfig, parseGptConfig } from '../architecture/gpt-config.ts';

const count = z.number().int().min(1);
const rate = z.number().min(0).max(10);

const schema = z.strictObject({
  /** The model, in the form of Hugging Face's config.json. */
  model: z.record(z.string(), z.unknown()),
  /** A folder that `wick prepare` made. */
  data: z.string().min(1),
  /** Where checkpoints, metrics and the curve go. */
  out: z.string().min(1),
  seed: z.number().int().min(0).max(0xffffffff).default(1),
  sequence_length: count.max(65_536),
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
  evaluate_every: count.default(250),
  /** Windows of the validation split that an evaluation reads. */
  evaluation_windows: count.default(64),
  checkpoint_every: count.default(250),
  keep_checkpoints: count.min(2).default(2),
});

export type TrainingConfig = Omit<z.infer<typeof schema>, 'model'> & {
  model: GptConfig;
};

/**
 * Checks a training configuration and fills in defaults.
 * @throws Error that names each wrong field, and what would be right
 */
export function parseTrainingConfig(json: unknown): TrainingConfig {
  const result = schema.safeParse(json);
  if (!result.success) {
    const problems = result.error.issues.map(
      ({ path, message }) => `${path.join('.') || 'the file'}: ${message}`,
    );
    throw new Error(`The training configuration is not right. ${problems.join('; ')}.`);
  }
  const model = parseGptConfig(result.data.model);
  const config = { ...result.data, model };
  if (config.sequence_length > model.max_position_embeddings) {
    throw new Error(
      `sequence_length (${config.sequence_length}) is longer than the model's max_position_embeddings (${model.max_position_embeddings}).`,
    );
  }
  if (config.warmup_steps >= config.max_steps) {
    throw new Error(`warmup_steps (${config.warmup_steps}) has to be below max_steps (${config.max_steps}).`);
  }
  return config;
}
