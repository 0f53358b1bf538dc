/** Reading and checking a scheduler's configuration. */
import { InvalidInputError } from '../../parameters.ts';
import type { PredictionType, SchedulerConfig } from './scheduler.ts';

/** A value as it reads in a sentence, shortened. */
export function show(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

/** @throws InvalidInputError always: that `field` is `expected`, not what stands there */
export function refuse(config: SchedulerConfig, field: string, expected: string): never {
  throw new InvalidInputError(`The scheduler's ${field} is ${expected}, not ${show(config[field])}.`, {
    param: field,
  });
}

/** The bounds of a number; `above` and `below` are not part of the range. */
interface Bounds {
  min?: number;
  max?: number;
  above?: number;
  below?: number;
  whole?: boolean;
}

/**
 * A number of the configuration, or its default.
 * @throws InvalidInputError if it is no number of the range
 */
export function readNumber(
  config: SchedulerConfig,
  field: string,
  otherwise: number,
  { min = -Infinity, max = Infinity, above = -Infinity, below = Infinity, whole = false }: Bounds,
): number {
  const value = config[field] ?? otherwise;
  const fits = Number.isFinite(value) && (!whole || Number.isInteger(value));
  const number = value as number;
  if (fits && number >= min && number <= max && number > above && number < below) return number;
  const bounds = [
    min > -Infinity ? `from ${min}` : above > -Infinity ? `above ${above}` : '',
    max < Infinity ? `to ${max}` : below < Infinity ? `below ${below}` : '',
  ];
  const range = bounds.filter(Boolean).join(bounds[1].startsWith('below') ? ' and ' : ' ');
  return refuse(config, field, `a ${whole ? 'whole ' : ''}number ${range}`);
}

/**
 * A yes or no of the configuration, or its default.
 * @throws InvalidInputError if it is neither
 */
export function readBoolean(config: SchedulerConfig, field: string, otherwise: boolean): boolean {
  const value = config[field] ?? otherwise;
  return typeof value === 'boolean' ? value : refuse(config, field, 'true or false');
}

/**
 * One of some words of the configuration, or its default.
 * @throws InvalidInputError if it is none of them
 */
export function readChoice<T extends string>(
  config: SchedulerConfig,
  field: string,
  otherwise: T,
  choices: readonly T[],
): T {
  const value = config[field] ?? otherwise;
  return choices.find((choice) => choice === value) ?? refuse(config, field, list(choices));
}

/** Words of a sentence: one, two or three. */
export function list(words: readonly string[]): string {
  return words.length > 1 ? `${words.slice(0, -1).join(', ')} or ${words.at(-1)}` : words.join();
}

/**
 * What the denoiser predicts, where it is no velocity of a flow.
 * @throws InvalidInputError for a flow and for words unknown
 */
export function readPredictionType(config: SchedulerConfig): Exclude<PredictionType, 'flow_prediction'> {
  return readChoice(config, 'prediction_type', 'epsilon', ['epsilon', 'v_prediction', 'sample']);
}

/**
 * To what the predicted clean image is clipped, Infinity for not at all. It holds for every scheduler whose
 * configuration asks for it, while diffusers drops it in some.
 */
export function readClip(config: SchedulerConfig, otherwise: boolean): number {
  const range = readNumber(config, 'clip_sample_range', 1, { above: 0 });
  return readBoolean(config, 'clip_sample', otherwise) ? range : Infinity;
}

/** Fields that change a run, and the values besides "not given" at which they change nothing. */
const unimplemented: Record<string, readonly unknown[]> = {
  thresholding: [false],
  use_exponential_sigmas: [false],
  use_beta_sigmas: [false],
  use_lu_lambdas: [false],
  use_flow_sigmas: [false],
  use_dynamic_shifting: [false],
  invert_sigmas: [false],
  stochastic_sampling: [false],
  shift_terminal: [],
  sigma_min: [],
  sigma_max: [],
  lambda_min_clipped: [-Infinity],
  interpolation_type: ['linear'],
  timestep_type: ['discrete'],
  rho: [7],
  predict_epsilon: [true],
};

/** Fields that each scheduler reads where it knows them, and those that act only together with one refused above. */
const known = new Set([
  ...['num_train_timesteps', 'beta_start', 'beta_end', 'beta_schedule', 'trained_betas', 'prediction_type'],
  ...['timestep_spacing', 'steps_offset', 'clip_sample', 'clip_sample_range', 'set_alpha_to_one', 'eta'],
  ...['rescale_betas_zero_snr', 'use_karras_sigmas', 'final_sigmas_type', 'variance_type', 'solver_order'],
  ...['solver_type', 'algorithm_type', 'lower_order_final', 'euler_at_final', 'original_inference_steps'],
  ...['timestep_scaling', 'shift', 'dynamic_thresholding_ratio', 'sample_max_value', 'base_shift'],
  ...['max_shift', 'base_image_seq_len', 'max_image_seq_len', 'time_shift_type', 'flow_shift'],
  // Of PNDM and UniPC, with which many models are published.
  ...['skip_prk_steps', 'predict_x0', 'solver_p', 'disable_corrector'],
]);

/** Fields that only some schedulers implement, and what the others take. */
export interface Implemented {
  rescale_betas_zero_snr?: boolean;
  use_karras_sigmas?: boolean;
  final_sigmas_type?: boolean;
}

/**
 * Refuses what would change the samples and is not implemented.
 *
 * @param implemented of the fields that not every scheduler has, those of this one
 * @throws InvalidInputError naming the field
 */
export function checkFields(config: SchedulerConfig, implemented: Implemented): void {
  for (const [field, value] of Object.entries(config)) {
    if (value === null || value === undefined || field.startsWith('_') || known.has(field)) continue;
    if (!Object.hasOwn(unimplemented, field)) {
      throw new InvalidInputError(`The scheduler's field ${show(field)} is not known here.`, {
        param: field,
      });
    }
    if (!unimplemented[field].includes(value)) unavailable(field, value);
  }
  for (const field of ['rescale_betas_zero_snr', 'use_karras_sigmas'] as const) {
    if (readBoolean(config, field, false) && !implemented[field]) unavailable(field, true);
  }
  readChoice(config, 'timestep_spacing', 'linspace', ['linspace', 'leading', 'trailing']);
  // A learned variance comes out of the denoiser beside its prediction, whichever scheduler takes it.
  readChoice(config, 'variance_type', 'fixed_small', ['fixed_small', 'fixed_small_log', 'fixed_large']);
  const final = readChoice(config, 'final_sigmas_type', 'zero', ['zero', 'sigma_min']);
  if (final !== 'zero' && !implemented.final_sigmas_type) unavailable('final_sigmas_type', final);
}

function unavailable(field: string, value: unknown): never {
  throw new InvalidInputError(`This scheduler does not implement ${field} ${show(value)}.`, { param: field });
}
