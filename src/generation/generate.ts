/** Answers to a prompt, as events. */

import type { ChatMessage } from './chat-message.ts';
import { writeChoice } from './choice.ts';
import { checkConstraint } from './constraint/constrained-answer.ts';
import { fillInTheMiddle } from './fill-in-the-middle.ts';
import type { TokenLogprob } from './logprobs.ts';
import type { TextModel } from './model.ts';
import { completeParameters, type GenerationParameters, InvalidInputError } from './parameters.ts';
import { type AnswerEnding, type AnswerPiece, type ToolCallPiece, toolCalling } from './tools/answer.ts';
import { planTools, type ToolUse } from './tools/use.ts';

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
  | { type: 'start'; prompt_tokens: number }
  /** Whole characters of choice `index`, with the tokens taken since the event before. */
  | { type: 'delta'; index: number; text: string; tokens: number[]; logprobs?: TokenLogprob[] }
  /** A piece of call number `call` of choice `index`: the first has its id and name, all have arguments. */
  | ({ type: 'tool_call'; index: number } & ToolCallPiece)
  | { type: 'end'; index: number; finish_reason: AnswerEnding['finish_reason'] }
  | { type: 'done'; usage: Usage };

/**
 * Generates answers: one `start`, for each choice any number of `delta` and `tool_call` and one `end`, and one `done`.
 * Choices are written one after the other, choice i with the seed that lies i above the given one. Of `best_of` the
 * likeliest are given when all are written.
 *
 * @throws InvalidInputError for parameters out of range, for a prompt that leaves no room in the context, and for a
 * constraint that cannot be enforced
 * @throws the signal's reason when it aborts
 */
export async function* generate(
  model: TextModel,
  input: GenerationInput,
  given: Partial<GenerationParameters>,
  signal?: AbortSignal,
): AsyncGenerator<GenerationEvent> {
  const complete = completeParameters(given, model.defaults, model.vocabSize);
  const between = 'suffix' in input && input.suffix ? fillInTheMiddle(model, input, input.suffix) : undefined;
  if (between) complete.stop_token_ids = [...complete.stop_token_ids, ...between.ends];
  const prompt = promptTokens(model, between ?? input);
  const { n, best_of, seed } = complete;
  const plan = 'messages' in input ? planTools(input) : undefined;
  const tools = plan && toolCalling(model, plan, complete.constraint);
  const parameters = tools ? { ...complete, constraint: tools.constraint } : complete;
  if (parameters.constraint) checkConstraint(model, parameters.constraint, tools?.marks);
  const write = (index: number, scored: boolean): AsyncGenerator<AnswerPiece, AnswerEnding> => {
    const own = { ...parameters, seed: seed === null ? null : seed + index };
    const pieces = writeChoice(model, prompt, own, signal, scored, tools?.marks);
    return tools ? tools.read(pieces) : pieces;
  };
  yield { type: 'start', prompt_tokens: prompt.length };
  let completion = 0;
  if (best_of !== null && best_of > n) {
    const choices: { pieces: AnswerPiece[]; ending: AnswerEnding }[] = [];
    for (let i = 0; i < best_of; i++) choices.push(await whole(write(i, true)));
    completion = choices.reduce((sum, { ending }) => sum + ending.completion_tokens, 0);
    choices.sort((a, b) => b.ending.mean_logprob - a.ending.mean_logprob);
    for (const [index, { pieces, ending }] of choices.slice(0, n).entries()) {
      for (const piece of pieces) yield eventOf(index, piece);
      yield { type: 'end', index, finish_reason: ending.finish_reason };
    }
  } else {
    for (let index = 0; index < n; index++) {
      const pieces = write(index, false);
      try {
        let next = await pieces.next();
        for (; !next.done; next = await pieces.next()) yield eventOf(index, next.value);
        completion += next.value.completion_tokens;
        yield { type: 'end', index, finish_reason: next.value.finish_reason };
      } finally {
        await pieces.return(undefined as never);
      }
    }
  }
  yield {
    type: 'done',
    usage: {
      prompt_tokens: prompt.length,
      completion_tokens: completion,
      total_tokens: prompt.length + completion,
    },
  };
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
  // A chat template writes the tokens of the beginning itself.
  const tokens =
    'tokens' in input
      ? input.tokens
      : 'messages' in input
        ? tokenizer.encode(tokenizer.applyChatTemplate(input.messages, { tools: planTools(input)?.told }))
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
