/** DDIM: from the predicted clean image and the predicted noise to the next level. */
import { checkFields, readBoolean, readClip, readNumber, readPredictionType } from './config.ts';
import { alphasCumprod, spaceTimesteps } from './noise-schedule.ts';
import type { Scheduler, SchedulerConfig } from './scheduler.ts';
import { addScaled, cleanMix, combine, noiseMix } from './update.ts';
import { preservingLevels } from './variance-preserving.ts';

/**
 * Denoising diffusion implicit models (Song et al. 2021, arXiv:2010.02502, equations 12 and 16). Without eta it is
 * deterministic; with eta 1 it draws as much noise as DDPM.
 *
 * Each step ends at the level where the next one begins. diffusers goes num_train_timesteps / steps timesteps down
 * instead, which is the same for leading spacing and for trailing spacing that divides evenly. The noise is that of
 * the unclipped clean image, as in diffusers.
 *
 * @throws InvalidInputError if the configuration has a value that is out of range or not implemented
 */
export function createDdim(config: SchedulerConfig, steps: number): Scheduler {
  checkFields(config, { rescale_betas_zero_snr: true });
  const prediction = readPredictionType(config);
  const clip = readClip(config, true);
  const eta = readNumber(config, 'eta', 0, { min: 0, max: 1 });
  const alphas = alphasCumprod(config);
  const final = readBoolean(config, 'set_alpha_to_one', true) ? 1 : alphas[0];
  const timesteps = spaceTimesteps(config, { count: steps, otherwise: 'leading', whole: true });
  const levels = preservingLevels(config, alphas, timesteps, prediction);
  return {
    timesteps,
    initNoiseSigma: 1,
    scaleInput: (sample) => sample,
    step(output, index, sample, noise) {
      const here = alphas[timesteps[index]];
      const next = index + 1 < steps ? alphas[timesteps[index + 1]] : final;
      const deviation = eta * Math.sqrt(((1 - next) / (1 - here)) * (1 - here / next));
      // Rounding may leave less than nothing.
      const direction = Math.sqrt(Math.max(1 - next - deviation ** 2, 0));
      const epsilon = noiseMix(prediction, levels[index]);
      const weights = {
        sample: direction * epsilon.sample,
        output: direction * epsilon.output,
        denoised: Math.sqrt(next),
        extra: deviation,
      };
      const fresh = deviation > 0 ? noise() : undefined;
      return combine(sample, output, cleanMix(prediction, levels[index]), clip, weights, fresh);
    },
    addNoise: (clean, noise, index) => addScaled(clean, levels[index].alpha, noise, levels[index].sigma),
  };
}
