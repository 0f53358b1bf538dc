/** What people ask `/text` for: the parameters of a generation by their names, in an address, a form or JSON. */
import { z } from 'zod';
import { type AnswerForm, answerFormFields, answerFormOf } from '../filtering/form/answer-form.ts';
import { parse } from './errors.ts';
import type { Parameters } from './openai.ts';
import { readOptions } from './options.ts';
import { generationParameters } from './parameters.ts';
import { type TraceOptions, traceFields, traceOf } from './trace.ts';

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
  fallback: z.boolean().optional(),
  restore: z.boolean().optional(),
  ...traceFields,
  format: answerFormFields.format,
  end_at_sentence: answerFormFields.end_at_sentence,
});

export interface PlainOptions {
  model?: string;
  placement?: 'edge' | 'service';
  fallback: boolean;
  /** Whether what placeholders stand for is put back in the answer. */
  restore: boolean;
  parameters: Parameters;
  /** In which form the answer is asked for. */
  form: AnswerForm;
  /** Where a trace is asked for. */
  trace?: TraceOptions;
}

/**
 * The options of a request.
 * @param texts as they stand in an address or a form; those that are lists of texts may stand there more than once
 * @param values as they stand in JSON, which count before the others
 * @throws BadRequest naming the option that is not known or not right
 */
export function parsePlainOptions(
  texts: URLSearchParams,
  values: Readonly<Record<string, unknown>> = {},
): PlainOptions {
  const given = { ...readOptions(texts, plainOptions), ...values };
  const {
    model,
    placement,
    fallback = false,
    restore = false,
    trace,
    trace_candidates,
    format,
    end_at_sentence,
    ...parameters
  } = parse(plainOptions, given);
  return {
    ...{ model, placement, fallback, restore, parameters },
    trace: traceOf({ trace, trace_candidates }),
    form: answerFormOf({ format, end_at_sentence }),
  };
}
