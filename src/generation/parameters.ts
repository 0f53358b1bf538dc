/** What a caller can say about how text is generated, and the range of each number. */
import type { Constraint } from './constraint/constraint.ts';

export interface GenerationParameters {
  /** Tokens at most; 0 writes none, which `echo` and its probabilities may be wanted without. */
  max_tokens: number;
  /** Divides the logits; 0 takes the likeliest token each time. */
  temperature: number;
  /** Only the k likeliest tokens; 0 is off. */
  top_k: number;
  /** Only the likeliest tokens whose probabilities sum to p, 0 to 1, and at least one. */
  top_p: number;
  /** Only tokens at least this share as likely as the likeliest, 0 to 1. */
  min_p: number;
  /** Only the tokens about as likely as one expects, until their probabilities sum to p; 1 is off. */
  typical_p: number;
  /** How often, from 0 to 1, the likeliest tokens are left out (XTC). */
  xtc_probability: number;
  /** XTC leaves out all tokens at least this likely but the least likely of them. */
  xtc_threshold: number;
  /** The temperature moves by up to this much, up where many tokens are likely and down where few are; 0 is off. */
  dynatemp_range: number;
  /** How the entropy, as a share of the most there could be, is bent on its way to the temperature. */
  dynatemp_exponent: number;
  /** 2 holds the surprise of the tokens near `mirostat_tau` instead of filtering; 0 is off. */
  mirostat: number;
  /** The wanted surprise, in bits. */
  mirostat_tau: number;
  /** How fast mirostat learns. */
  mirostat_eta: number;
  /** Divides positive logits of tokens that stood before, multiplies negative ones; 1 is off. */
  repetition_penalty: number;
  /** Subtracted from the logits of generated tokens, -2 to 2. */
  presence_penalty: number;
  /** Subtracted once for each time a token was generated, -2 to 2. */
  frequency_penalty: number;
  /** How strongly tokens are held back that would go on with a repetition (DRY); 0 is off. */
  dry_multiplier: number;
  /** The penalty grows by this factor with each token of the repetition. */
  dry_base: number;
  /** Repetitions of up to so many tokens cost nothing. */
  dry_allowed_length: number;
  /** How many of the last tokens are looked at; -1 takes all, 0 none. */
  dry_penalty_last_n: number;
  /** Repetitions are not followed across tokens with these texts. */
  dry_sequence_breakers: string[];
  /** Tokens before which the answer does not end by itself. */
  min_tokens: number;
  /** Whether the answer never ends by itself. */
  ignore_eos: boolean;
  /** Only these tokens can be taken; null allows all. */
  allowed_token_ids: number[] | null;
  /** Texts that are not written, as far as their tokens are those that the tokenizer makes of them. */
  bad_words: string[];
  /** Added to the logits of tokens by id, -100 to 100. */
  logit_bias: Record<string, number>;
  /** The same seed gives the same text, the next choice having the next seed; null draws one. */
  seed: number | null;
  /** Choices: so many answers. */
  n: number;
  /** So many are written, and the `n` with the likeliest tokens given; null writes n. */
  best_of: number | null;
  /** Whether the prompt stands before each answer. */
  echo: boolean;
  /** How many of the likeliest tokens are told beside each that was taken; 0 tells of that alone, null of none. */
  top_logprobs: number | null;
  /** Texts that end the answer and are not part of it. */
  stop: string[];
  /** Tokens that end the answer, besides the model's own. */
  stop_token_ids: number[];
  /** What the answer has to be, token by token; null leaves it free. */
  constraint: Constraint | null;
}

export const defaultParameters: GenerationParameters = {
  max_tokens: 256,
  temperature: 1,
  top_k: 0,
  top_p: 1,
  min_p: 0,
  typical_p: 1,
  xtc_probability: 0,
  xtc_threshold: 0.1,
  dynatemp_range: 0,
  dynatemp_exponent: 1,
  mirostat: 0,
  mirostat_tau: 5,
  mirostat_eta: 0.1,
  repetition_penalty: 1,
  presence_penalty: 0,
  frequency_penalty: 0,
  dry_multiplier: 0,
  dry_base: 1.75,
  dry_allowed_length: 2,
  dry_penalty_last_n: -1,
  dry_sequence_breakers: ['\n', ':', '"', '*'],
  min_tokens: 0,
  ignore_eos: false,
  allowed_token_ids: null,
  bad_words: [],
  logit_bias: {},
  seed: null,
  n: 1,
  best_of: null,
  echo: false,
  top_logprobs: null,
  stop: [],
  stop_token_ids: [],
  constraint: null,
};

/** A request that cannot be served as it is; the sentence says why. */
export class InvalidInputError extends Error {
  readonly status = 400;
  readonly param: string | null;
  readonly code: string | null;

  constructor(
    message: string,
    { param = null, code = 'invalid_value' }: { param?: string | null; code?: string | null } = {},
  ) {
    super(message);
    this.name = 'InvalidInputError';
    this.param = param;
    this.code = code;
  }
}

interface Range {
  min: number;
  max: number;
  whole?: boolean;
  aboveMin?: boolean;
}

const ranges: Partial<Record<keyof GenerationParameters, Range>> = {
  max_tokens: { min: 0, max: 1_000_000, whole: true },
  n: { min: 1, max: 128, whole: true },
  temperature: { min: 0, max: 2 },
  top_k: { min: 0, max: 1_000_000, whole: true },
  top_p: { min: 0, max: 1 },
  min_p: { min: 0, max: 1 },
  typical_p: { min: 0, max: 1, aboveMin: true },
  xtc_probability: { min: 0, max: 1 },
  xtc_threshold: { min: 0, max: 1 },
  dynatemp_range: { min: 0, max: 2 },
  dynatemp_exponent: { min: 0, max: 10, aboveMin: true },
  mirostat_tau: { min: 0, max: 30 },
  mirostat_eta: { min: 0, max: 1 },
  dry_multiplier: { min: 0, max: 10 },
  dry_base: { min: 1, max: 10 },
  dry_allowed_length: { min: 0, max: 1000, whole: true },
  dry_penalty_last_n: { min: -1, max: 1_000_000, whole: true },
  min_tokens: { min: 0, max: 1_000_000, whole: true },
  repetition_penalty: { min: 0, max: 10, aboveMin: true },
  presence_penalty: { min: -2, max: 2 },
  frequency_penalty: { min: -2, max: 2 },
};

/**
 * Fills in what is not given and checks what is.
 * @throws InvalidInputError naming the parameter and its range
 */
export function completeParameters(
  given: Partial<GenerationParameters>,
  defaults: Partial<GenerationParameters>,
  vocabSize: number,
): GenerationParameters {
  const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const unknown = Object.keys(present).find((name) => !Object.hasOwn(defaultParameters, name));
  if (unknown !== undefined) {
    const known = Object.keys(defaultParameters).join(', ');
    throw new InvalidInputError(`There is no parameter ${show(unknown)}. There is: ${known}.`, {
      param: unknown,
    });
  }
  const parameters: GenerationParameters = {
    ...defaultParameters,
    ...defaults,
    ...present,
  };
  for (const [name, { min, max, whole, aboveMin }] of Object.entries(ranges)) {
    const value = parameters[name as keyof GenerationParameters];
    const fits = typeof value === 'number' && value >= min && value <= max && !(aboveMin && value === min);
    if (!fits || (whole && !Number.isInteger(value))) {
      const kind = whole ? 'a whole number' : 'a number';
      throw new InvalidInputError(
        `${name} is ${kind} ${aboveMin ? 'above' : 'from'} ${min} to ${max}, not ${show(value)}.`,
        { param: name },
      );
    }
  }
  const { seed, stop_token_ids, logit_bias, allowed_token_ids, mirostat, ignore_eos } = parameters;
  if (seed !== null && !Number.isSafeInteger(seed)) {
    throw new InvalidInputError(`seed is a whole number or null, not ${show(seed)}.`, { param: 'seed' });
  }
  for (const [name, most] of [
    ['stop', 16],
    ['bad_words', 256],
    ['dry_sequence_breakers', 64],
  ] as const) {
    const texts = parameters[name];
    const fits = Array.isArray(texts) && texts.length <= most;
    if (!fits || texts.some((text) => typeof text !== 'string' || text === '' || text.length > 1024)) {
      throw new InvalidInputError(`${name} is a list of up to ${most} texts of 1 to 1,024 characters.`, {
        param: name,
      });
    }
  }
  if (mirostat !== 0 && mirostat !== 2)
    throw new InvalidInputError(`mirostat is 0 or 2, not ${show(mirostat)}.`, { param: 'mirostat' });
  const { n, best_of, echo, top_logprobs } = parameters;
  const optional = [
    ['best_of', best_of, n, 128],
    ['top_logprobs', top_logprobs, 0, 20],
  ] as const;
  for (const [name, value, least, most] of optional) {
    if (value !== null && !(Number.isInteger(value) && value >= least && value <= most)) {
      throw new InvalidInputError(
        `${name} is a whole number from ${least} to ${most}, or null, not ${show(value)}.`,
        { param: name },
      );
    }
  }
  if (typeof echo !== 'boolean')
    throw new InvalidInputError(`echo is true or false, not ${show(echo)}.`, { param: 'echo' });
  if (typeof ignore_eos !== 'boolean')
    throw new InvalidInputError(`ignore_eos is true or false, not ${show(ignore_eos)}.`, {
      param: 'ignore_eos',
    });
  const token = (id: number) => Number.isInteger(id) && id >= 0 && id < vocabSize;
  if (!Array.isArray(stop_token_ids) || !stop_token_ids.every(token)) {
    throw new InvalidInputError(`stop_token_ids are whole numbers from 0 to ${vocabSize - 1}.`, {
      param: 'stop_token_ids',
    });
  }
  if (
    allowed_token_ids !== null &&
    !(Array.isArray(allowed_token_ids) && allowed_token_ids.length > 0 && allowed_token_ids.every(token))
  ) {
    throw new InvalidInputError(
      `allowed_token_ids is a list of at least one whole number from 0 to ${vocabSize - 1}, or null.`,
      { param: 'allowed_token_ids' },
    );
  }
  for (const [id, bias] of Object.entries(logit_bias)) {
    if (!/^\d+$/.test(id) || !token(Number(id)) || !(bias >= -100 && bias <= 100)) {
      throw new InvalidInputError(
        `logit_bias names tokens from 0 to ${vocabSize - 1} with numbers from -100 to 100; ${show(id)}: ${show(bias)} is neither.`,
        { param: 'logit_bias' },
      );
    }
  }
  return parameters;
}

const show = (value: unknown) => JSON.stringify(value)?.slice(0, 80) ?? String(value);
