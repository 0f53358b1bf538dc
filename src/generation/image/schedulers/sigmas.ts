/** Noise levels of schedulers that count in sigma: the sample is the clean image plus sigma times N(0, 1) noise. */
import { readBoolean } from './config.ts';
import { alphasCumprod, linspace, spaceTimesteps } from './noise-schedule.ts';
import type { Scheduler, SchedulerConfig } from './scheduler.ts';
import { addScaled, scale } from './update.ts';

/** Sigma of each training timestep, `[num_train_timesteps]`, rising. */
export function trainingSigmas(config: SchedulerConfig): Float64Array {
  // Zero SNR would be an infinite sigma; diffusers leaves this share of the image, for a sigma of 4096.
  return alphasCumprod(config).map((alpha) => Math.sqrt((1 - alpha) / (alpha || 2 ** -24)));
}

/** `values` at a place between its entries, straight from one to the next. */
export function interpolate(values: Float64Array, place: number): number {
  const low = Math.min(Math.floor(place), values.length - 1);
  const high = Math.min(low + 1, values.length - 1);
  return values[low] + (place - low) * (values[high] - values[low]);
}

/** `count` sigmas from the first to the last, falling (Karras et al. 2022, arXiv:2206.00364, equation 5, rho 7). */
export function karrasSigmas(first: number, last: number, count: number): number[] {
  const rho = 7;
  return Array.from(linspace(first ** (1 / rho), last ** (1 / rho), count), (root) => root ** rho);
}

/** The training timestep of a sigma, between the nearest two in proportion to their logarithms; within the trained. */
export function sigmaToTimestep(sigmas: Float64Array, sigma: number): number {
  if (sigma >= sigmas[sigmas.length - 1]) return sigmas.length - 1;
  let low = 0;
  let high = sigmas.length - 1;
  if (sigma <= sigmas[0]) return 0;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (sigmas[middle] <= sigma) low = middle;
    else high = middle;
  }
  return low + Math.log(sigma / sigmas[low]) / Math.log(sigmas[high] / sigmas[low]);
}

/** The levels of a run. */
export interface SigmaSchedule {
  /** One per step, whole or not. */
  timesteps: number[];
  /** One per step, falling. */
  sigmas: number[];
  /** Sigma of timestep 0. */
  smallest: number;
  initNoiseSigma: number;
}

/**
 * The levels of Euler's and Heun's schedulers, linspace by default. The initial noise of linspace and trailing
 * spacing has the first sigma; that of leading spacing, which begins below the noisiest timestep, also has the
 * image's own variance of 1.
 *
 * @throws InvalidInputError if the configuration is out of range
 */
export function sigmaSchedule(config: SchedulerConfig, steps: number): SigmaSchedule {
  const all = trainingSigmas(config);
  let timesteps = spaceTimesteps(config, { count: steps, otherwise: 'linspace', whole: false });
  let sigmas = timesteps.map((t) => interpolate(all, t));
  if (readBoolean(config, 'use_karras_sigmas', false)) {
    sigmas = karrasSigmas(sigmas[0], sigmas[steps - 1], steps);
    timesteps = sigmas.map((sigma) => sigmaToTimestep(all, sigma));
  }
  const initNoiseSigma = config.timestep_spacing === 'leading' ? Math.hypot(sigmas[0], 1) : sigmas[0];
  return { timesteps, sigmas, smallest: all[0], initNoiseSigma };
}

/** How these schedulers scale the denoiser's input, to a variance of 1, and noise a clean image. */
export function sigmaInputs(sigmaAt: (index: number) => number): Pick<Scheduler, 'scaleInput' | 'addNoise'> {
  return {
    scaleInput: (sample, index) => scale(sample, 1 / Math.hypot(sigmaAt(index), 1)),
    addNoise: (clean, noise, index) => addScaled(clean, 1, noise, sigmaAt(index)),
  };
}
