/**
 * OpenAI's wire format for embeddings (https://platform.openai.com/docs/api-reference/embeddings): requests checked,
 * and what answers are made of.
 */
import { z } from 'zod';
import { BadRequest, parse } from './errors.ts';
import { wellFormed, whole } from './parameters.ts';
import { EMBEDDING_INPUTS, type TextTask } from './tasks.ts';
import type { wickPart } from './trace.ts';

const text = wellFormed(1_000_000).min(1, 'expected a text that is not empty');
const tokens = z
  .array(whole(0, 10_000_000), 'expected a text, token ids, or a list of either')
  .min(1, 'expected at least one token')
  .max(1_000_000, 'expected at most 1000000 tokens');
export const embeddingsRequest = z.strictObject({
  model: z.string('expected the name of a model').min(1).max(200),
  input: z.union([text, tokens, z.array(text).min(1), z.array(tokens).min(1)]),
  encoding_format: z.enum(['float', 'base64']).nullable().optional(),
  dimensions: whole(1, 1_000_000).nullable().optional(),
  user: z.string().max(512).nullable().optional(),
  /** wick's own, as for text. */
  placement: z.enum(['edge', 'service']).optional(),
  fallback: z.boolean().optional(),
});

export interface EmbeddingsRequest {
  model: string;
  placement?: 'edge' | 'service';
  fallback?: boolean;
  task: Extract<TextTask, { task: 'embed' }>;
  encoding: 'float' | 'base64';
}

/**
 * The body of `POST /v1/embeddings`.
 * @throws BadRequest naming what is wrong
 */
export function parseEmbeddingsRequest(body: unknown): EmbeddingsRequest {
  const { model, input, encoding_format, dimensions, placement, fallback } = parse(embeddingsRequest, body);
  const inputs =
    typeof input === 'string'
      ? [{ text: input }]
      : typeof input[0] === 'number'
        ? [{ tokens: input as number[] }]
        : input.map((each) => (typeof each === 'string' ? { text: each } : { tokens: each as number[] }));
  if (inputs.length > EMBEDDING_INPUTS) {
    throw new BadRequest(`\`input\` is not right: expected at most ${EMBEDDING_INPUTS} inputs.`, {
      param: 'input',
      code: 'invalid_value',
    });
  }
  const task = { task: 'embed' as const, inputs, ...(dimensions != null && { dimensions }) };
  return { model, placement, fallback, task, encoding: encoding_format ?? 'float' };
}

/**
 * The pieces of an answer's JSON, a vector at a time: as text a vector takes several times its memory.
 * @param embeddings float32 numbers in base64, one for each input
 * @param own wick's own part of the answer
 */
export function* embeddingsJson(
  model: string,
  encoding: EmbeddingsRequest['encoding'],
  embeddings: readonly string[],
  promptTokens: number,
  own: ReturnType<typeof wickPart>,
): Generator<string> {
  yield '{"object":"list","data":[';
  for (const [index, base64] of embeddings.entries()) {
    const embedding = encoding === 'base64' ? base64 : Array.from(numbers(base64));
    yield `${index > 0 ? ',' : ''}${JSON.stringify({ object: 'embedding', index, embedding })}`;
  }
  const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens };
  yield `],${JSON.stringify({ model, usage, ...own }).slice(1)}\n`;
}

/** The float32 numbers that stand in base64, little end first. */
function numbers(base64: string): Float32Array {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}
