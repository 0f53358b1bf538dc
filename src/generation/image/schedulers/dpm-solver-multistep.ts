/** DPM-Solver++(2M): an exponential integrator that remembers one clean image. */
import { checkFields, readBoolean, readChoice, readClip, readNumber, readPredictionType } from './config.ts';
import { roundHalfToEven, spaceTimesteps } from './noise-schedule.ts';
import type { Scheduler, SchedulerConfig } from './scheduler.ts';
import { karrasSigmas, sigmaToTimestep, trainingSigmas } from './sigmas.ts';
import { addScaled, cleanMix, combine, type NoiseLevel } from './update.ts';

/** The variance-preserving level of a sigma. */
function levelOf(sigma: number): NoiseLevel {
  const alpha = 1 / Math.hypot(sigma, 1);
  return { alpha, sigma: sigma * alpha };
}

/**
 * DPM-Solver++ in its multistep form of order 1 or 2 (Lu et al. 2022, arXiv:2211.01095, algorithm 2). The first step
 * of a run and one that ends at sigma 0 are of the first order; so is the last of fewer than 15 with
 * lower_order_final.
 *
 * @throws InvalidInputError if the configuration has a value that is out of range or not implemented
 */
export function createDpmSolverMultistep(config: SchedulerConfig, steps: number): Scheduler {
  checkFields(config, { rescale_betas_zero_snr: true, use_karras_sigmas: true, final_sigmas_type: true });
  const prediction = readPredictionType(config);
  const clip = readClip(config, false);
  const order = readNumber(config, 'solver_order', 2, { min: 1, max: 2, whole: true });
  // The other names are those of solvers that have no midpoint; diffusers takes them for it too.
  readChoice(config, 'solver_type', 'midpoint', ['midpoint', 'logrho', 'bh1', 'bh2']);
  readChoice(config, 'algorithm_type', 'dpmsolver++', ['dpmsolver++', 'deis']);
  const lowerAtEnd =
    readBoolean(config, 'euler_at_final', false) ||
    (readBoolean(config, 'lower_order_final', true) && steps < 15);
  const { timesteps, sigmas } = schedule(config, steps);
  const levels = sigmas.map(levelOf);
  let previous: { index: number; denoised: Float32Array } | undefined;
  return {
    timesteps,
    initNoiseSigma: 1,
    scaleInput: (sample) => sample,
    step(output, index, sample) {
      const clean = cleanMix(prediction, levels[index]);
      const [here, next] = [levels[index], levels[index + 1]];
      // exp(-h), where h is by how much the logarithm of alpha / sigma grows.
      const decay = sigmas[index + 1] / sigmas[index];
      const towards = next.alpha * (1 - decay);
      const weights = { sample: next.sigma / here.sigma, denoised: towards, extra: 0 };
      const last = index === steps - 1 && lowerAtEnd;
      const remembered = previous?.index === index - 1 ? previous.denoised : undefined;
      if (order === 2 && remembered && !last && decay > 0) {
        const ratio = Math.log(sigmas[index - 1] / sigmas[index]) / -Math.log(decay);
        // Steps of no length, which rounded timesteps may give, have no slope.
        if (ratio > 0 && ratio < Infinity) {
          weights.denoised += towards / (2 * ratio);
          weights.extra = -towards / (2 * ratio);
        }
      }
      const result = combine(sample, output, clean, clip, weights, remembered);
      previous = { index, denoised: result.denoised };
      return result;
    },
    addNoise: (clean, noise, index) => addScaled(clean, levels[index].alpha, noise, levels[index].sigma),
  };
}

/** Whole timesteps, one per step, and sigmas, one more. */
function schedule(config: SchedulerConfig, steps: number): { timesteps: number[]; sigmas: number[] } {
  const all = trainingSigmas(config);
  const final = config.final_sigmas_type === 'sigma_min' ? all[0] : 0;
  if (config.use_karras_sigmas) {
    const sigmas = karrasSigmas(all[all.length - 1], all[0], steps);
    return {
      timesteps: sigmas.map((sigma) => roundHalfToEven(sigmaToTimestep(all, sigma))),
      sigmas: [...sigmas, final],
    };
  }
  const timesteps = spaceTimesteps(config, {
    count: steps,
    otherwise: 'linspace',
    whole: true,
    withEnd: true,
  });
  return { timesteps, sigmas: [...timesteps.map((t) => all[t]), final] };
}
