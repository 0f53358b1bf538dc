/** The noise a model was trained with, and which of its levels a run visits. */
import { InvalidInputError } from '../../parameters.ts';
import { readBoolean, readChoice, readNumber, refuse } from './config.ts';
import type { SchedulerConfig } from './scheduler.ts';

/** @throws InvalidInputError if num_train_timesteps is no whole number from 1 to 100,000 */
export function trainTimesteps(config: SchedulerConfig): number {
  return readNumber(config, 'num_train_timesteps', 1000, { min: 1, max: 100_000, whole: true });
}

/** Where a scheduler's schedule differs from linear betas from 0.0001 to 0.02. */
export interface BetaDefaults {
  start: number;
  end: number;
  schedule: 'linear' | 'scaled_linear';
}

/**
 * The share of the image's variance that is left at each training timestep, the running product of 1 - beta
 * (Ho et al. 2020, arXiv:2006.11239, section 2): `[num_train_timesteps]`, falling, below 1 and above 0.
 *
 * With rescale_betas_zero_snr the last share is 0 and the others are stretched down to it (Lin et al. 2023,
 * arXiv:2305.08891, algorithm 1).
 *
 * @throws InvalidInputError if a field of the schedule is out of range, or the schedule leaves nothing of the image
 */
export function alphasCumprod(config: SchedulerConfig, defaults?: BetaDefaults): Float64Array {
  const alphas = betas(config, trainTimesteps(config), defaults);
  let product = 1;
  for (let t = 0; t < alphas.length; t++) {
    // Models are trained with betas and shares of float32; at the clean end that changes the fourth digit of 1 - share.
    product *= Math.fround(1 - Math.fround(alphas[t]));
    alphas[t] = Math.fround(product);
  }
  // Below that, divisions by its square root leave the range of float32.
  if (!(product > 1e-30)) {
    throw new InvalidInputError(
      'The betas of the scheduler leave nothing of the image at the last timestep.',
      {
        param: 'beta_schedule',
      },
    );
  }
  if (alphas[0] === 1) {
    throw new InvalidInputError(
      'The first beta of the scheduler is too small for float32: it adds no noise.',
      {
        param: 'beta_start',
      },
    );
  }
  return readBoolean(config, 'rescale_betas_zero_snr', false) ? rescaleToZeroSnr(alphas) : alphas;
}

function rescaleToZeroSnr(alphas: Float64Array): Float64Array {
  const first = Math.sqrt(alphas[0]);
  const last = Math.sqrt(alphas[alphas.length - 1]);
  if (first === last) {
    throw new InvalidInputError('rescale_betas_zero_snr needs more than one training timestep.', {
      param: 'rescale_betas_zero_snr',
    });
  }
  return alphas.map((alpha) => (((Math.sqrt(alpha) - last) * first) / (first - last)) ** 2);
}

function betas(
  config: SchedulerConfig,
  count: number,
  { start, end, schedule }: BetaDefaults = { start: 0.0001, end: 0.02, schedule: 'linear' },
): Float64Array {
  const { trained_betas: trained } = config;
  if (trained !== null && trained !== undefined) {
    const beta = (value: unknown) => typeof value === 'number' && value > 0 && value < 1;
    if (!Array.isArray(trained) || trained.length !== count || !trained.every(beta)) {
      refuse(config, 'trained_betas', `a list of ${count} numbers above 0 and below 1`);
    }
    return Float64Array.from(trained);
  }
  const name = readChoice(config, 'beta_schedule', schedule, [
    'linear',
    'scaled_linear',
    'squaredcos_cap_v2',
  ]);
  if (name === 'squaredcos_cap_v2') return cosineBetas(count);
  const first = readNumber(config, 'beta_start', start, { above: 0, below: 1 });
  const last = readNumber(config, 'beta_end', end, { above: 0, below: 1 });
  if (name === 'linear') return linspace(first, last, count);
  // Latent diffusion's: linear in the root.
  return linspace(Math.sqrt(first), Math.sqrt(last), count).map((root) => root ** 2);
}

/** Betas of the cosine schedule, none above 0.999 (Nichol & Dhariwal 2021, arXiv:2102.09672, equation 17). */
function cosineBetas(count: number): Float64Array {
  const left = (t: number) => Math.cos(((t / count + 0.008) / 1.008) * (Math.PI / 2)) ** 2;
  return Float64Array.from({ length: count }, (_, t) => Math.min(1 - left(t + 1) / left(t), 0.999));
}

/** `count` numbers from `start` to `end`, both part of it; one number is `start`. */
export function linspace(start: number, end: number, count: number): Float64Array {
  const step = count > 1 ? (end - start) / (count - 1) : 0;
  // The last is set, since a sum of steps may miss it.
  return Float64Array.from({ length: count }, (_, i) => (i > 0 && i === count - 1 ? end : start + i * step));
}

/** The nearest whole number, halves to the even one, as numpy rounds. */
export function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** How the timesteps of a run are placed. */
export interface Spacing {
  count: number;
  /** The spacing where the configuration names none. */
  otherwise: 'linspace' | 'leading';
  /** Whether the timesteps of linspace are whole. */
  whole: boolean;
  /** Whether one more timestep is placed, at the end, and left out. */
  withEnd?: boolean;
}

/**
 * The training timesteps of a run, from the noisiest on, each from 0 to num_train_timesteps - 1 (Lin et al. 2023,
 * arXiv:2305.08891, table 2). One step of linspace begins at the noisiest timestep, where diffusers takes 0.
 *
 * @throws InvalidInputError if there are more steps than training timesteps, or steps_offset leads out of them
 */
export function spaceTimesteps(
  config: SchedulerConfig,
  { count, otherwise, whole, withEnd = false }: Spacing,
): number[] {
  const total = trainTimesteps(config);
  const places = count + (withEnd ? 1 : 0);
  const spacing = readChoice(config, 'timestep_spacing', otherwise, ['linspace', 'leading', 'trailing']);
  const needed = spacing === 'trailing' ? count : places;
  if (needed > total) {
    const most = total - (needed - count);
    throw new InvalidInputError(
      `steps is at most ${most} with ${total} training timesteps and ${spacing} spacing, not ${count}.`,
      { param: 'steps' },
    );
  }
  if (spacing === 'linspace') {
    if (places === 1) return [total - 1];
    // Counted from 0, since halves would round differently on the way down.
    const all = linspace(0, total - 1, places).reverse();
    return Array.from(all.subarray(0, count), (t) => (whole ? roundHalfToEven(t) : t));
  }
  if (spacing === 'trailing') {
    return Array.from({ length: count }, (_, i) => roundHalfToEven(total - (i * total) / count) - 1);
  }
  const offset = readNumber(config, 'steps_offset', 0, { min: 0, whole: true });
  const stride = Math.floor(total / places);
  const first = (places - 1) * stride + offset;
  if (first >= total) {
    throw new InvalidInputError(
      `steps_offset ${offset} puts the first of ${count} timesteps at ${first}, past the last trained, ${total - 1}.`,
      { param: 'steps_offset' },
    );
  }
  return Array.from({ length: count }, (_, i) => first - i * stride);
}
