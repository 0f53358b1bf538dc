/** Noise levels of schedulers that keep the sample's variance: alpha^2 + sigma^2 = 1. */
import { InvalidInputError } from '../../parameters.ts';
import type { PredictionType, SchedulerConfig } from './scheduler.ts';
import type { NoiseLevel } from './update.ts';

/** The level at which this share of the image's variance is left. */
export function preservingLevel(alphaCumprod: number): NoiseLevel {
  return { alpha: Math.sqrt(alphaCumprod), sigma: Math.sqrt(1 - alphaCumprod) };
}

/**
 * The level of each evaluation.
 * @throws InvalidInputError if a run begins at pure noise with a denoiser that predicts the noise: the sample is the
 *   noise there, and says nothing of an image
 */
export function preservingLevels(
  config: SchedulerConfig,
  alphas: Float64Array,
  timesteps: readonly number[],
  prediction: PredictionType,
): NoiseLevel[] {
  if (prediction === 'epsilon' && config.rescale_betas_zero_snr) {
    throw new InvalidInputError(
      'rescale_betas_zero_snr takes no prediction_type "epsilon" in this scheduler.',
      {
        param: 'rescale_betas_zero_snr',
      },
    );
  }
  return timesteps.map((t) => preservingLevel(alphas[t]));
}
