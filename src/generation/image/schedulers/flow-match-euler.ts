/** Euler's method on a rectified flow. */
import { checkFields, readChoice, readClip, readNumber } from './config.ts';
import { linspace, trainTimesteps } from './noise-schedule.ts';
import type { Scheduler, SchedulerConfig } from './scheduler.ts';
import { addScaled, combine } from './update.ts';

/**
 * Euler steps along a straight flow from noise to image (Liu et al. 2022, arXiv:2209.03003): the sample is
 * (1 - sigma) times the clean image plus sigma times the noise, and the denoiser gives the velocity, noise minus
 * clean image. `shift` bends the sigmas towards the noise (Esser et al. 2024, arXiv:2403.03206, equation 23). The
 * denoiser's timestep is sigma times num_train_timesteps.
 *
 * @throws InvalidInputError if the configuration has a value that is out of range or not implemented
 */
export function createFlowMatchEuler(config: SchedulerConfig, steps: number): Scheduler {
  checkFields(config, {});
  readChoice(config, 'prediction_type', 'flow_prediction', ['flow_prediction']);
  const clip = readClip(config, false);
  const total = trainTimesteps(config);
  const shift = readNumber(config, 'shift', 1, { min: 0.001, max: 1000 });
  const shifted = (sigma: number) => (shift * sigma) / (1 + (shift - 1) * sigma);
  // The range is that of the shifted training sigmas; its places are shifted again, as in SD3's own sampler.
  const sigmas = Array.from(linspace(1, shifted(1 / total), steps), shifted);
  return {
    timesteps: sigmas.map((sigma) => sigma * total),
    initNoiseSigma: 1,
    scaleInput: (sample) => sample,
    step(output, index, sample) {
      const sigma = sigmas[index];
      const ratio = (index + 1 < steps ? sigmas[index + 1] : 0) / sigma;
      // x - sigma velocity is the clean image, and the rest of the way is straight.
      return combine(sample, output, { sample: 1, output: -sigma }, clip, {
        sample: ratio,
        denoised: 1 - ratio,
      });
    },
    addNoise: (clean, noise, index) => addScaled(clean, 1 - sigmas[index], noise, sigmas[index]),
  };
}
