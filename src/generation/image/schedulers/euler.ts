/** Euler's method on the probability flow. */
import { checkFields, readClip, readPredictionType } from './config.ts';
import type { Scheduler, SchedulerConfig } from './scheduler.ts';
import { sigmaInputs, sigmaSchedule } from './sigmas.ts';
import { cleanMix, combine } from './update.ts';

/**
 * Euler steps in sigma along dx/dsigma = (x - clean) / sigma (Karras et al. 2022, arXiv:2206.00364, algorithm 2
 * without its churn and its correction).
 *
 * @throws InvalidInputError if the configuration has a value that is out of range or not implemented
 */
export function createEuler(config: SchedulerConfig, steps: number): Scheduler {
  checkFields(config, { rescale_betas_zero_snr: true, use_karras_sigmas: true, final_sigmas_type: true });
  const prediction = readPredictionType(config);
  const clip = readClip(config, false);
  const { timesteps, sigmas, smallest, initNoiseSigma } = sigmaSchedule(config, steps);
  const final = config.final_sigmas_type === 'sigma_min' ? smallest : 0;
  return {
    timesteps,
    initNoiseSigma,
    ...sigmaInputs((index) => sigmas[index]),
    step(output, index, sample) {
      const sigma = sigmas[index];
      const ratio = (index + 1 < steps ? sigmas[index + 1] : final) / sigma;
      const clean = cleanMix(prediction, { alpha: 1, sigma });
      return combine(sample, output, clean, clip, { sample: ratio, denoised: 1 - ratio });
    },
  };
}
