/**
 * Tokens and templates on the wire, in the forms of vLLM (`prompt`, `add_special_tokens`, `return_token_strs`) and of
 * llama.cpp (`content`, `add_special`): requests checked.
 */
import { z } from 'zod';
import { BadRequest, parse } from './errors.ts';
import { chatMessages } from './messages.ts';
import { wellFormed, whole } from './parameters.ts';
import type { TextTask } from './tasks.ts';
import { toolParameters, toolUseOf } from './tools.ts';

const common = {
  model: z.string('expected the name of a model').min(1).max(200).optional(),
  placement: z.enum(['edge', 'service']).optional(),
  fallback: z.boolean().optional(),
};
const text = wellFormed(1_000_000).optional();

export const tokenizeRequest = z.strictObject({
  ...common,
  /** One of these four. */
  prompt: text,
  text,
  content: text,
  messages: chatMessages.optional(),
  ...toolParameters,
  add_special_tokens: z.boolean().optional(),
  add_special: z.boolean().optional(),
  add_generation_prompt: z.boolean().optional(),
  return_token_strs: z.boolean().nullable().optional(),
  /** Names of marks in a text are always read as the marks. */
  parse_special: z.literal(true, 'expected true: names of marks in a text are read as the marks').optional(),
});

export const detokenizeRequest = z.strictObject({
  ...common,
  tokens: z
    .array(whole(0, 10_000_000), 'expected a list of token ids')
    .max(1_000_000, 'expected at most 1000000 tokens'),
});

export const templateRequest = z.strictObject({
  ...common,
  ...toolParameters,
  messages: chatMessages,
  add_generation_prompt: z.boolean().optional(),
});

const unserved = Object.fromEntries(
  [
    'chat_template',
    'chat_template_kwargs',
    'continue_final_message',
    'mm_processor_kwargs',
    'with_pieces',
  ].map((name) => [name, 'is a parameter that wick does not serve']),
);

/** Who is to do a task, where somebody is named. */
export interface TaskPlace {
  model?: string;
  placement?: 'edge' | 'service';
  fallback?: boolean;
}
export interface TokenizeRequest extends TaskPlace {
  task: TextTask;
  /** Whether the answer tells the vocabulary's spelling of each token. */
  strings: boolean;
}

/**
 * The body of `POST /tokenize`. Round a `prompt` or `text` stand the model's special tokens unless that is declined;
 * round `content` and `messages`, only if it is asked for.
 * @throws BadRequest naming what is wrong
 */
export function parseTokenizeRequest(body: unknown): TokenizeRequest {
  const { model, placement, fallback, ...request } = parse(tokenizeRequest, body, unserved);
  const given = (['prompt', 'text', 'content', 'messages'] as const).filter(
    (name) => request[name] !== undefined,
  );
  if (given.length !== 1) {
    throw new BadRequest(
      given.length === 0
        ? 'There is nothing to make tokens of: give `prompt` or `messages`.'
        : `\`${given[0]}\` and \`${given[1]}\` are both given; one of them is wanted.`,
      { param: given[1] ?? 'prompt', code: 'invalid_value' },
    );
  }
  const [name] = given;
  const { messages, add_special_tokens, add_special, add_generation_prompt, return_token_strs } = request;
  const task: TextTask = {
    task: 'tokenize',
    input: messages ? { messages, ...toolUseOf(request) } : { text: request[name] as string },
    special: add_special_tokens ?? add_special ?? (name === 'prompt' || name === 'text'),
    add_generation_prompt: add_generation_prompt ?? true,
  };
  return { model, placement, fallback, task, strings: return_token_strs ?? false };
}

/**
 * The body of `POST /detokenize`.
 * @throws BadRequest naming what is wrong
 */
export function parseDetokenizeRequest(body: unknown): TaskPlace & { task: TextTask } {
  const { tokens, ...place } = parse(detokenizeRequest, body, unserved);
  return { ...place, task: { task: 'detokenize', tokens } };
}

/**
 * The body of `POST /apply-template`.
 * @throws BadRequest naming what is wrong
 */
export function parseTemplateRequest(body: unknown): TaskPlace & { task: TextTask } {
  const request = parse(templateRequest, body, unserved);
  const { messages, add_generation_prompt = true, model, placement, fallback } = request;
  const input = { messages, ...toolUseOf(request) };
  return { model, placement, fallback, task: { task: 'apply_template', input, add_generation_prompt } };
}
