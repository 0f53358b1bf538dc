/** An answer, token by token. */
import { createDecodingState } from './kv-cache.ts';
import type { TextModel } from './model.ts';
import { completeParameters, type GenerationParameters, InvalidInputError } from './parameters.ts';
import { createSampler } from './sampler.ts';
import { createStopMatcher } from './stop.ts';
import type { ChatMessage } from './text-tokenizer.ts';

export type GenerationInput = { text: string } | { tokens: number[] } | { messages: ChatMessage[] };

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

export type GenerationEvent =
  | { type: 'start'; prompt_tokens: number }
  /** Whole characters, with the tokens taken since the event before. */
  | { type: 'delta'; text: string; tokens: number[] }
  | { type: 'done'; finish_reason: 'stop' | 'length'; usage: Usage };

/**
 * Generates an answer: one `start`, any number of `delta`, one `done`. Between two tokens the event loop gets its
 * turn; after the signal's abort, or when the reader leaves, at most the running step is finished.
 *
 * @throws InvalidInputError for parameters out of range, and for a prompt that leaves no room in the context
 * @throws the signal's reason when it aborts
 */
export async function* generate(
  model: TextModel,
  input: GenerationInput,
  given: Partial<GenerationParameters>,
  signal?: AbortSignal,
): AsyncGenerator<GenerationEvent> {
  const parameters = completeParameters(given, model.defaults, model.vocabSize);
  const prompt = promptTokens(model, input);
  const room = model.contextLength - prompt.length;
  const limit = Math.min(parameters.max_tokens, room);
  const { tokenizer, endTokens } = model;
  const sampler = createSampler(parameters, prompt, {
    endTokens,
    encode: (text) => tokenizer.encode(text),
    decode: (ids) => tokenizer.decode(ids),
  });
  const ends = new Set([...endTokens, ...parameters.stop_token_ids]);
  const decoder = tokenizer.streamDecoder();
  const matcher = createStopMatcher(parameters.stop);
  const state = createDecodingState(model);
  try {
    yield { type: 'start', prompt_tokens: prompt.length };
    let completion = 0;
    let finish: 'stop' | 'length' = 'length';
    let unsent: number[] = [];
    let next: readonly number[] = prompt;
    while (completion < limit) {
      await macrotask();
      signal?.throwIfAborted();
      const token = sampler.next(await state.step(next));
      completion++;
      if (ends.has(token)) {
        finish = 'stop';
        break;
      }
      unsent.push(token);
      const { text, stopped } = matcher.push(decoder.push(token));
      if (text) {
        yield { type: 'delta', text, tokens: unsent };
        unsent = [];
      }
      if (stopped) {
        finish = 'stop';
        break;
      }
      next = [token];
    }
    if (unsent.length > 0) {
      const tail = matcher.push(decoder.end());
      const rest = tail.stopped ? { text: '', stopped: true } : matcher.end();
      if (tail.stopped || rest.stopped) finish = 'stop';
      const text = tail.text + rest.text;
      if (text) yield { type: 'delta', text, tokens: unsent };
    }
    const total = prompt.length + completion;
    yield {
      type: 'done',
      finish_reason: finish,
      usage: {
        prompt_tokens: prompt.length,
        completion_tokens: completion,
        total_tokens: total,
      },
    };
  } finally {
    state.close();
  }
}

/**
 * The tokens of a prompt.
 * @throws InvalidInputError if there are none, one is not the model's, or they fill the context
 */
export function promptTokens(
  { tokenizer, vocabSize, contextLength, id }: TextModel,
  input: GenerationInput,
): number[] {
  const param = 'messages' in input ? 'messages' : 'prompt';
  // A chat template writes the tokens of the beginning itself.
  const tokens =
    'tokens' in input
      ? input.tokens
      : 'messages' in input
        ? tokenizer.encode(tokenizer.applyChatTemplate(input.messages))
        : tokenizer.encode(input.text, { special: true });
  const foreign = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= vocabSize);
  if (foreign !== undefined) {
    throw new InvalidInputError(`Token ${foreign} is none of ${id}: its tokens are 0 to ${vocabSize - 1}.`, {
      param,
    });
  }
  if (tokens.length === 0) throw new InvalidInputError('The prompt is empty.', { param });
  if (tokens.length >= contextLength) {
    throw new InvalidInputError(
      `The prompt has ${tokens.length} tokens; ${id} has room for ${contextLength}, the answer's first included.`,
      { param, code: 'context_length_exceeded' },
    );
  }
  return tokens;
}

/** Lets everything else that waits run once: timers, other requests, aborts. */
const macrotask = (): Promise<void> =>
  new Promise((resolve) => {
    const { setImmediate: immediate } = globalThis as {
      setImmediate?: (task: () => void) => void;
    };
    if (immediate) immediate(resolve);
    else setTimeout(resolve, 0);
  });
