/** Heun's method on the probability flow: each step asks the denoiser at both of its ends. */
import { checkFields, readClip, readPredictionType } from './config.ts';
import type { Scheduler, SchedulerConfig } from './scheduler.ts';
import { sigmaInputs, sigmaSchedule } from './sigmas.ts';
import { addScaled, cleanMix, combine } from './update.ts';

/**
 * Steps of the second order in sigma (Karras et al. 2022, arXiv:2206.00364, algorithm 1). The last step ends at
 * sigma 0, where the slope has no value, and is Euler's: n steps are 2 n - 1 evaluations. Those of even index begin
 * a step, the odd ones correct it.
 *
 * @throws InvalidInputError if the configuration has a value that is out of range or not implemented
 */
export function createHeun(config: SchedulerConfig, steps: number): Scheduler {
  checkFields(config, { use_karras_sigmas: true });
  const prediction = readPredictionType(config);
  const clip = readClip(config, false);
  const { timesteps, sigmas, initNoiseSigma } = sigmaSchedule(config, steps);
  const sigmaAt = (index: number) => sigmas[Math.ceil(index / 2)];
  // What the first half of a step leaves: its start, and half the way its slope leads from there.
  let begun: { index: number; halfway: Float32Array } | undefined;
  return {
    timesteps: timesteps.flatMap((t, i) => (i > 0 ? [t, t] : [t])),
    initNoiseSigma,
    ...sigmaInputs(sigmaAt),
    step(output, index, sample) {
      const sigma = sigmaAt(index);
      const clean = cleanMix(prediction, { alpha: 1, sigma });
      if (index % 2 === 0) {
        const step = index / 2;
        const ratio = step + 1 < steps ? sigmas[step + 1] / sigma : 0;
        const euler = combine(sample, output, clean, clip, { sample: ratio, denoised: 1 - ratio });
        begun = { index, halfway: addScaled(sample, 0.5, euler.sample, 0.5) };
        return euler;
      }
      if (begun?.index !== index - 1) {
        throw new Error(`Evaluation ${index} of Heun's method follows evaluation ${index - 1}.`);
      }
      // From x to x' = x + dt slope, the corrected end is x + dt (slope + slope') / 2.
      const half = (sigma - sigmaAt(index - 1)) / 2 / sigma;
      const weights = { sample: half, denoised: -half, extra: 1 };
      const corrected = combine(sample, output, clean, clip, weights, begun.halfway);
      begun = undefined;
      return corrected;
    },
  };
}
