/** Answers to a prompt, as events. */
import type { ChatMessage } from './chat-message.ts';
import { macrotask, type Watch, writeChoice } from './choice.ts';
import { checkConstraint } from './constraint/constrained-answer.ts';
import { fillInTheMiddle } from './fill-in-the-middle.ts';
import type { TokenLogprob } from './logprobs.ts';
import type { TextModel } from './model.ts';
import { completeParameters, type GenerationParameters, InvalidInputError } from './parameters.ts';
import { drawSeed } from './random.ts';
import { type AnswerEnding, type AnswerPiece, type ToolCallPiece, toolCalling } from './tools/answer.ts';
import { planTools, type ToolUse } from './tools/use.ts';
import {
  createTracer,
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
}

/**
 * Generates answers: one `start`, for each choice any number of `delta` and `tool_call` and one `end`, and one `done`.
 * Choices are written one after the other, choice i with the seed that lies i above the given one. Of `best_of` the
 * likeliest are given when all are written.
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
  { queue = 0, place = 'local', trace }: GenerateOptions = {},
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
  const tracer = trace && createTracer(model.tokenizer, trace);
  const { n, best_of, seed } = complete;
  const plan = 'messages' in input ? planTools(input) : undefined;
  const tools = plan && toolCalling(model, plan, complete.constraint);
  const parameters = tools ? { ...complete, constraint: tools.constraint } : complete;
  if (parameters.constraint) checkConstraint(model, parameters.constraint, tools?.marks);
  let prefill: number | undefined;
  const watch: Watch = {
    ...tracer,
    prefilled: (milliseconds) => {
      prefill ??= inMilliseconds(milliseconds);
    },
  };
  const write = (index: number, scored: boolean): AsyncGenerator<AnswerPiece, AnswerEnding> => {
    const own = { ...parameters, seed: seed + index };
    const pieces = writeChoice(model, prompt, own, signal, scored, tools?.marks, watch);
    return tools ? tools.read(pieces) : pieces;
  };
  const tokenize = since();
  yield { type: 'start', prompt_tokens: prompt.length, timings: { queue: inMilliseconds(queue), tokenize } };
  let completion = 0;
  let first: number | undefined;
  if (best_of !== null && best_of > n) {
    const choices: { pieces: AnswerPiece[]; ending: AnswerEnding & { trace?: TokenTrace[] } }[] = [];
    for (let i = 0; i < best_of; i++) {
      const { pieces, ending } = await whole(write(i, true));
      choices.push({ pieces, ending: { ...ending, trace: tracer?.told() } });
    }
    completion = choices.reduce((sum, { ending }) => sum + ending.completion_tokens, 0);
    choices.sort((a, b) => b.ending.mean_logprob - a.ending.mean_logprob);
    for (const [index, { pieces, ending }] of choices.slice(0, n).entries()) {
      yield* traced(index, ending.trace);
      for (const piece of pieces) yield* told(index, piece);
      yield { type: 'end', index, finish_reason: ending.finish_reason };
    }
  } else {
    for (let index = 0; index < n; index++) {
      const pieces = write(index, false);
      try {
        let next = await pieces.next();
        for (; !next.done; next = await pieces.next()) {
          yield* traced(index);
          yield* told(index, next.value);
        }
        completion += next.value.completion_tokens;
        yield* traced(index);
        yield { type: 'end', index, finish_reason: next.value.finish_reason };
      } finally {
        await pieces.return(undefined as never);
      }
    }
  }
  await macrotask();
  const timings: Timings = {
    queue: inMilliseconds(queue),
    tokenize,
    prefill: prefill ?? 0,
    first_token: first ?? inMilliseconds(queue + since()),
    total: inMilliseconds(queue + since()),
  };
  yield {
    type: 'done',
    usage: {
      prompt_tokens: prompt.length,
      completion_tokens: completion,
      total_tokens: prompt.length + completion,
    },
    timings,
    ...(tracer && {
      trace: requestTrace(model, { prompt, parameters, place, timings, whole: tracer.whole }),
    }),
  };

  /** Tells of the tokens that were taken since it was told last; of the one that ends an answer, too. */
  function* traced(index: number, tokens = tracer?.told() ?? []): Generator<GenerationEvent> {
    if (tokens.length > 0) yield { type: 'trace', index, tokens };
  }

  function* told(index: number, piece: AnswerPiece): Generator<GenerationEvent> {
    first ??= inMilliseconds(queue + since());
    yield eventOf(index, piece);
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

const eventOf = (index: number, piece: AnswerPiece): GenerationEvent =>
  'call' in piece ? { type: 'tool_call', index, ...piece } : { type: 'delta', index, ...piece };

async function whole(
  pieces: AsyncGenerator<AnswerPiece, AnswerEnding>,
): Promise<{ pieces: AnswerPiece[]; ending: AnswerEnding }> {
  const list: AnswerPiece[] = [];
  let next = await pieces.next();
  for (; !next.done; next = await pieces.next()) list.push(next.value);
  return { pieces: list, ending: next.value };
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
