/** OpenAI's wire format for moderations (https://platform.openai.com/docs/api-reference/moderations). */
import { z } from 'zod';
import { parse } from './errors.ts';
import { wellFormed } from './parameters.ts';

/** What a text or an image can be found to be. */
export const moderationCategories = [
  ...(['harassment', 'harassment/threatening', 'hate', 'hate/threatening'] as const),
  ...(['illicit', 'illicit/violent', 'self-harm', 'self-harm/instructions', 'self-harm/intent'] as const),
  ...(['sexual', 'sexual/minors', 'violence', 'violence/graphic'] as const),
] as const;

const text = wellFormed(1_000_000).min(1, 'expected a text that is not empty');
const part = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text'), text }),
  z.strictObject({
    type: z.literal('image_url'),
    /** An address, or the image itself as a `data:` one. */
    image_url: z.strictObject({ url: z.string().min(1).max(1_000_000) }),
  }),
]);
const many = 256;

export const moderationRequest = z.strictObject({
  model: z.string().min(1).max(200).optional(),
  input: z.union([
    text,
    z.array(text).min(1, 'expected at least one input').max(many),
    z.array(part).min(1, 'expected at least one input').max(many),
  ]),
});
export type ModerationRequest = z.infer<typeof moderationRequest>;

const ofEach = <T extends z.ZodType>(value: T) =>
  z.object(Object.fromEntries(moderationCategories.map((name) => [name, value])));
export const moderationAnswer = z.object({
  id: z.string(),
  model: z.string(),
  results: z.array(
    z.object({
      flagged: z.boolean(),
      categories: ofEach(z.boolean()),
      category_scores: ofEach(z.number().min(0).max(1)),
      category_applied_input_types: ofEach(z.array(z.enum(['text', 'image']))),
    }),
  ),
});

/**
 * The body of `POST /v1/moderations`.
 * @throws BadRequest naming what is wrong
 */
export const parseModerationRequest = (body: unknown): ModerationRequest => parse(moderationRequest, body);
