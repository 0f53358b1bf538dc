/** The learning rate over the steps of a run. */

export interface Schedule {
  warmup_steps: number;
  max_steps: number;
  final_learning_rate_ratio: number;
  schedule: 'cosine' | 'linear';
}

/**
 * The share of the peak learning rate at a step, counted from 1: a straight line up to 1 at the end of warm-up, then
 * half a cosine (Loshchilov & Hutter, 2017) or a straight line down to `final_learning_rate_ratio` at the last step.
 */
export function learningRateShare(step: number, config: Schedule): number {
  const { warmup_steps: warmup, max_steps: last, final_learning_rate_ratio: floor } = config;
  if (step < warmup) return step / warmup;
  const done = Math.min(1, (step - warmup) / Math.max(1, last - warmup));
  const fall = config.schedule === 'cosine' ? (1 + Math.cos(Math.PI * done)) / 2 : 1 - done;
  return floor + (1 - floor) * fall;
}
