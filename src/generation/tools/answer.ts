/** Answers with calls of tools in them. */
import type { Ending, Piece } from '../choice.ts';
import { checkConstraint } from '../constraint/constrained-answer.ts';
import type { Constraint } from '../constraint/constraint.ts';
import type { TokenLogprob } from '../logprobs.ts';
import type { TextModel } from '../model.ts';
import { toolConstraint } from './constraint.ts';
import { marksOf } from './format.ts';
import { type AnswerPart, createToolCallReader, type ToolCallReader } from './reader.ts';
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
  /** What holds it to its calls. */
  constraint: Constraint;
  /** Reads the calls out of one answer. */
  read(pieces: AsyncGenerator<Piece, Ending>): AsyncGenerator<AnswerPiece, AnswerEnding>;
}

/**
 * What a plan means for a model.
 * @param others a constraint of the caller's, which an answer without calls meets
 * @throws InvalidInputError naming what in a function's schema cannot be enforced
 */
export function toolCalling(model: TextModel, plan: ToolPlan, others: Constraint | null): ToolCalling {
  const format = model.tokenizer.toolCallFormat();
  const marks = marksOf(format);
  const schemas = new Map(plan.allowed.map(({ function: { name, parameters } }) => [name, parameters ?? {}]));
  const options = { schemas, enforced: true, parallel: plan.parallel };
  return {
    marks,
    constraint: toolConstraint(plan, format, others, (constraint) =>
      checkConstraint(model, constraint, marks),
    ),
    read: (pieces) => readToolCalls(pieces, createToolCallReader(format, options)),
  };
}

/** Reads the calls out of an answer. Tokens of which nothing can be told yet go with the next piece. */
export async function* readToolCalls(
  pieces: AsyncGenerator<Piece, Ending>,
  reader: ToolCallReader,
): AsyncGenerator<AnswerPiece, AnswerEnding> {
  let unsent: Omit<Piece, 'text'> = { tokens: [] };
  try {
    let next = await pieces.next();
    for (; !next.done; next = await pieces.next()) {
      const { text, tokens, logprobs } = next.value;
      unsent.tokens.push(...tokens);
      if (logprobs) unsent.logprobs = [...(unsent.logprobs ?? []), ...logprobs];
      yield* parts(reader.push(text));
    }
    yield* parts(reader.end());
    const made = reader.calls > 0 && next.value.finish_reason === 'stop';
    return { ...next.value, finish_reason: made ? 'tool_calls' : next.value.finish_reason };
  } finally {
    await pieces.return(undefined as never);
  }

  function* parts(read: readonly AnswerPart[]): Generator<AnswerPiece> {
    for (const part of read) {
      const id = 'call' in part && part.name !== undefined && { id: newCallId() };
      yield { ...part, ...id, ...unsent };
      unsent = { tokens: [] };
    }
  }
}

const newCallId = (): string => `call_${crypto.randomUUID().replaceAll('-', '').slice(0, 24)}`;
