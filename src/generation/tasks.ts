/** Work with a text model that generates nothing: tokens and templates, and texts as vectors. */
import { embed } from './embedding.ts';
import type { TextModel } from './model.ts';
import { InvalidInputError } from './parameters.ts';
import type { ChatMessage } from './text-tokenizer.ts';
import { planTools, type ToolUse } from './tools/use.ts';

type Conversation = { messages: ChatMessage[] } & ToolUse;

export type TextTask =
  | {
      task: 'tokenize';
      input: { text: string } | Conversation;
      special: boolean;
      add_generation_prompt: boolean;
    }
  | { task: 'detokenize'; tokens: number[] }
  | { task: 'apply_template'; input: Conversation; add_generation_prompt: boolean }
  | { task: 'embed'; inputs: ({ text: string } | { tokens: number[] })[]; dimensions?: number };

export type TaskEvent =
  | { type: 'tokens'; tokens: number[]; token_strs: string[]; max_model_len: number }
  | { type: 'text'; text: string }
  /** float32 numbers, little end first, in base64. */
  | { type: 'embedding'; index: number; embedding: string }
  | { type: 'done'; prompt_tokens: number };

/** What is done for one request at the most. */
export interface TaskLimits {
  /** Tokens of all the inputs that are embedded. */
  embeddedTokens: number;
  /** Characters of a text that is made into tokens. */
  characters: number;
}
const usualLimits: TaskLimits = { embeddedTokens: 300_000, characters: 1_000_000 };

/**
 * Does a task; the last event is `done`.
 * @throws InvalidInputError for what the model cannot take
 * @throws the signal's reason when it aborts
 */
export async function* runTask(
  model: TextModel,
  task: TextTask,
  signal?: AbortSignal,
  limits: TaskLimits = usualLimits,
): AsyncGenerator<TaskEvent> {
  const { tokenizer, contextLength: max_model_len } = model;
  const template = (input: Conversation, addGenerationPrompt: boolean) =>
    tokenizer.applyChatTemplate(input.messages, { tools: planTools(input)?.told, addGenerationPrompt });
  let prompt_tokens = 0;
  switch (task.task) {
    case 'tokenize': {
      const { input, special, add_generation_prompt } = task;
      const text = 'text' in input ? input.text : template(input, add_generation_prompt);
      if (text.length > limits.characters)
        throw new InvalidInputError(
          `The text has ${text.length} characters; ${limits.characters} are made into tokens here at the most.`,
          { param: 'text' in input ? 'prompt' : 'messages' },
        );
      const tokens = tokenizer.encode(text, { special });
      prompt_tokens = tokens.length;
      yield {
        ...{ type: 'tokens', tokens, max_model_len },
        token_strs: tokens.map((id) => tokenizer.tokenOf(id) ?? ''),
      };
      break;
    }
    case 'detokenize': {
      const foreign = task.tokens.find((id) => tokenizer.tokenOf(id) === undefined);
      if (foreign !== undefined)
        throw new InvalidInputError(`Token ${foreign} is none of ${model.id}.`, { param: 'tokens' });
      yield { type: 'text', text: tokenizer.decode(task.tokens, { special: true }) };
      break;
    }
    case 'apply_template':
      yield { type: 'text', text: template(task.input, task.add_generation_prompt) };
      break;
    case 'embed': {
      const sequences = embeddedTokens(model, task.inputs, limits.embeddedTokens);
      prompt_tokens = sequences.reduce((sum, { length }) => sum + length, 0);
      for await (const { index, vector } of embed(model, sequences, task.dimensions, signal))
        yield { type: 'embedding', index, embedding: base64(vector) };
    }
  }
  yield { type: 'done', prompt_tokens };
}

/** The tokens of each input. @throws InvalidInputError naming the input that is not right, or if all are too many */
function embeddedTokens(
  { tokenizer, vocabSize, contextLength, id }: TextModel,
  inputs: Extract<TextTask, { task: 'embed' }>['inputs'],
  limit: number,
): number[][] {
  let total = 0;
  return inputs.map((input, index) => {
    const param = inputs.length > 1 ? `input[${index}]` : 'input';
    const refuse = (why: string, code = 'invalid_value') => new InvalidInputError(why, { param, code });
    const tooLong = (count: string) =>
      refuse(`${param} has ${count} tokens; ${id} has room for ${contextLength}.`, 'context_length_exceeded');
    const least = 'text' in input ? tokenizer.fewestTokens(input.text) : 0;
    if (least > contextLength) throw tooLong(`at least ${least}`);
    const tokens = 'tokens' in input ? input.tokens : tokenizer.encode(input.text, { special: true });
    const foreign = tokens.find((token) => token >= vocabSize);
    if (foreign !== undefined)
      throw refuse(`Token ${foreign} is none of ${id}: its tokens are 0 to ${vocabSize - 1}.`);
    if (tokens.length === 0) throw refuse(`${param} is empty.`);
    if (tokens.length > contextLength) throw tooLong(String(tokens.length));
    total += tokens.length;
    if (total > limit)
      throw new InvalidInputError(`The inputs have more than ${limit} tokens, the most at once.`, {
        param: 'input',
      });
    return tokens;
  });
}

/** The bytes of numbers in base64. */
function base64(numbers: Float32Array): string {
  const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}
