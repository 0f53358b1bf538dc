import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createScheduler,
  type PredictionType,
  type Scheduler,
  type SchedulerConfig,
  schedulers,
} from '../../../src/generation/image/schedulers/index.ts';
import { alphasCumprod, roundHalfToEven } from '../../../src/generation/image/schedulers/noise-schedule.ts';
import { InvalidInputError } from '../../../src/generation/parameters.ts';
import { createRandom } from '../../../src/generation/random.ts';

const batch = 4;
const size = 768;

/** 0 to 767 over 768 with the batch as last axis, brought to the front: `[4, 3, 8, 8]`; `order` turns it around. */
function deterministic(order: (k: number) => number): Float32Array {
  const at = (i: number) => ((i * batch) % size) + Math.floor((i * batch) / size);
  return Float32Array.from({ length: size }, (_, i) => order(at(i)) / size);
}
const dummySample = deterministic((k) => k);
const dummyNoise = deterministic((k) => size - 1 - k);

/**
 * The normal numbers of torch's CPU generator: Mersenne Twister 19937 (Matsumoto & Nishimura 1998) for floats of 24
 * bits, of which Box-Muller makes blocks of 16, cosines first. It holds for lengths that 16 divides.
 */
function torchNormal(seed: number): (length: number) => Float32Array {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let i = 1; i < 624; i++) {
    state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  }
  let place = 624;
  const next = () => {
    if (place === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
        state[i] = state[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      place = 0;
    }
    let y = state[place++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
  return (length) => {
    const values = Float32Array.from({ length }, () => (next() & 0xffffff) / 2 ** 24);
    for (let block = 0; block < length; block += 16) {
      for (let j = block; j < block + 8; j++) {
        const radius = Math.sqrt(-2 * Math.log(1 - values[j]));
        const angle = 2 * Math.PI * values[j + 8];
        values[j] = radius * Math.cos(angle);
        values[j + 8] = radius * Math.sin(angle);
      }
    }
    return values;
  };
}

/** Of a run of diffusers' tests: steps if not 10, the evaluation to begin at with a noised sample, and how close. */
type Run = { steps?: number; from?: number; within?: number };

/** The loop of diffusers' tests: the sample is replaced by the scaled one, the model gives sample * t / (t + 1). */
function fullLoop(name: string, config: SchedulerConfig, { steps = 10, from }: Run): Float32Array {
  const scheduler = createScheduler(config, steps, name);
  const normal = torchNormal(0);
  let sample: Float32Array = dummySample.map((value) => value * scheduler.initNoiseSigma);
  if (from !== undefined) sample = scheduler.addNoise(sample, dummyNoise, from);
  for (let i = from ?? 0; i < scheduler.timesteps.length; i++) {
    const t = scheduler.timesteps[i];
    sample = scheduler.scaleInput(sample, i);
    const output = sample.map((value) => (value * t) / (t + 1));
    sample = scheduler.step(output, i, sample, () => normal(size)).sample;
  }
  return sample;
}

const usual = {
  num_train_timesteps: 1000,
  beta_start: 0.0001,
  beta_end: 0.02,
  beta_schedule: 'linear' as const,
};
const long = { ...usual, num_train_timesteps: 1100 };
const solver: SchedulerConfig = {
  ...{ ...usual, solver_order: 2, prediction_type: 'epsilon', thresholding: false, sample_max_value: 1 },
  ...{
    algorithm_type: 'dpmsolver++',
    solver_type: 'midpoint',
    lower_order_final: false,
    euler_at_final: false,
  },
  ...{ lambda_min_clipped: -Infinity, variance_type: null, final_sigmas_type: 'sigma_min' },
};
const distilled = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear' as const };
const v = { prediction_type: 'v_prediction' as const };
const karras = { use_karras_sigmas: true };

describe('the sums that diffusers publishes', () => {
  // From tests/schedulers/test_scheduler_*.py of huggingface/diffusers: file, test, and the sum of absolute values.
  // It computes in float32, which shows in the seventh digit, and more at the clean end (DDPM with noise).
  const sums: [file: string, test: string, name: string, config: SchedulerConfig, sum: number, run?: Run][] =
    [
      ['ddpm', 'no_noise', 'ddpm', usual, 258.9606, { steps: 1000 }],
      ['ddpm', 'v_prediction', 'ddpm', { ...usual, ...v }, 202.0296, { steps: 1000 }],
      ['ddpm', 'with_noise', 'ddpm', usual, 387.9466, { steps: 1000, from: 998, within: 0.03 }],
      ['ddim', 'no_noise', 'ddim', usual, 172.0067],
      ['ddim', 'v_prediction', 'ddim', { ...usual, ...v }, 52.5302],
      ['ddim', 'set_alpha_to_one', 'ddim', { ...usual, beta_start: 0.01 }, 149.8295],
      ['ddim', 'not to one', 'ddim', { ...usual, beta_start: 0.01, set_alpha_to_one: false }, 149.0784],
      ['ddim', 'with_noise', 'ddim', usual, 354.5418, { from: 8 }],
      ['euler', 'no_noise', 'euler', long, 10.0807],
      ['euler', 'v_prediction', 'euler', { ...long, ...v }, 0.0002],
      ['euler', 'karras_sigmas', 'euler', { ...long, ...karras }, 124.522995],
      ['euler', 'with_noise', 'euler', long, 57062.9297, { from: 8 }],
      ['euler_ancestral', 'no_noise', 'euler_a', long, 152.3192],
      ['euler_ancestral', 'v_prediction', 'euler_a', { ...long, ...v }, 108.4439],
      ['euler_ancestral', 'with_noise', 'euler_a', long, 56163.0508, { from: 8 }],
      ['heun', 'no_noise', 'heun', long, 0.1233, { within: 1e-4 }],
      ['heun', 'v_prediction', 'heun', { ...long, ...v }, 4.6934e-7, { within: 1e-7 }],
      ['heun', 'karras_sigmas', 'heun', { ...long, ...karras }, 0.00015, { within: 1e-5 }],
      ['heun', 'with_noise', 'heun', long, 75074.8906, { from: 16, within: 0.02 }],
      // Of three runs this file has the mean alone, to 0.001.
      ['dpm_multi', 'no_noise', 'dpmpp_2m', solver, size * 0.3301, { within: size * 1e-4 }],
      ['dpm_multi', 'v_prediction', 'dpmpp_2m', { ...solver, ...v }, size * 0.2251, { within: size * 1e-4 }],
      [
        'dpm_multi',
        'karras',
        'dpmpp_2m',
        { ...solver, ...karras, ...v },
        size * 0.2096,
        { within: size * 1e-3 },
      ],
      ['dpm_multi', 'with_noise', 'dpmpp_2m', solver, 318.4111, { from: 5 }],
      ['lcm', 'onestep', 'lcm', distilled, 18.7097, { steps: 1, within: 1e-3 }],
      ['lcm', 'multistep', 'lcm', distilled, 197.7616, { within: 1e-3 }],
    ];
  it.each(sums)('test_scheduler_%s.py %s', (_file, _test, name, config, sum, run = {}) => {
    const total = fullLoop(name, config, run).reduce((all, value) => all + Math.abs(value), 0);
    expect(Math.abs(total - sum)).toBeLessThan(run.within ?? 0.01);
  });
});

type Level = { alpha: number; sigma: number };

/** Where an evaluation begins, read off what noising does to a clean 1 and to a noise of 1. */
function levelAt(scheduler: Scheduler, index: number): Level {
  const [none, one] = [Float32Array.of(0), Float32Array.of(1)];
  const [alpha, sigma] = [scheduler.addNoise(one, none, index)[0], scheduler.addNoise(none, one, index)[0]];
  return { alpha, sigma };
}

/** What a denoiser of this kind gives for one element if it takes the clean image to be `clean`. */
function outputOf(prediction: PredictionType, { alpha, sigma }: Level, x: number, clean: number): number {
  const noise = (x - alpha * clean) / sigma;
  if (prediction === 'sample') return clean;
  if (prediction === 'epsilon') return noise;
  if (prediction === 'flow_prediction') return noise - clean;
  return (alpha * noise - sigma * clean) / Math.hypot(alpha, sigma);
}

const names = Object.keys(schedulers);
const stochastic = ['ddpm', 'euler_a', 'lcm'];
const noNoise = () => {
  throw new Error('A deterministic scheduler draws no noise.');
};

/** N(0, 1) numbers of a seed. */
function normals(seed: number): (length: number) => Float32Array {
  const random = createRandom(seed);
  const one = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return (length) => Float32Array.from({ length }, one);
}

/** Runs from evaluation `from` with a denoiser that knows the clean image of a sample, element by element. */
function run(
  scheduler: Scheduler,
  prediction: PredictionType,
  start: Float32Array,
  cleanOf: (x: number, level: Level, element: number) => number,
  { from = 0, noise = noNoise as () => Float32Array, seen = (_: Float32Array) => {} } = {},
): Float32Array {
  let sample = start;
  for (let i = from; i < scheduler.timesteps.length; i++) {
    const level = levelAt(scheduler, i);
    const output = sample.map((x, k) => outputOf(prediction, level, x, cleanOf(x, level, k)));
    const step = scheduler.step(output, i, sample, noise);
    seen(step.denoised);
    sample = step.sample;
  }
  return sample;
}

describe('a perfect denoiser', () => {
  const cases = fc.record({
    name: fc.constantFrom(...names),
    steps: fc.integer({ min: 1, max: 40 }),
    start: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    seed: fc.nat(),
    predicted: fc.constantFrom<PredictionType[]>('epsilon', 'v_prediction', 'sample'),
    beta_schedule: fc.constantFrom('linear' as const, 'scaled_linear' as const),
    timestep_spacing: fc.constantFrom('linspace' as const, 'leading' as const, 'trailing' as const),
    clip_sample: fc.boolean(),
    karras: fc.boolean(),
    zero: fc.boolean(),
    shift: fc.double({ min: 0.2, max: 8, noNaN: true }),
  });

  it('brings every scheduler to the clean image, from any step on, and shows it all the way', () => {
    fc.assert(
      fc.property(cases, ({ name, steps, start, seed, predicted, karras, zero, ...fields }) => {
        const prediction = name === 'flow_euler' ? 'flow_prediction' : predicted;
        const config: SchedulerConfig = { ...fields, prediction_type: prediction };
        if (/^euler|heun|dpmpp/.test(name)) config.use_karras_sigmas = karras;
        if (predicted !== 'epsilon' && !/heun|flow/.test(name)) config.rescale_betas_zero_snr = zero;
        const scheduler = createScheduler(config, steps, name);
        const count = scheduler.timesteps.length;
        expect(count).toBe(name === 'heun' ? 2 * steps - 1 : steps);
        const from = name === 'heun' ? 2 * Math.floor(start * steps) : Math.floor(start * count);
        const normal = normals(seed);
        const clean = normal(16).map(Math.tanh);
        const noised = scheduler.addNoise(clean, normal(16), from);
        let drawn = 0;
        const noise = () => {
          drawn++;
          return normal(16);
        };
        const near = (image: Float32Array) => {
          for (let k = 0; k < 16; k++) expect(Math.abs(image[k] - clean[k])).toBeLessThan(4e-3);
        };
        const known = (_x: number, _level: Level, k: number) => clean[k];
        near(run(scheduler, prediction, noised, known, { from, noise, seen: near }));
        expect(drawn).toBe(stochastic.includes(name) ? count - from - 1 : 0);
      }),
      { numRuns: 300 },
    );
  });

  // The images are N(0, 0.25), for which the best guess of the clean image and the flow's end are known.
  const deviation = 0.5;
  const bestGuess = (x: number, { alpha, sigma }: Level) =>
    ((alpha * deviation ** 2) / (alpha ** 2 * deviation ** 2 + sigma ** 2)) * x;
  const gaussian: [string, SchedulerConfig, number][] = [
    ['ddpm', { clip_sample: false }, 1000],
    ['ddpm', { clip_sample: false, variance_type: 'fixed_large' }, 1000],
    ['ddim', { clip_sample: false }, 200],
    ['ddim', { clip_sample: false, eta: 1 }, 1000],
    ['euler', {}, 200],
    ['euler_a', {}, 500],
    ['heun', {}, 50],
    ['dpmpp_2m', {}, 50],
    ['flow_euler', { shift: 3 }, 200],
  ];
  it.each(gaussian)('of a Gaussian gives %s %o its variance', (name, config, steps) => {
    const scheduler = createScheduler(config, steps, name);
    const normal = normals(1);
    const length = 8192;
    const start = normal(length).map((value) => value * scheduler.initNoiseSigma);
    const prediction = name === 'flow_euler' ? 'flow_prediction' : 'epsilon';
    const result = run(scheduler, prediction, start, bestGuess, { noise: () => normal(length) });
    const mean = result.reduce((sum, value) => sum + value, 0) / length;
    const squares = result.reduce((sum, value) => sum + (value - mean) ** 2, 0) / length;
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(Math.sqrt(squares) / deviation - 1)).toBeLessThan(0.04);
  });

  const orders = Object.entries({ euler: 1, ddim: 1, flow_euler: 1, heun: 2, dpmpp_2m: 2 });
  it.each(orders)('shows the order of %s: %i', (name, order) => {
    const prediction = name === 'flow_euler' ? 'flow_prediction' : 'epsilon';
    // Karras spacing ends at one sigma however many the steps, with a last step of one error.
    const fields = /^ddim|flow/.test(name) ? { timestep_spacing: 'trailing' as const } : karras;
    const end = (steps: number) => {
      const scheduler = createScheduler({ ...fields, clip_sample: false }, steps, name);
      const { alpha, sigma } = levelAt(scheduler, 0);
      return run(scheduler, prediction, Float32Array.of(Math.hypot(alpha * deviation, sigma)), bestGuess)[0];
    };
    // The flow keeps how many standard deviations a sample is from the mean.
    const exact = /^ddim|flow/.test(name) ? deviation : end(1000);
    const measured = Math.log2(Math.abs(end(20) - exact) / Math.abs(end(40) - exact));
    expect(Math.abs(measured - order)).toBeLessThan(0.6);
  });
});

describe('schedules', () => {
  const timesteps = (config: SchedulerConfig, steps: number, name: string) =>
    createScheduler(config, steps, name).timesteps;

  it('are spaced as in table 2 of Lin et al.', () => {
    const at = (timestep_spacing: 'linspace' | 'leading' | 'trailing') =>
      timesteps({ timestep_spacing }, 10, 'ddim').map((t) => t + 1);
    expect(at('leading')).toEqual([901, 801, 701, 601, 501, 401, 301, 201, 101, 1]);
    expect(at('linspace')).toEqual([1000, 889, 778, 667, 556, 445, 334, 223, 112, 1]);
    expect(at('trailing')).toEqual([1000, 900, 800, 700, 600, 500, 400, 300, 200, 100]);
  });

  it('are those of published models', () => {
    // As in scheduler_config.json of stabilityai/sd-turbo.
    const turbo = JSON.parse(`{"_class_name": "EulerDiscreteScheduler", "_diffusers_version": "0.24.0.dev0",
      "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": false,
      "interpolation_type": "linear", "num_train_timesteps": 1000, "prediction_type": "epsilon",
      "sample_max_value": 1, "set_alpha_to_one": false, "sigma_max": null, "sigma_min": null, "skip_prk_steps": true,
      "steps_offset": 1, "timestep_spacing": "trailing", "timestep_type": "discrete", "trained_betas": null,
      "use_karras_sigmas": false}`);
    expect(createScheduler(turbo, 1).timesteps).toEqual([999]);
    expect(createScheduler(turbo, 4).timesteps).toEqual([999, 749, 499, 249]);
    expect(createScheduler(turbo, 1).initNoiseSigma).toBeCloseTo(14.6146, 3);
    expect(timesteps({ original_inference_steps: 50 }, 4, 'lcm')).toEqual([999, 759, 499, 259]);
    expect(timesteps({ steps_offset: 1 }, 5, 'ddim')).toEqual([801, 601, 401, 201, 1]);
    expect(timesteps({}, 1, 'euler')).toEqual([999]);
    const flow = timesteps({ _class_name: 'FlowMatchEulerDiscreteScheduler', shift: 1 }, 4, 'flow_euler');
    for (const [i, t] of [1000, 667, 334, 1].entries()) expect(flow[i]).toBeCloseTo(t, 9);
  });

  it('end in pure noise with rescale_betas_zero_snr, and begin as before', () => {
    const [before, after] = [alphasCumprod({}), alphasCumprod({ rescale_betas_zero_snr: true })];
    expect(after[0]).toBeCloseTo(before[0], 12);
    expect(after[999]).toBe(0);
    expect(after.every((value, t) => t === 0 || value < after[t - 1])).toBe(true);
  });

  it('round halves to the even number', () => {
    expect([0.5, 1.5, 2.5, 2.4, 2.6].map(roundHalfToEven)).toEqual([0, 2, 2, 2, 3]);
  });
});

it('DDIM with eta 1 is DDPM', () => {
  const config: SchedulerConfig = { clip_sample: false, prediction_type: 'v_prediction' };
  const [ddpm, ddim] = ['ddpm', 'ddim'].map((name) => createScheduler({ ...config, eta: 1 }, 20, name));
  const [sample, output, noise] = [1, 2, 3].map((seed) => normals(seed)(64));
  for (let i = 0; i < 20; i++) {
    const [a, b] = [ddpm, ddim].map((scheduler) => scheduler.step(output, i, sample, () => noise).sample);
    for (let k = 0; k < 64; k++) expect(b[k]).toBeCloseTo(a[k], 4);
  }
});

it("Heun's correction follows its first half", () => {
  const scheduler = createScheduler({}, 3, 'heun');
  const sample = new Float32Array(4);
  expect(() => scheduler.step(sample, 1, sample, noNoise)).toThrow('follows evaluation 0');
});

describe('what cannot be run is refused', () => {
  const refusals: [SchedulerConfig, number, string | undefined, string][] = [
    [{}, 10, undefined, 'No scheduler is named: there is ddpm (DDPMScheduler), '],
    [{}, 10, 'constructor', 'No scheduler is called "constructor"'],
    [{ _class_name: 'PNDMScheduler' }, 10, undefined, 'No scheduler is called "PNDMScheduler"'],
    [{}, 0, 'euler', 'steps is a whole number from 1 to 1000, not 0.'],
    [{}, 1.5, 'euler', 'not 1.5.'],
    [{}, Number.NaN, 'euler', 'not NaN.'],
    [{}, 1001, 'flow_euler', 'not 1001.'],
    [{ num_train_timesteps: 10 }, 11, 'ddim', 'steps is at most 10 with 10 training timesteps'],
    [{ num_train_timesteps: 10 }, 10, 'dpmpp_2m', 'steps is at most 9 with 10 training timesteps'],
    [{}, 51, 'lcm', 'steps is at most original_inference_steps, 50,'],
    [{ num_train_timesteps: 1e12 }, 10, 'ddpm', 'num_train_timesteps is a whole number from 1 to 100000, '],
    [{ prediction_type: 'noise' as never }, 10, 'euler', '"noise"'],
    [{ prediction_type: 'flow_prediction' }, 10, 'euler', 'takes no model that predicts the velocity'],
    [{ _class_name: 'FlowMatchEulerDiscreteScheduler' }, 10, 'ddim', 'takes no model'],
    [{ _class_name: 'DDIMScheduler' }, 10, 'flow_euler', 'takes only a model that predicts the velocity'],
    [{ prediction_type: 'v_prediction' }, 10, 'flow_euler', '"v_prediction"'],
    [{ use_dynamic_shifting: true }, 10, 'flow_euler', 'does not implement use_dynamic_shifting true.'],
    [{ thresholding: true }, 10, 'ddim', 'thresholding'],
    [{ interpolation_type: 'log_linear' }, 10, 'euler', 'interpolation_type "log_linear"'],
    [{ variance_type: 'learned_range' as never }, 10, 'ddpm', 'fixed_small, fixed_small_log or fixed_large'],
    [{ use_karras_sigmas: true }, 10, 'ddim', 'use_karras_sigmas'],
    [{ rescale_betas_zero_snr: true }, 10, 'heun', 'rescale_betas_zero_snr'],
    [{ rescale_betas_zero_snr: true }, 10, 'ddim', 'takes no prediction_type "epsilon"'],
    [{ final_sigmas_type: 'sigma_min' }, 10, 'heun', 'final_sigmas_type'],
    [{ solver_order: 3 }, 10, 'dpmpp_2m', 'solver_order is a whole number from 1 to 2, not 3.'],
    [{ algorithm_type: 'sde-dpmsolver++' }, 10, 'dpmpp_2m', 'algorithm_type'],
    [{ steps_offset: 200, timestep_spacing: 'leading' }, 10, 'euler', 'past the last trained, 999'],
    [{ trained_betas: [0.1, 2] }, 1, 'ddpm', 'trained_betas is a list of 1000 numbers'],
    [{ beta_start: 0.9, beta_end: 0.9 }, 10, 'ddpm', 'leave nothing of the image'],
    [{ beta_schedule: 'sigmoid' as never }, 10, 'ddpm', '"sigmoid"'],
    [{ use_karas_sigmas: true }, 10, 'euler', 'field "use_karas_sigmas" is not known'],
    [[] as never, 10, 'euler', 'is an object'],
  ];
  it.each(refusals)('%o, %o steps, %o', (config, steps, name, sentence) => {
    const create = () => createScheduler(config, steps, name);
    expect(create).toThrow(InvalidInputError);
    expect(create).toThrow(sentence);
  });

  it('whatever a configuration holds, it gives finite numbers or a sentence', () => {
    const value = fc.oneof(
      fc.double(),
      fc.integer({ min: -2, max: 1200 }),
      fc.boolean(),
      fc.constantFrom(null, 'linear', 'leading', 'trailing', 'v_prediction', 'sample', 'zero', 'sigma_min'),
      fc.jsonValue(),
    );
    const fields =
      `num_train_timesteps beta_start beta_end beta_schedule trained_betas prediction_type eta rho shift
      timestep_spacing steps_offset clip_sample clip_sample_range rescale_betas_zero_snr use_karras_sigmas
      final_sigmas_type solver_order timestep_scaling original_inference_steps`.split(/\s+/);
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom(...fields), value, { maxKeys: 3 }),
        fc.integer({ min: 1, max: 60 }),
        fc.constantFrom(...names),
        (config, steps, name) => {
          try {
            const scheduler = createScheduler(config as SchedulerConfig, steps, name);
            const sample = Float32Array.of(0.5);
            const { sample: next } = scheduler.step(sample, 0, sample, () => Float32Array.of(1));
            const numbers = [...scheduler.timesteps, scheduler.initNoiseSigma, next[0]];
            expect(numbers.every(Number.isFinite)).toBe(true);
          } catch (error) {
            expect(error).toBeInstanceOf(InvalidInputError);
            expect((error as Error).message).toMatch(/^[A-Za-z].*\.$/s);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
