/** Changes of logits by what was written before and by what the caller wants. All work in place on `[vocab]`. */

/**
 * CTRL's repetition penalty (Keskar et al., 2019): logits of tokens in the prompt or the answer are divided by the
 * penalty where positive, multiplied where negative.
 */
export function applyRepetitionPenalty(logits: Float32Array, seen: Iterable<number>, penalty: number): void {
  if (penalty === 1) return;
  for (const id of seen) logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
}

/** OpenAI's penalties, over the tokens generated so far: once for being there, and once for each time. */
export function applyCountPenalties(
  logits: Float32Array,
  counts: ReadonlyMap<number, number>,
  presence: number,
  frequency: number,
): void {
  if (presence === 0 && frequency === 0) return;
  for (const [id, count] of counts) logits[id] -= presence + frequency * count;
}

/** Adds the caller's bias to single tokens. */
export function applyLogitBias(logits: Float32Array, bias: Readonly<Record<string, number>>): void {
  for (const id in bias) logits[Number(id)] += bias[id];
}
