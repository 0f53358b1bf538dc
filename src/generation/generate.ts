/** Answers to a prompt, as events. */
import type { ChatMessage } from './chat-message.ts';
import { writeChoice } from './choice.ts';
import { checkConstraint } from './constraint/constrained-answer.ts';
import type { Engine } from './engine/engine.ts';
import { fillInTheMiddle } from './fill-in-the-middle.ts';
import { createDecodingState, type DecodingState } from './kv-cache.ts';
import type { TokenLogprob } from './logprobs.ts';
import { macrotask } from './macrotask.ts';
import { merge } from './merge.ts';
import type { TextModel } from './model.ts';
import { completeParameters, type GenerationParameters, InvalidInputError } from './parameters.ts';
import { drawSeed } from './random.ts';
import { type AnswerEnding, type ToolCallPiece, toolCalling } from './tools/answer.ts';
import { planTools, type ToolUse } from './tools/use.ts';
import {
  createTracers,
  inMilliseconds,
  type RequestTrace,
  requestTrace,
  type Timings,
  type TokenTrace,
  TRACED_PROMPT,
  type TraceOptions,
} from './trace.ts';

/**
 * A text or token ids, with the text behind the answer where there is one; or a conversation with the tools that the
 * model may call in it.
 */
export type GenerationInput =
  | { text: string; suffix?: string }
  | { tokens: number[]; suffix?: string }
  | ({ messages: ChatMessage[] } & ToolUse);

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: {
    /** Tokens of the prompt whose keys and values were there from another request. */
    cached_tokens: number;
  };
}

export type GenerationEvent =
  | { type: 'start'; prompt_tokens: number; timings: Pick<Timings, 'queue' | 'tokenize'> }
  /** How tokens of choice `index` came about, before the event that has them. */
  | { type: 'trace'; index: number; tokens: TokenTrace[] }
  /** Whole characters of choice `index`, with the tokens taken since the event before. */
  | { type: 'delta'; index: number; text: string; tokens: number[]; logprobs?: TokenLogprob[] }
  /** A piece of call number `call` of choice `index`: the first has its id and name, all have arguments. */
  | ({ type: 'tool_call'; index: number } & ToolCallPiece)
  | { type: 'end'; index: number; finish_reason: AnswerEnding['finish_reason'] }
  | { type: 'done'; usage: Usage; timings: Timings; trace?: RequestTrace };

/** What a generation is told besides what it is asked for. */
export interface GenerateOptions {
  /** Milliseconds for which the request has stood in line. */
  queue?: number;
  /** Where this is, as a trace names it. */
  place?: string;
  /** Asks for a trace. */
  trace?: TraceOptions;
  /** Computes the answer, those of other requests beside it. Without one it is computed by itself. */
  engine?: Engine;
  /** In the engine's cache a request finds the prompts of those with the same salt alone. */
  salt?: string;
  /** Smaller is served first by the engine. */
  priority?: number;
}

/** Of one choice. */
type ChoiceEvent = Extract<GenerationEvent, { index: number }>;

/**
 * Generates answers: one `start`, for each choice any number of `delta` and `tool_call` and one `end`, and one `done`.
 * Choice i is written with the seed that lies i above the given one. An engine writes choices side by side, and their
 * events come as they are written; without one they are written one after the other. Of `best_of` the likeliest are given
 * when all are written.
 *
 * @param options `trace` asks for `trace` events of each token and a trace of the whole in `done`
 * @throws InvalidInputError for parameters out of range, for a prompt that leaves no room in the context, and for a
 * constraint that cannot be enforced
 * @throws the signal's reason when it aborts
 */
export async function* generate(
  model: TextModel,
  input: GenerationInput,
  given: Partial<GenerationParameters>,
  signal?: AbortSignal,
  { queue = 0, place = 'local', trace, engine, salt, priority }: GenerateOptions = {},
): AsyncGenerator<GenerationEvent> {
  const began = performance.now();
  const since = () => inMilliseconds(performance.now() - began);
  const completed = completeParameters(given, model.defaults, model.vocabSize);
  // A seed that is drawn here can be told, and the answer be made again.
  const complete = { ...completed, seed: completed.seed ?? drawSeed() };
  const between = 'suffix' in input && input.suffix ? fillInTheMiddle(model, input, input.suffix) : undefined;
  if (between) complete.stop_token_ids = [...complete.stop_token_ids, ...between.ends];
  const prompt = promptTokens(model, between ?? input);
  if (trace) checkTraced(prompt, input);
  const tracers = trace && createTracers(model.tokenizer, trace);
  const { n, best_of, seed } = complete;
  const plan = 'messages' in input ? planTools(input) : undefined;
  const tools = plan && toolCalling(model, plan, complete.constraint);
  const parameters = tools ? { ...complete, constraint: tools.constraint } : complete;
  if (parameters.constraint) checkConstraint(model, parameters.constraint, tools?.marks);
  const tokenize = since();
  yield { type: 'start', prompt_tokens: prompt.length, timings: { queue: inMilliseconds(queue), tokenize } };

  const leaving = new AbortController();
  const stop = signal ? AbortSignal.any([signal, leaving.signal]) : leaving.signal;
  const open = (): DecodingState =>
    engine?.open({ salt, priority, signal: stop }) ?? createDecodingState(model);
  let prefill = 0;
  let first: number | undefined;
  const endings: AnswerEnding[] = [];
  const select = best_of !== null && best_of > n;
  const written = Array.from({ length: select ? best_of : n }, (_, index) => write(index));
  const events = merge(written, engine ? written.length : 1, () => leaving.abort());
  for await (const event of select ? likeliest(events) : events) {
    if (event.type === 'delta' || event.type === 'tool_call') first ??= inMilliseconds(queue + since());
    yield event;
  }
  await macrotask();
  const sum = (of: (ending: AnswerEnding) => number = () => 0) =>
    endings.reduce((all, ending) => all + of(ending), 0);
  const cached = endings[0].savings?.cached ?? 0;
  const proposed = sum(({ savings }) => savings?.proposed ?? 0);
  const timings: Timings = {
    queue: inMilliseconds(queue),
    tokenize,
    prefill,
    first_token: first ?? inMilliseconds(queue + since()),
    total: inMilliseconds(queue + since()),
    ...(engine && { cached }),
    ...(proposed > 0 && { proposed, accepted: sum(({ savings }) => savings!.accepted) }),
  };
  const completion_tokens = sum((ending) => ending.completion_tokens);
  yield {
    type: 'done',
    usage: {
      prompt_tokens: prompt.length,
      completion_tokens,
      total_tokens: prompt.length + completion_tokens,
      prompt_tokens_details: { cached_tokens: cached },
    },
    timings,
    ...(tracers && {
      trace: requestTrace(model, { prompt, parameters, place, timings, whole: tracers.whole }),
    }),
  };

  /** The events of one choice. */
  async function* write(index: number): AsyncGenerator<ChoiceEvent> {
    const tracer = tracers?.create();
    const prefilled = (milliseconds: number) => {
      if (index === 0) prefill = inMilliseconds(milliseconds);
    };
    const own = { ...parameters, seed: seed + index };
    const written = writeChoice(model, prompt, own, {
      signal: stop,
      open,
      scored: select,
      marks: tools?.marks,
      watch: { ...tracer, prefilled },
    });
    const pieces = tools ? tools.read(written) : written;
    try {
      let next = await pieces.next();
      for (; !next.done; next = await pieces.next()) {
        yield* traced();
        const { value } = next;
        yield 'call' in value ? { type: 'tool_call', index, ...value } : { type: 'delta', index, ...value };
      }
      endings[index] = next.value;
      yield* traced();
      yield { type: 'end', index, finish_reason: next.value.finish_reason };
    } finally {
      await pieces.return(undefined as never);
    }

    /** Tells of the tokens that were taken since it was told last; of the one that ends an answer, too. */
    function* traced(): Generator<ChoiceEvent> {
      const tokens = tracer?.told() ?? [];
      if (tokens.length > 0) yield { type: 'trace', index, tokens };
    }
  }

  /** Of all choices the `n` whose tokens are likeliest, the likeliest first, when all are written. */
  async function* likeliest(events: AsyncGenerator<ChoiceEvent>): AsyncGenerator<ChoiceEvent> {
    const all: ChoiceEvent[][] = written.map(() => []);
    for await (const event of events) all[event.index].push(event);
    const order = [...all.keys()].sort((a, b) => endings[b].mean_logprob - endings[a].mean_logprob);
    for (const [index, of] of order.slice(0, n).entries())
      for (const event of all[of]) yield { ...event, index };
  }
}

/** @throws InvalidInputError if a prompt is too long for its tokens to be told */
function checkTraced(prompt: readonly number[], input: GenerationInput): void {
  if (prompt.length <= TRACED_PROMPT) return;
  throw new InvalidInputError(
    `A trace tells the tokens of a prompt of up to ${TRACED_PROMPT}; this one has ${prompt.length}.`,
    { param: 'messages' in input ? 'messages' : 'prompt' },
  );
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
  const tooLong = (count: string) =>
    new InvalidInputError(
      `The prompt has ${count} tokens; ${id} has room for ${contextLength}, the answer's first included.`,
      { param, code: 'context_length_exceeded' },
    );
  // What is too long by its length alone is not encoded: that would take memory and time without a bound.
  const encode = (text: string, special: boolean) => {
    const least = tokenizer.fewestTokens(text);
    if (least >= contextLength) throw tooLong(`at least ${least}`);
    return tokenizer.encode(text, { special });
  };
  // A chat template writes the tokens of the beginning itself.
  const tokens =
    'tokens' in input
      ? input.tokens
      : 'messages' in input
        ? encode(tokenizer.applyChatTemplate(input.messages, { tools: planTools(input)?.told }), false)
        : encode(input.text, true);
  const foreign = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= vocabSize);
  if (foreign !== undefined) {
    throw new InvalidInputError(`Token ${foreign} is none of ${id}: its tokens are 0 to ${vocabSize - 1}.`, {
      param,
    });
  }
  if (tokens.length === 0) throw new InvalidInputError('The prompt is empty.', { param });
  if (tokens.length >= contextLength) throw tooLong(String(tokens.length));
  return tokens;
}
