/** What a sampler of diffusion models is, and what it is told. */

/** What the denoiser's output stands for. */
export type PredictionType = 'epsilon' | 'v_prediction' | 'sample' | 'flow_prediction';

/**
 * The fields of diffusers' scheduler_config.json, named as they stand there. All are optional: each scheduler has
 * its defaults. `null` counts as not given.
 */
export interface SchedulerConfig {
  /** diffusers' class, as EulerDiscreteScheduler. */
  _class_name?: string | null;
  _diffusers_version?: string | null;
  /** Noise levels of training, 1 to 100,000. */
  num_train_timesteps?: number | null;
  /** The first and the last variance of the noise that one training timestep adds, above 0 and below 1. */
  beta_start?: number | null;
  beta_end?: number | null;
  beta_schedule?: 'linear' | 'scaled_linear' | 'squaredcos_cap_v2' | null;
  /** One variance per training timestep, in place of a schedule. */
  trained_betas?: readonly number[] | null;
  prediction_type?: PredictionType | null;
  timestep_spacing?: 'linspace' | 'leading' | 'trailing' | null;
  /** Added to every timestep of leading spacing. */
  steps_offset?: number | null;
  /** Whether the predicted clean image is clipped to ±clip_sample_range; pixels are, latents are not. */
  clip_sample?: boolean | null;
  clip_sample_range?: number | null;
  /** DDIM: whether the last step ends at the clean image, or at the noise of timestep 0. */
  set_alpha_to_one?: boolean | null;
  /** Whether the last training timestep is pure noise (Lin et al. 2023). */
  rescale_betas_zero_snr?: boolean | null;
  use_karras_sigmas?: boolean | null;
  /** Where the last step ends: at no noise, or at that of timestep 0. */
  final_sigmas_type?: 'zero' | 'sigma_min' | null;
  /** DDIM: the share of DDPM's noise in each step, 0 (none) to 1. diffusers takes it beside its configuration. */
  eta?: number | null;
  /** DDPM: the variance of a step, the lower bound of the paper or the upper one. */
  variance_type?: 'fixed_small' | 'fixed_small_log' | 'fixed_large' | null;
  /** DPM-Solver++: 1 or 2. */
  solver_order?: number | null;
  solver_type?: string | null;
  algorithm_type?: string | null;
  /** DPM-Solver++: whether the last of fewer than 15 steps is of the first order. */
  lower_order_final?: boolean | null;
  /** DPM-Solver++: whether the last step is of the first order, however many there are. */
  euler_at_final?: boolean | null;
  /** LCM: the steps of the distilled schedule, of which the sampler's are taken. */
  original_inference_steps?: number | null;
  /** LCM: by what a timestep is multiplied in the boundary conditions. */
  timestep_scaling?: number | null;
  /** Flow matching: above 1 leaves more of the steps to high noise. */
  shift?: number | null;
  /** Fields of other schedulers and those that are only checked. */
  [field: string]: unknown;
}

/** Where sampling stands after an evaluation of the denoiser. */
export interface SchedulerStep {
  /** What the next evaluation starts from; after the last one, the image. */
  sample: Float32Array;
  /** The clean image that the denoiser's output points at. */
  denoised: Float32Array;
}

/** One run of sampling; all arrays of it are of one length. */
export interface Scheduler {
  /** What the denoiser is given as timestep, evaluation by evaluation (Heun asks twice for most steps). */
  readonly timesteps: readonly number[];
  /** The initial noise, drawn from N(0, 1), is multiplied by it. */
  readonly initNoiseSigma: number;
  /** The denoiser's input at an evaluation; the sample itself where it needs no scaling. */
  scaleInput(sample: Float32Array, index: number): Float32Array;
  /**
   * From the denoiser's output at evaluation `index` to the next sample. Evaluations follow one another; a run may
   * begin at any of them that begins a step. The arguments are read only, until the next call.
   *
   * @param noise gives fresh N(0, 1) noise of the sample's length; only stochastic schedulers call it
   */
  step(output: Float32Array, index: number, sample: Float32Array, noise: () => Float32Array): SchedulerStep;
  /** A clean image noised to where evaluation `index` begins, for image to image and inpainting. */
  addNoise(clean: Float32Array, noise: Float32Array, index: number): Float32Array;
}

/**
 * @param steps a whole number from 1
 * @throws InvalidInputError if the configuration has a value that is out of range or not implemented
 */
export type CreateScheduler = (config: SchedulerConfig, steps: number) => Scheduler;
