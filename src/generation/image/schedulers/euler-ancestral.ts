/** Euler's method, past the next level and back to it with fresh noise. */
import { checkFields, readClip, readPredictionType } from './config.ts';
import type { Scheduler, SchedulerConfig } from './scheduler.ts';
import { sigmaInputs, sigmaSchedule } from './sigmas.ts';
import { cleanMix, combine } from './update.ts';

/**
 * Ancestral sampling in sigma: an Euler step (Karras et al. 2022, arXiv:2206.00364) to below the next sigma, then
 * noise up to it, as much as the posterior of the step has (Ho et al. 2020, arXiv:2006.11239, equation 7; with
 * s < t the sigmas, its variance is s^2 (t^2 - s^2) / t^2). The last step draws no noise.
 *
 * @throws InvalidInputError if the configuration has a value that is out of range or not implemented
 */
export function createEulerAncestral(config: SchedulerConfig, steps: number): Scheduler {
  checkFields(config, { rescale_betas_zero_snr: true, use_karras_sigmas: true });
  const prediction = readPredictionType(config);
  const clip = readClip(config, false);
  const { timesteps, sigmas, initNoiseSigma } = sigmaSchedule(config, steps);
  return {
    timesteps,
    initNoiseSigma,
    ...sigmaInputs((index) => sigmas[index]),
    step(output, index, sample, noise) {
      const sigma = sigmas[index];
      const next = index + 1 < steps ? sigmas[index + 1] : 0;
      const clean = cleanMix(prediction, { alpha: 1, sigma });
      const up = next * Math.sqrt(1 - (next / sigma) ** 2);
      const ratio = (next / sigma) ** 2;
      const weights = { sample: ratio, denoised: 1 - ratio, extra: up };
      return combine(sample, output, clean, clip, weights, up > 0 ? noise() : undefined);
    },
  };
}
