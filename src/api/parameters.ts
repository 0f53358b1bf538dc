/** The parameters of a generation on the wire, with the range of each: nothing is allocated for a number out of range. */
import { z } from 'zod';
import { constraintSchema } from './constraint.ts';
import { wellFormed } from './text.ts';

export { wellFormed };

/** A number in a range. */
export const number = (min: number, max: number) =>
  z
    .number(`expected a number from ${min} to ${max}`)
    .min(min, `expected a number from ${min} to ${max}`)
    .max(max, `expected a number from ${min} to ${max}`);
/** A whole number in a range. */
export const whole = (min: number, max: number) =>
  number(min, max).refine(Number.isInteger, `expected a whole number from ${min} to ${max}`);

const stopText = wellFormed(256).min(1, 'expected at least one character');

export const generationParameters = z.strictObject({
  /** Tokens at most. */
  max_tokens: whole(0, 1_000_000),
  /** 0 takes the likeliest token each time. */
  temperature: number(0, 2),
  /** Only the k likeliest tokens; 0 is off. */
  top_k: whole(0, 1_000_000),
  /** Only the likeliest tokens whose probabilities sum to p, and at least one. */
  top_p: number(0, 1),
  /** Only tokens at least this share as likely as the likeliest. */
  min_p: number(0, 1),
  /** Only tokens about as likely as one expects (Meister et al., 2022); 1 is off. */
  typical_p: number(0, 1).refine((p) => p > 0, 'expected a number above 0, up to 1'),
  /** XTC: how often the likeliest tokens are left out, and from which probability on. */
  xtc_probability: number(0, 1),
  xtc_threshold: number(0, 1),
  /** Dynamic temperature: how far the entropy moves it. */
  dynatemp_range: number(0, 2),
  dynatemp_exponent: number(0, 10).refine((exponent) => exponent > 0, 'expected a number above 0, up to 10'),
  /** Mirostat 2 (Basu et al., 2021); 0 is off. */
  mirostat: z.union([z.literal(0), z.literal(2)], 'expected 0 or 2'),
  mirostat_tau: number(0, 30),
  mirostat_eta: number(0, 1),
  /** DRY: against repetitions, the longer the more; a multiplier of 0 is off. */
  dry_multiplier: number(0, 10),
  dry_base: number(1, 10),
  dry_allowed_length: whole(0, 1000),
  dry_penalty_last_n: whole(-1, 1_000_000),
  dry_sequence_breakers: z.array(stopText).max(64, 'expected at most 64 texts'),
  /** Tokens before which the answer does not end by itself; and whether it never does. */
  min_tokens: whole(0, 1_000_000),
  ignore_eos: z.boolean(),
  allowed_token_ids: z
    .array(whole(0, 10_000_000))
    .min(1, 'expected at least one token')
    .max(100_000, 'expected at most 100000 tokens')
    .nullable(),
  bad_words: z.array(stopText).max(256, 'expected at most 256 texts'),
  /** Divides the logits of tokens that stood before; 1 is off. */
  repetition_penalty: number(0.01, 10),
  presence_penalty: number(-2, 2),
  frequency_penalty: number(-2, 2),
  /** Added to the logits of tokens by their ids. */
  logit_bias: z
    .record(z.string().regex(/^\d{1,7}$/, 'expected token ids as names'), number(-100, 100))
    .refine((bias) => Object.keys(bias).length <= 1024, 'expected at most 1024 entries'),
  seed: whole(-(2 ** 53 - 1), 2 ** 53 - 1).nullable(),
  /** Choices; how many are written for the likeliest to be given; whether the prompt stands before each. */
  n: whole(1, 128),
  best_of: whole(1, 128).nullable(),
  echo: z.boolean(),
  /** How many of the likeliest tokens are told beside each that was taken; null tells of none. */
  top_logprobs: whole(0, 20).nullable(),
  stop: z.array(stopText).max(4, 'expected at most 4 stop strings'),
  stop_token_ids: z.array(whole(0, 10_000_000)).max(64, 'expected at most 64 stop tokens'),
  /** What the answer has to be; on OpenAI's wire other fields say it. */
  constraint: constraintSchema.nullable(),
});

/** Parameters as OpenAI's API takes them: none has to be given, and one stop string needs no list. */
export const looseParameters = generationParameters
  .omit({ constraint: true })
  .extend({ stop: z.union([stopText, generationParameters.shape.stop]) })
  .partial();

/** null means "not given" on OpenAI's wire. */
export function withoutNulls(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body;
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
}
