/** The arithmetic all schedulers share: one pass over the sample per step. */
import type { PredictionType, SchedulerStep } from './scheduler.ts';

/** A linear combination of the sample and the denoiser's output. */
export interface Mix {
  sample: number;
  output: number;
}

/** Where a sample stands: it is `alpha` times the clean image plus `sigma` times N(0, 1) noise, sigma above 0. */
export interface NoiseLevel {
  alpha: number;
  sigma: number;
}

/**
 * The predicted clean image as a combination of sample and output, for a denoiser that saw the sample scaled to
 * alpha^2 + sigma^2 = 1: of the noise, or of the velocity (Salimans & Ho 2022, arXiv:2202.00512, appendix D).
 */
export function cleanMix(prediction: PredictionType, { alpha, sigma }: NoiseLevel): Mix {
  if (prediction === 'sample') return { sample: 0, output: 1 };
  if (prediction === 'epsilon') return { sample: 1 / alpha, output: -sigma / alpha };
  const variance = alpha ** 2 + sigma ** 2;
  return { sample: alpha / variance, output: -sigma / Math.sqrt(variance) };
}

/** The predicted noise as a combination of sample and output, in agreement with the clean image of `cleanMix`. */
export function noiseMix(prediction: PredictionType, { alpha, sigma }: NoiseLevel): Mix {
  if (prediction === 'epsilon') return { sample: 0, output: 1 };
  if (prediction === 'sample') return { sample: 1 / sigma, output: -alpha / sigma };
  const variance = alpha ** 2 + sigma ** 2;
  return { sample: sigma / variance, output: alpha / Math.sqrt(variance) };
}

/** A step's weights: of the sample, of the output, of the clipped clean image, and of one array more. */
export interface Weights {
  sample: number;
  output?: number;
  denoised: number;
  extra?: number;
}

/**
 * The predicted clean image, clipped to ±`clip`, and the weighted sum of what a step is made of.
 *
 * @param extra noise or what an earlier evaluation left; without it its weight is 0
 */
export function combine(
  sample: Float32Array,
  output: Float32Array,
  clean: Mix,
  clip: number,
  weights: Weights,
  extra: Float32Array = sample,
): SchedulerStep {
  const { length } = sample;
  const next = new Float32Array(length);
  const denoised = new Float32Array(length);
  const { sample: cleanSample, output: cleanOutput } = clean;
  const { sample: ofSample, output: ofOutput = 0, denoised: ofDenoised, extra: ofExtra = 0 } = weights;
  for (let i = 0; i < length; i++) {
    let x = cleanSample * sample[i] + cleanOutput * output[i];
    if (x > clip) x = clip;
    else if (x < -clip) x = -clip;
    denoised[i] = x;
    next[i] = ofSample * sample[i] + ofOutput * output[i] + ofDenoised * x + ofExtra * extra[i];
  }
  return { sample: next, denoised };
}

/** `a` times the first array plus `b` times the second. */
export function addScaled(first: Float32Array, a: number, second: Float32Array, b: number): Float32Array {
  const sum = new Float32Array(first.length);
  for (let i = 0; i < sum.length; i++) sum[i] = a * first[i] + b * second[i];
  return sum;
}

/** `factor` times the array; the array itself for a factor of 1. */
export function scale(array: Float32Array, factor: number): Float32Array {
  if (factor === 1) return array;
  const scaled = new Float32Array(array.length);
  for (let i = 0; i < scaled.length; i++) scaled[i] = factor * array[i];
  return scaled;
}
