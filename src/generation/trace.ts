/** The glass box: how each token came about, as the steps of the sampler left it. */
import { type Candidates, entropyOf, likelier, partition } from './candidates.ts';
import { tokenText } from './logprobs.ts';
import type { Execution, TextModel } from './model.ts';
import type { GenerationParameters } from './parameters.ts';
import type { Observe } from './sampler.ts';
import type { TextTokenizer } from './text-tokenizer.ts';

/** A token's probability among what was left, from 0 to 1. */
export interface TracedCandidate {
  id: number;
  text: string;
  probability: number;
}

/** What a step of the sampler left. */
export interface TracedStep {
  /** `model` is what the model itself says, before any step. */
  name: string;
  /** How many tokens could still be taken. */
  left: number;
  /** The probability of the token that was taken in the end. */
  taken: number;
  /** The likeliest, the likeliest first. */
  candidates: TracedCandidate[];
}

/** A token that was taken. */
export interface TokenTrace {
  id: number;
  /** What it stands for by itself; a part of a character is U+FFFD here. */
  text: string;
  /** Its place among all tokens by what the model itself says; 1 is the likeliest. */
  rank: number;
  /** Of what the model itself says, in nats. */
  entropy: number;
  /** Since the token before; of the first, since its prompt was begun. */
  milliseconds: number;
  /** Only the steps that are on, in their order; none for the tokens after the first many. */
  steps: TracedStep[];
}

/** Milliseconds, but for what is in tokens, measured where the work was done. */
export interface Timings {
  /** In line, and until the model was loaded. */
  queue: number;
  tokenize: number;
  /** From the tokens of the prompt to the logits behind them, for the first choice. */
  prefill: number;
  /** From the request's coming to the first piece of text, the time in line included. */
  first_token: number;
  /** From the request's coming to its end. */
  total: number;
  /** In tokens: those of the prompt that an engine had in its cache. */
  cached?: number;
  /** In tokens, where any were: those of the answers that were computed ahead, and those of them that were then drawn. */
  proposed?: number;
  accepted?: number;
}

/** What a filter did. */
export interface FilterTrace {
  name: string;
  on: 'prompt' | 'answer';
  action: string;
  milliseconds: number;
}

/** What an answer as a whole was made with: enough to make it again. */
export interface RequestTrace {
  model: string;
  /** Of the graph and the files beside it; see `modelRevision`. */
  revision: string;
  prompt: { id: number; text: string }[];
  /** As they were completed; the seed is the one that was used, drawn where none was given. */
  parameters: Record<string, unknown>;
  filters: FilterTrace[];
  /** At which place, and on what. */
  ran: { place: string } & Execution;
  timings: Timings;
  /** Whether the steps of all tokens are told. */
  whole: boolean;
}

/** The trace of an answer as a whole. */
export function requestTrace(
  { id, revision, tokenizer, execution }: TextModel,
  {
    prompt,
    parameters,
    place,
    ...rest
  }: Pick<RequestTrace, 'timings' | 'whole'> & {
    prompt: readonly number[];
    parameters: GenerationParameters;
    place: string;
  },
): RequestTrace {
  return {
    model: id,
    revision,
    prompt: prompt.map((id) => ({ id, text: tokenText(tokenizer, id) })),
    parameters: { ...parameters },
    filters: [],
    ran: { place, ...execution },
    ...rest,
  };
}

/** What is told. */
export interface TraceOptions {
  /** Candidates after each step, at most. */
  candidates: number;
}

/** Candidates that a trace tells of in all; tokens for which no more fit are told without their steps. */
const CANDIDATES_TOLD = 20_000;
/** Tokens of a prompt that can be traced. */
export const TRACED_PROMPT = 16_384;

/** What a step of the sampler left, as it was seen. */
interface SeenStep {
  name: string;
  candidates: Candidates;
}

/** Traces one choice. */
export interface Tracer {
  observe: Observe;
  /** A token was taken of what has been observed since the last. */
  taken(token: number, milliseconds: number): void;
  /** The traces of the tokens that were taken since this was asked last. */
  told(): TokenTrace[];
}

export interface Tracers {
  create(): Tracer;
  /** Whether nothing had to be left out so far. */
  readonly whole: boolean;
}

/** Tracers for the choices of one request. */
export function createTracers(tokenizer: TextTokenizer, { candidates: most }: TraceOptions): Tracers {
  let left = CANDIDATES_TOLD;
  const textOf = (id: number) => tokenText(tokenizer, id);
  return {
    create,
    get whole() {
      return left >= 0;
    },
  };

  function create(): Tracer {
    let seen: SeenStep[] = [];
    let untold: TokenTrace[] = [];
    return {
      observe(name, { ids, logits, count, sorted }) {
        seen.push({
          name,
          candidates: { ids: ids.slice(0, count), logits: logits.slice(0, count), count, sorted },
        });
      },
      taken(id, milliseconds) {
        let steps = left >= 0 ? seen.map((step) => describe(step, id)) : [];
        left -= steps.reduce((sum, { candidates }) => sum + Math.max(1, candidates.length), 0);
        if (left < 0) steps = [];
        const [{ candidates: own }] = seen;
        seen = [];
        untold.push({
          id,
          text: textOf(id),
          rank: rankOf(own, id),
          entropy: rounded(entropyOf(own).entropy),
          milliseconds: inMilliseconds(milliseconds),
          steps,
        });
      },
      told() {
        const tokens = untold;
        untold = [];
        return tokens;
      },
    };
  }

  function describe({ name, candidates }: SeenStep, taken: number): TracedStep {
    const [largest, total] = partition(candidates);
    const probability = (place: number) => rounded(Math.exp(candidates.logits[place] - largest) / total);
    const place = candidates.ids.indexOf(taken);
    return {
      name,
      left: candidates.count,
      taken: place < 0 ? 0 : probability(place),
      candidates: likeliestPlaces(candidates, most).map((place) => ({
        id: candidates.ids[place],
        text: textOf(candidates.ids[place]),
        probability: probability(place),
      })),
    };
  }
}

/** Where the likeliest stand, the likeliest first; the candidates stay as they are. */
function likeliestPlaces(candidates: Candidates, most: number): number[] {
  const before = likelier(candidates);
  const places: number[] = [];
  for (let place = 0; place < candidates.count; place++) {
    if (places.length === most && (most === 0 || before(places.at(-1)!, place) < 0)) continue;
    let at = places.length;
    while (at > 0 && before(places[at - 1], place) > 0) at--;
    places.splice(at, 0, place);
    if (places.length > most) places.pop();
  }
  return places;
}

function rankOf(candidates: Candidates, id: number): number {
  const place = candidates.ids.indexOf(id);
  const before = likelier(candidates);
  let rank = 1;
  for (let other = 0; other < candidates.count; other++) if (before(other, place) < 0) rank++;
  return rank;
}

/** Six digits tell all that float32 logits know. */
const rounded = (value: number): number => Number(value.toPrecision(6));
/** To the microsecond. */
export const inMilliseconds = (value: number): number => Math.max(0, Math.round(value * 1000) / 1000);
