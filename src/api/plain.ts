/** Options of `POST /text`: the parameters of a generation as a query string, for people with curl. */
import { z } from 'zod';
import { parse } from './errors.ts';
import type { Parameters } from './openai.ts';
import { generationParameters } from './parameters.ts';

const options = generationParameters.omit({
  logit_bias: true,
  stop_token_ids: true,
  allowed_token_ids: true,
  n: true,
  best_of: true,
  echo: true,
  top_logprobs: true,
  constraint: true,
});

export const plainOptions = options.partial().extend({
  model: z.string().min(1).max(200).optional(),
  placement: z.enum(['edge', 'service']).optional(),
  fallback: z.enum(['true', 'false']).optional(),
});

export interface PlainOptions {
  model?: string;
  placement?: 'edge' | 'service';
  fallback: boolean;
  parameters: Parameters;
}

/**
 * The options in a query string; those that are lists of texts may stand in it more than once.
 * @throws BadRequest naming the option that is not known or not right
 */
export function parsePlainOptions(query: URLSearchParams): PlainOptions {
  const values: Record<string, unknown> = {};
  for (const name of new Set(query.keys())) {
    const all = query.getAll(name);
    const last = all.at(-1)!;
    values[name] = lists.has(name)
      ? all
      : name === 'ignore_eos'
        ? booleanOf(last)
        : name in options.shape
          ? numberOf(last)
          : last;
  }
  const { model, placement, fallback, ...parameters } = parse(plainOptions, values);
  return { model, placement, fallback: fallback === 'true', parameters };
}

const lists = new Set(['stop', 'bad_words', 'dry_sequence_breakers']);

const booleanOf = (text: string): boolean | string =>
  text === 'true' ? true : text === 'false' ? false : text;

/** A number, or the text itself where it is none, for the schema to name. */
function numberOf(text: string): number | string {
  return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
}
