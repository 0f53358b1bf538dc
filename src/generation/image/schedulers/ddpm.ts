/** DDPM: the posterior of each step, its noise drawn. */
import { checkFields, readChoice, readClip, readPredictionType } from './config.ts';
import { alphasCumprod, spaceTimesteps } from './noise-schedule.ts';
import type { Scheduler, SchedulerConfig } from './scheduler.ts';
import { addScaled, cleanMix, combine } from './update.ts';
import { preservingLevels } from './variance-preserving.ts';

/**
 * Ancestral sampling of denoising diffusion probabilistic models (Ho et al. 2020, arXiv:2006.11239, equations 6
 * and 7), over any of the training timesteps. The last step draws no noise.
 *
 * The variance of a step is the posterior's (fixed_small, which fixed_small_log also is), or beta (fixed_large).
 *
 * @throws InvalidInputError if the configuration has a value that is out of range or not implemented
 */
export function createDdpm(config: SchedulerConfig, steps: number): Scheduler {
  checkFields(config, { rescale_betas_zero_snr: true });
  const prediction = readPredictionType(config);
  const clip = readClip(config, true);
  const upper = readChoice(config, 'variance_type', 'fixed_small', [
    'fixed_small',
    'fixed_small_log',
    'fixed_large',
  ]);
  const alphas = alphasCumprod(config);
  const timesteps = spaceTimesteps(config, { count: steps, otherwise: 'leading', whole: true });
  const levels = preservingLevels(config, alphas, timesteps, prediction);
  return {
    timesteps,
    initNoiseSigma: 1,
    scaleInput: (sample) => sample,
    step(output, index, sample, noise) {
      const last = index === steps - 1;
      const here = alphas[timesteps[index]];
      const next = last ? 1 : alphas[timesteps[index + 1]];
      const kept = here / next;
      const beta = 1 - kept;
      const variance = upper === 'fixed_large' ? beta : ((1 - next) / (1 - here)) * beta;
      const weights = {
        sample: (Math.sqrt(kept) * (1 - next)) / (1 - here),
        denoised: (Math.sqrt(next) * beta) / (1 - here),
        extra: Math.sqrt(variance),
      };
      const clean = cleanMix(prediction, levels[index]);
      if (last) return combine(sample, output, clean, clip, { ...weights, extra: 0 });
      return combine(sample, output, clean, clip, weights, noise());
    },
    addNoise: (clean, noise, index) => addScaled(clean, levels[index].alpha, noise, levels[index].sigma),
  };
}
