/** Latent consistency models: to the clean image at once, and back to the next level with fresh noise. */
import { InvalidInputError } from '../../parameters.ts';
import { checkFields, readClip, readNumber, readPredictionType } from './config.ts';
import { alphasCumprod, trainTimesteps } from './noise-schedule.ts';
import type { Scheduler, SchedulerConfig } from './scheduler.ts';
import { addScaled, cleanMix, combine } from './update.ts';
import { preservingLevels } from './variance-preserving.ts';

/** The standard deviation of the data, as the boundary conditions take it. */
const sigmaData = 0.5;

/**
 * Multistep consistency sampling (Song et al. 2023, arXiv:2303.01469, algorithm 1) with the boundary conditions and
 * the timesteps of latent consistency models (Luo et al. 2023, arXiv:2310.04378). The timesteps are those of the
 * distillation, original_inference_steps of them, evenly thinned. The last step draws no noise.
 *
 * @throws InvalidInputError if the configuration has a value that is out of range or not implemented, or there are
 *   more steps than original_inference_steps
 */
export function createLcm(config: SchedulerConfig, steps: number): Scheduler {
  checkFields(config, { rescale_betas_zero_snr: true });
  const prediction = readPredictionType(config);
  const clip = readClip(config, false);
  const scaling = readNumber(config, 'timestep_scaling', 10, { above: 0, max: 1e6 });
  const alphas = alphasCumprod(config, { start: 0.00085, end: 0.012, schedule: 'scaled_linear' });
  const timesteps = distilledTimesteps(config, steps);
  const levels = preservingLevels(config, alphas, timesteps, prediction);
  return {
    timesteps,
    initNoiseSigma: 1,
    scaleInput: (sample) => sample,
    step(output, index, sample, noise) {
      const time = timesteps[index] * scaling;
      const skip = sigmaData ** 2 / (time ** 2 + sigmaData ** 2);
      const out = time / Math.hypot(time, sigmaData);
      const clean = cleanMix(prediction, levels[index]);
      if (index === steps - 1) return combine(sample, output, clean, clip, { sample: skip, denoised: out });
      const { alpha, sigma } = levels[index + 1];
      const weights = { sample: alpha * skip, denoised: alpha * out, extra: sigma };
      return combine(sample, output, clean, clip, weights, noise());
    },
    addNoise: (clean, noise, index) => addScaled(clean, levels[index].alpha, noise, levels[index].sigma),
  };
}

function distilledTimesteps(config: SchedulerConfig, steps: number): number[] {
  const total = trainTimesteps(config);
  const original = readNumber(config, 'original_inference_steps', Math.min(50, total), {
    min: 1,
    max: total,
    whole: true,
  });
  if (steps > original) {
    throw new InvalidInputError(
      `steps is at most original_inference_steps, ${original}, in this scheduler, not ${steps}.`,
      { param: 'steps' },
    );
  }
  const stride = Math.floor(total / original);
  return Array.from(
    { length: steps },
    (_, i) => (original - Math.floor((i * original) / steps)) * stride - 1,
  );
}
