/** What a caller can say about how text is generated, and the range of each number. */

export interface GenerationParameters {
  /** Tokens at most, from 1. */
  max_tokens: number;
  /** Divides the logits; 0 takes the likeliest token each time. */
  temperature: number;
  /** Only the k likeliest tokens; 0 is off. */
  top_k: number;
  /** Only the likeliest tokens whose probabilities sum to p, above 0 up to 1. */
  top_p: number;
  /** Only tokens at least this share as likely as the likeliest, 0 to 1. */
  min_p: number;
  /** Divides positive logits of tokens that stood before, multiplies negative ones; 1 is off. */
  repetition_penalty: number;
  /** Subtracted from the logits of generated tokens, -2 to 2. */
  presence_penalty: number;
  /** Subtracted once for each time a token was generated, -2 to 2. */
  frequency_penalty: number;
  /** Added to the logits of tokens by id, -100 to 100. */
  logit_bias: Record<string, number>;
  /** The same seed gives the same text; null draws one. */
  seed: number | null;
  /** Texts that end the answer and are not part of it. */
  stop: string[];
  /** Tokens that end the answer, besides the model's own. */
  stop_token_ids: number[];
}

export const defaultParameters: GenerationParameters = {
  max_tokens: 256,
  temperature: 1,
  top_k: 0,
  top_p: 1,
  min_p: 0,
  repetition_penalty: 1,
  presence_penalty: 0,
  frequency_penalty: 0,
  logit_bias: {},
  seed: null,
  stop: [],
  stop_token_ids: [],
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
  max_tokens: { min: 1, max: 1_000_000, whole: true },
  temperature: { min: 0, max: 2 },
  top_k: { min: 0, max: 1_000_000, whole: true },
  top_p: { min: 0, max: 1, aboveMin: true },
  min_p: { min: 0, max: 1 },
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
  const { seed, stop, stop_token_ids, logit_bias } = parameters;
  if (seed !== null && !Number.isSafeInteger(seed)) {
    throw new InvalidInputError(`seed is a whole number or null, not ${show(seed)}.`, { param: 'seed' });
  }
  if (
    !Array.isArray(stop) ||
    stop.length > 16 ||
    stop.some((text) => typeof text !== 'string' || text === '' || text.length > 1024)
  ) {
    throw new InvalidInputError('stop is a list of up to 16 texts of 1 to 1,024 characters.', {
      param: 'stop',
    });
  }
  const token = (id: number) => Number.isInteger(id) && id >= 0 && id < vocabSize;
  if (!Array.isArray(stop_token_ids) || !stop_token_ids.every(token)) {
    throw new InvalidInputError(`stop_token_ids are whole numbers from 0 to ${vocabSize - 1}.`, {
      param: 'stop_token_ids',
    });
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
