/** From logits to the next token. */
import { allowOnly, badSequences, ban, banSequences } from './bans.ts';
import {
  allCandidates,
  type Candidates,
  candidateSpace,
  draw,
  entropyOf,
  excludeTopChoices,
  keepMinP,
  keepTopK,
  keepTopP,
  keepTypical,
  keepUnsurprising,
  surpriseOf,
} from './candidates.ts';
import type { ConstrainedAnswer } from './constraint/constrained-answer.ts';
import type { GenerationParameters } from './parameters.ts';
import { applyCountPenalties, applyLogitBias, applyRepetitionPenalty } from './penalties.ts';
import { createRandom } from './random.ts';
import { applyDry } from './repetition.ts';

export interface Sampler {
  /**
   * The next token for logits `[vocab]`, which are changed on the way.
   * @throws Error if a logit is NaN or Infinity, or none is left to choose
   */
  next(logits: Float32Array): number;
}

/**
 * Sees what each step of the sampler leaves: first what it is given, as the step `model`, then after each step that is
 * on, under its name. The candidates are valid during the call alone.
 */
export type Observe = (step: string, candidates: Readonly<Candidates>) => void;

/** What the sampler has to know of the model's vocabulary. */
export interface Vocabulary {
  /** Tokens that end an answer. */
  endTokens: ReadonlySet<number>;
  /** A text's tokens, without marks around it. */
  encode(text: string): number[];
  decode(ids: readonly number[]): string;
}

const noVocabulary: Vocabulary = { endTokens: new Set(), encode: () => [], decode: () => '' };

/**
 * A sampler for one answer. On the logits, in this order: repetition penalty, presence and frequency penalties, DRY,
 * bias, bans, the constraint, temperature; then on the candidates: top-k, typical, top-p, min-p, XTC, or mirostat in
 * the place of all five. So do vLLM and Hugging Face's generate with what they have of these, and llama.cpp but for the
 * temperature, which it applies last.
 *
 * @param prompt the prompt's tokens, for the repetition penalty and DRY
 * @param observe sees the distribution after each step
 * @param constraint what the answer has to be; it comes last, and so rules out what everything before it would allow
 */
export function createSampler(
  parameters: GenerationParameters,
  prompt: readonly number[],
  vocabulary: Vocabulary = noVocabulary,
  observe?: Observe,
  constraint?: ConstrainedAnswer,
): Sampler {
  const random = createRandom(parameters.seed);
  const history: History = {
    tokens: [...prompt],
    written: [],
    seen: new Set(prompt),
    counts: new Map(),
  };
  const onLogits = logitSteps(parameters, history, vocabulary);
  if (constraint) onLogits.push({ name: 'constraint', step: (logits) => constraint.restrict(logits) });
  const mirostat = parameters.mirostat === 2 ? createMirostat(parameters) : undefined;
  const onCandidates = mirostat
    ? [{ name: 'mirostat', step: mirostat.narrow }]
    : candidateSteps(parameters, random);
  const choose = (logits: Float32Array): number => {
    observe?.('model', allCandidates(logits));
    for (const { name, step } of onLogits) {
      step(logits);
      observe?.(name, allCandidates(logits));
    }
    const best = argmax(logits);
    // A temperature so low that logits overflow when divided by it is greedy as well.
    if (parameters.temperature < 1e-5) {
      observe?.('temperature', only(best));
      return best;
    }
    divide(logits, temperatureFor(logits, parameters));
    if (space.ids.length < logits.length) space = candidateSpace(logits.length);
    const candidates = allCandidates(logits, space);
    observe?.('temperature', candidates);
    for (const { name, step } of onCandidates) {
      step(candidates);
      observe?.(name, candidates);
    }
    const token = draw(candidates, random());
    mirostat?.learn(candidates, token);
    return token;
  };
  return {
    next(logits) {
      const drawn = choose(logits);
      const token = constraint ? constraint.settle(drawn) : drawn;
      if (token !== drawn) observe?.('constraint_end', only(token));
      constraint?.accept(token);
      history.tokens.push(token);
      history.written.push(token);
      history.seen.add(token);
      history.counts.set(token, (history.counts.get(token) ?? 0) + 1);
      return token;
    },
  };
}

/** Of the call that runs, whichever sampler's it is. */
let space = candidateSpace(0);

/** What stood before. */
interface History {
  /** Prompt and answer. */
  tokens: number[];
  /** The answer. */
  written: number[];
  seen: Set<number>;
  counts: Map<number, number>;
}

/** A step under the name that a trace shows. */
interface Step<T> {
  name: string;
  step: (on: T) => unknown;
}

/** The steps of a table that are on. */
const stepsOn = <T>(
  table: readonly (readonly [name: string, on: boolean, step: Step<T>['step']])[],
): Step<T>[] => table.filter(([, on]) => on).map(([name, , step]) => ({ name, step }));

/** What changes logits `[vocab]`, in order; what is off is left out. */
function logitSteps(
  parameters: GenerationParameters,
  history: History,
  vocabulary: Vocabulary,
): Step<Float32Array>[] {
  const { repetition_penalty, presence_penalty, frequency_penalty, logit_bias } = parameters;
  const { dry_multiplier, dry_sequence_breakers, min_tokens, ignore_eos, bad_words } = parameters;
  const allowed = parameters.allowed_token_ids && new Set(parameters.allowed_token_ids);
  const ends = new Set([...vocabulary.endTokens, ...parameters.stop_token_ids]);
  const bad = badSequences(bad_words, vocabulary.encode);
  const dry = {
    multiplier: dry_multiplier,
    base: parameters.dry_base,
    allowedLength: parameters.dry_allowed_length,
    lastN: parameters.dry_penalty_last_n,
    breaks: breakerOf(dry_sequence_breakers, vocabulary),
  };
  return stepsOn<Float32Array>([
    [
      'repetition_penalty',
      repetition_penalty !== 1,
      (logits) => applyRepetitionPenalty(logits, history.seen, repetition_penalty),
    ],
    [
      'presence_and_frequency_penalty',
      presence_penalty !== 0 || frequency_penalty !== 0,
      (logits) => applyCountPenalties(logits, history.counts, presence_penalty, frequency_penalty),
    ],
    ['dry', dry_multiplier > 0, (logits) => applyDry(logits, history.tokens, dry)],
    ['logit_bias', Object.keys(logit_bias).length > 0, (logits) => applyLogitBias(logits, logit_bias)],
    ['allowed_token_ids', allowed !== null, (logits) => allowOnly(logits, allowed!)],
    ['ignore_eos', ignore_eos, (logits) => ban(logits, vocabulary.endTokens)],
    ['min_tokens', min_tokens > 0, (logits) => history.written.length < min_tokens && ban(logits, ends)],
    ['bad_words', bad.length > 0, (logits) => banSequences(logits, history.written, bad)],
  ]);
}

/** What narrows down the candidates, in order. */
function candidateSteps(
  { top_k, typical_p, top_p, min_p, xtc_probability, xtc_threshold }: GenerationParameters,
  random: () => number,
): Step<Candidates>[] {
  return stepsOn<Candidates>([
    ['top_k', top_k > 0, (candidates) => keepTopK(candidates, top_k)],
    ['typical', typical_p < 1, (candidates) => keepTypical(candidates, typical_p)],
    ['top_p', top_p < 1, (candidates) => keepTopP(candidates, top_p)],
    ['min_p', min_p > 0, (candidates) => keepMinP(candidates, min_p)],
    [
      'xtc',
      xtc_probability > 0,
      (candidates) => {
        if (random() < xtc_probability) excludeTopChoices(candidates, xtc_threshold);
      },
    ],
  ]);
}

/**
 * The temperature at these logits: with a range it lies between temperature - range and temperature + range, by how
 * large the entropy is of the largest that it could be, to the power of the exponent (llama.cpp's dynamic temperature).
 */
function temperatureFor(
  logits: Float32Array,
  { temperature, dynatemp_range: range, dynatemp_exponent: exponent }: GenerationParameters,
): number {
  if (range === 0) return temperature;
  const { entropy, most } = entropyOf(allCandidates(logits));
  const [low, high] = [Math.max(0, temperature - range), temperature + range];
  const share = most > 0 ? Math.min(1, entropy / most) : 0;
  return Math.max(1e-3, low + (high - low) * share ** exponent);
}

/** Mirostat 2 (Basu et al., 2021): only tokens of at most mu bits, mu following the surprise of what was taken. */
function createMirostat({ mirostat_tau: tau, mirostat_eta: eta }: GenerationParameters) {
  let mu = 2 * tau;
  return {
    narrow: (candidates: Candidates) => keepUnsurprising(candidates, mu),
    learn: (candidates: Candidates, token: number) => {
      mu -= eta * (surpriseOf(candidates, token) - tau);
    },
  };
}

/** One candidate, which is taken for certain. */
const only = (id: number): Candidates => ({
  ids: Uint32Array.of(id),
  logits: Float32Array.of(0),
  count: 1,
  sorted: true,
});

/** Whether a token's text has one of the breakers in it. */
function breakerOf(breakers: readonly string[], { decode }: Vocabulary): (token: number) => boolean {
  const known = new Map<number, boolean>();
  return (token) => {
    let breaks = known.get(token);
    if (breaks === undefined) {
      const text = decode([token]);
      breaks = breakers.some((breaker) => text.includes(breaker));
      known.set(token, breaks);
    }
    return breaks;
  };
}

function divide(logits: Float32Array, by: number): void {
  for (let i = 0; i < logits.length; i++) logits[i] /= by;
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
