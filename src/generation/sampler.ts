/** From logits to the next token. */
import { allCandidates, draw, keepMinP, keepTopK, keepTopP } from './candidates.ts';
import type { GenerationParameters } from './parameters.ts';
import { applyCountPenalties, applyLogitBias, applyRepetitionPenalty } from './penalties.ts';
import { createRandom } from './random.ts';

export interface Sampler {
  /**
   * The next token for logits `[vocab]`, which are changed on the way.
   * @throws Error if a logit is NaN or Infinity, or none is left to choose
   */
  next(logits: Float32Array): number;
}

/**
 * A sampler for one answer. In this order: repetition penalty, presence and frequency penalties, bias, temperature,
 * top-k, top-p, min-p; so does vLLM, and Hugging Face's generate with its warpers.
 *
 * @param prompt the prompt's tokens, for the repetition penalty
 */
export function createSampler(parameters: GenerationParameters, prompt: readonly number[]): Sampler {
  const {
    temperature,
    top_k,
    top_p,
    min_p,
    repetition_penalty,
    presence_penalty,
    frequency_penalty,
    logit_bias,
  } = parameters;
  const random = createRandom(parameters.seed);
  const seen = new Set(prompt);
  const counts = new Map<number, number>();
  const choose = (logits: Float32Array): number => {
    applyRepetitionPenalty(logits, seen, repetition_penalty);
    applyCountPenalties(logits, counts, presence_penalty, frequency_penalty);
    applyLogitBias(logits, logit_bias);
    const best = argmax(logits);
    // A temperature so low that logits overflow when divided by it is greedy as well.
    if (temperature < 1e-5) return best;
    for (let i = 0; i < logits.length; i++) logits[i] /= temperature;
    const candidates = allCandidates(logits);
    keepTopK(candidates, top_k);
    keepTopP(candidates, top_p);
    keepMinP(candidates, min_p);
    return draw(candidates, random());
  };
  return {
    next(logits) {
      const token = choose(logits);
      seen.add(token);
      counts.set(token, (counts.get(token) ?? 0) + 1);
      return token;
    },
  };
}

/**
 * The place of the largest logit, the first among equals.
 * @throws Error if a logit is NaN or Infinity, or all are -Infinity
 */
export function argmax(logits: Float32Array): number {
  let best = -1;
  let largest = -Infinity;
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i];
    // NaN is not below Infinity either.
    if (!(logit < Infinity))
      throw new Error(`The model gave ${logit} as the logit of token ${i}: its output is broken.`);
    if (logit > largest) [best, largest] = [i, logit];
  }
  if (best < 0) throw new Error('No token is left to choose: all logits are -Infinity.');
  return best;
}
