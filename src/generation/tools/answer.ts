/** Answers with calls of tools in them. */
import type { Ending, Piece } from '../choice.ts';
import type { TokenLogprob } from '../logprobs.ts';
import type { TextModel } from '../model.ts';
import { InvalidInputError } from '../parameters.ts';
import { marksOf } from './format.ts';
import { createToolCallReader, type ToolCallReader } from './reader.ts';
import type { ToolPlan } from './use.ts';

/** A piece of a call: its number in the answer, and arguments. The first has the call's id and name. */
export interface ToolCallPiece {
  call: number;
  id?: string;
  name?: string;
  arguments: string;
  tokens: number[];
  logprobs?: TokenLogprob[];
}

export type AnswerPiece = Piece | ToolCallPiece;
export interface AnswerEnding extends Omit<Ending, 'finish_reason'> {
  finish_reason: Ending['finish_reason'] | 'tool_calls';
}

/** How the answers of a request with tools are written and read. */
export interface ToolCalling {
  /** All that the model's calls have round names and arguments. */
  marks: string;
  /** Reads the calls out of one answer. */
  read(pieces: AsyncGenerator<Piece, Ending>): AsyncGenerator<AnswerPiece, AnswerEnding>;
}

/** What a plan means for a model; nothing, where nothing can be called. */
export function toolCalling({ tokenizer }: TextModel, plan: ToolPlan | undefined): ToolCalling | undefined {
  if (!plan) return undefined;
  if (plan.required) throw new InvalidInputError('A call cannot be required yet.', { param: 'tool_choice' });
  const format = tokenizer.toolCallFormat();
  const names = new Set(plan.allowed.map((tool) => tool.function.name));
  const options = { names, enforced: false, parallel: plan.parallel };
  return {
    marks: marksOf(format),
    read: (pieces) => readToolCalls(pieces, createToolCallReader(format, options)),
  };
}

/**
 * Reads the calls out of an answer. When all that may be made are made, the answer is over. Tokens of which nothing can
 * be told yet go with the next piece.
 */
export async function* readToolCalls(
  pieces: AsyncGenerator<Piece, Ending>,
  reader: ToolCallReader,
): AsyncGenerator<AnswerPiece, AnswerEnding> {
  let unsent: Omit<Piece, 'text'> = { tokens: [] };
  let ending: Ending = { finish_reason: 'stop', completion_tokens: 0, mean_logprob: 0 };
  let [written, logprob] = [0, 0];
  try {
    while (!reader.finished) {
      const { done, value } = await pieces.next();
      if (done) {
        ending = value;
        yield* parts(reader.end());
        break;
      }
      written += value.tokens.length;
      for (const each of value.logprobs ?? []) logprob += each.logprob ?? 0;
      unsent.tokens.push(...value.tokens);
      if (value.logprobs) unsent.logprobs = [...(unsent.logprobs ?? []), ...value.logprobs];
      yield* parts(reader.push(value.text));
    }
    if (reader.finished)
      ending = {
        finish_reason: 'stop',
        completion_tokens: written,
        mean_logprob: logprob / Math.max(1, written),
      };
    const made = reader.calls > 0 && ending.finish_reason === 'stop';
    return { ...ending, finish_reason: made ? 'tool_calls' : ending.finish_reason };
  } finally {
    await pieces.return(undefined as never);
  }

  function* parts(read: ReturnType<ToolCallReader['push']>): Generator<AnswerPiece> {
    for (const part of read) {
      const id = 'call' in part && part.name !== undefined && { id: newCallId() };
      yield { ...part, ...id, ...unsent };
      unsent = { tokens: [] };
    }
  }
}

const newCallId = (): string => `call_${crypto.randomUUID().replaceAll('-', '').slice(0, 24)}`;
