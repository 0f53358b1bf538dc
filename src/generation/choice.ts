/** One answer to a prompt, token by token. */
import { constrainAnswer } from './constraint/constrained-answer.ts';
import type { DecodingState, Savings } from './kv-cache.ts';
import { type TokenLogprob, tokenLogprob } from './logprobs.ts';
import { macrotask } from './macrotask.ts';
import type { TextModel } from './model.ts';
import type { GenerationParameters } from './parameters.ts';
import { createSampler, type Observe } from './sampler.ts';
import { createStopMatcher } from './stop.ts';

export type FinishReason = 'stop' | 'length';

/** Whole characters, with the tokens taken since the piece before, and how likely they were if that was asked for. */
export interface Piece {
  text: string;
  tokens: number[];
  logprobs?: TokenLogprob[];
}

/** How an answer ended, and what it was made of. */
export interface Ending {
  finish_reason: FinishReason;
  completion_tokens: number;
  /** The mean of the logarithms of its tokens' probabilities, where they were computed. */
  mean_logprob: number;
  savings?: Savings;
}

/** How an answer is written. */
export interface Writing {
  signal?: AbortSignal;
  /** Begins a sequence; it is closed when the answer is over. */
  open: () => DecodingState;
  /** Whether the tokens' probabilities are computed though they are not told. */
  scored?: boolean;
  /** A text: special tokens with their names in it are shown. */
  marks?: string;
  /** Gets to see how the answer comes about. */
  watch?: Watch;
}

/** Who watches how an answer comes about. Times are in milliseconds. */
export interface Watch {
  /** The prompt has been read. */
  prefilled(milliseconds: number): void;
  /** Sees every step of the sampler. */
  observe?: Observe;
  /** A token was taken of what was observed last, so long after the one before. */
  taken?(token: number, milliseconds: number): void;
}

/** Tokens of an echoed prompt whose logits are held, and told of, at once. */
const ECHOED = 32;

/**
 * Writes one answer. Between two tokens the event loop gets its turn; after the signal's abort, or when the reader
 * leaves, at most the running step is finished.
 * @param prompt at least one token, fewer than the model's context
 */
export async function* writeChoice(
  model: TextModel,
  prompt: readonly number[],
  parameters: GenerationParameters,
  { signal, open, scored = false, marks = '', watch }: Writing,
): AsyncGenerator<Piece, Ending> {
  const { tokenizer, endTokens } = model;
  const { top_logprobs, max_tokens, stop, stop_token_ids } = parameters;
  const limit = Math.min(max_tokens, model.contextLength - prompt.length);
  const ends = new Set([...endTokens, ...stop_token_ids]);
  const constraint = parameters.constraint
    ? constrainAnswer(model, parameters.constraint, ends, limit, marks)
    : undefined;
  const vocabulary = {
    endTokens,
    encode: (text: string) => tokenizer.encode(text),
    decode: (ids: readonly number[]) => tokenizer.decode(ids),
  };
  const sampler = createSampler(parameters, prompt, vocabulary, watch?.observe, constraint);
  const decoder = tokenizer.streamDecoder(marks);
  const matcher = createStopMatcher(stop);
  const state = open();
  let [written, sum] = [0, 0];
  let finish: FinishReason = 'length';
  let unsent: Piece = emptyPiece(top_logprobs);
  let stopped = false;
  try {
    let since = performance.now();
    let logits = yield* begin(state);
    // In a Worker the clock stands still while it computes, and moves on between two turns.
    await macrotask();
    signal?.throwIfAborted();
    watch?.prefilled(performance.now() - since);
    while (written < limit) {
      signal?.throwIfAborted();
      const told = top_logprobs !== null || scored;
      const raw = told ? logits!.slice() : undefined;
      const token = sampler.next(logits!);
      written++;
      if (watch?.taken) {
        if (written > 1) await macrotask();
        const now = performance.now();
        watch.taken(token, now - since);
        since = now;
      }
      const likelihood = raw && tokenLogprob(tokenizer, token, raw, top_logprobs ?? 0);
      sum += likelihood?.logprob ?? 0;
      if (ends.has(token)) {
        finish = constraint?.steered ? 'length' : 'stop';
        break;
      }
      unsent.tokens.push(token);
      if (likelihood) unsent.logprobs?.push(likelihood);
      const certain = matcher.push(decoder.push(token));
      if (certain.text) {
        yield { ...unsent, text: certain.text };
        unsent = emptyPiece(top_logprobs);
      }
      if (certain.stopped) {
        stopped = true;
        finish = 'stop';
        break;
      }
      if (constraint?.finished) {
        finish = constraint.steered ? 'length' : 'stop';
        break;
      }
      if (written === limit) break;
      await macrotask();
      signal?.throwIfAborted();
      logits = await state.step([token]);
    }
    // What the decoder and the matcher still hold; behind a stop string nothing belongs to the answer.
    if (!stopped) {
      const tail = matcher.push(decoder.end());
      const rest = tail.stopped ? { text: '', stopped: true } : matcher.end();
      if (tail.stopped || rest.stopped) finish = 'stop';
      const text = tail.text + rest.text;
      // The last tokens may write nothing; how likely they were is told all the same.
      if (text || unsent.logprobs?.length) yield { ...unsent, text };
    }
    return {
      finish_reason: finish,
      completion_tokens: written,
      mean_logprob: sum / Math.max(1, written),
      ...(state.savings && { savings: state.savings }),
    };
  } finally {
    state.close();
  }

  /** Reads the prompt, and gives it where it is echoed. Returns the logits behind it, where any are needed. */
  async function* begin(state: DecodingState): AsyncGenerator<Piece, Float32Array | undefined> {
    await macrotask();
    signal?.throwIfAborted();
    if (!parameters.echo) return limit > 0 ? await state.step(prompt) : undefined;
    if (top_logprobs === null) {
      yield { text: tokenizer.decode(prompt), tokens: [...prompt] };
      return limit > 0 ? await state.step(prompt) : undefined;
    }
    const echo = tokenizer.streamDecoder();
    let last: Float32Array | undefined;
    for (let at = 0; at < prompt.length; at += ECHOED) {
      const tokens = prompt.slice(at, at + ECHOED);
      const rows = await state.steps(tokens);
      const logprobs = tokens.map((token, i) =>
        tokenLogprob(tokenizer, token, i === 0 ? last : rows[i - 1], top_logprobs),
      );
      const text = tokens.map((token) => echo.push(token)).join('');
      yield { text: at + ECHOED < prompt.length ? text : text + echo.end(), tokens, logprobs };
      last = rows.at(-1);
      await macrotask();
      signal?.throwIfAborted();
    }
    return last;
  }
}

const emptyPiece = (logprobs: number | null): Piece => ({
  text: '',
  tokens: [],
  ...(logprobs !== null && { logprobs: [] }),
});
