/** OpenAI's wire format for moderations (https://platform.openai.com/docs/api-reference/moderations). */
import { z } from 'zod';
import { Failure, parse } from './errors.ts';
import { wellFormed } from './parameters.ts';

/** The classifier that judges. */
export const moderationModel = 'Llama-wick-guard';
/** Other names for it: its folder's, and those that OpenAI's clients send. */
const aliases = [
  ...['wick-guard', 'omni-moderation-latest', 'omni-moderation-2024-09-26'],
  ...['text-moderation-latest', 'text-moderation-stable', 'text-moderation-007'],
];

/** What a text or an image can be found to be. */
export const moderationCategories = [
  ...(['harassment', 'harassment/threatening', 'hate', 'hate/threatening'] as const),
  ...(['illicit', 'illicit/violent', 'self-harm', 'self-harm/instructions', 'self-harm/intent'] as const),
  ...(['sexual', 'sexual/minors', 'violence', 'violence/graphic'] as const),
] as const;

type Category = (typeof moderationCategories)[number];

const text = wellFormed(1_000_000).min(1, 'expected a text that is not empty');
const part = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text'), text }),
  z.strictObject({
    type: z.literal('image_url'),
    /** An address, or the image itself as a `data:` one. */
    image_url: z.strictObject({ url: z.string().min(1).max(6_000_000) }),
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
  z.object(Object.fromEntries(moderationCategories.map((name) => [name, value])) as Record<Category, T>);
const probability = z.number().min(0).max(1);
const own = z
  .object({
    categories: z.record(z.string(), z.boolean()),
    category_scores: z.record(z.string(), probability),
  })
  .describe(
    "Labels that OpenAI does not have: `offensive` for coarse language, `injection` for a text that would take a model's instructions away from it. They do not count for `flagged`.",
  );
export const moderationAnswer = z.object({
  id: z.string(),
  model: z.string(),
  results: z.array(
    z.object({
      flagged: z.boolean(),
      categories: ofEach(z.boolean()),
      category_scores: ofEach(probability).describe('Probabilities.'),
      category_applied_input_types: ofEach(z.array(z.enum(['text', 'image']))).describe(
        'Which kinds of input each category was looked for in.',
      ),
      wick: own.optional(),
    }),
  ),
});
export type ModerationResult = z.infer<typeof moderationAnswer>['results'][number];

/** What was found in one input, or in a part of one. */
export interface Verdict {
  kind: 'text' | 'image';
  categories: Readonly<Record<string, boolean>>;
  /** Only of what was looked for. */
  scores: Readonly<Record<string, number>>;
}

/**
 * The body of `POST /v1/moderations`.
 * @throws BadRequest naming what is wrong; 404 for a model that does not judge
 */
export function parseModerationRequest(body: unknown): ModerationRequest {
  const request = parse(moderationRequest, body);
  const { model = moderationModel } = request;
  if (model === moderationModel || aliases.includes(model)) return request;
  throw new Failure(
    'model_not_found',
    `No model "${model.slice(0, 100)}" judges. There is: ${[moderationModel, ...aliases].join(', ')}.`,
    { param: 'model' },
  );
}

/** One result of what was found in the parts of an input: of each category as much as the part has that has it most. */
export function moderationResult(verdicts: readonly Verdict[]): ModerationResult {
  const found = (name: string) => verdicts.some(({ categories }) => categories[name] === true);
  const score = (name: string) => Math.max(0, ...verdicts.map(({ scores }) => scores[name] ?? 0));
  const kinds = (name: string) => [
    ...new Set(verdicts.filter(({ scores }) => name in scores).map(({ kind }) => kind)),
  ];
  const byName = <T>(names: readonly string[], value: (name: string) => T) =>
    Object.fromEntries(names.map((name) => [name, value(name)])) as Record<Category, T>;
  const known: readonly string[] = moderationCategories;
  const ours = [...new Set(verdicts.flatMap(({ scores }) => Object.keys(scores)))].filter(
    (name) => !known.includes(name),
  );
  return {
    flagged: known.some(found),
    categories: byName(known, found),
    category_scores: byName(known, score),
    category_applied_input_types: byName(known, kinds),
    ...(ours.length > 0 && {
      wick: { categories: byName(ours, found), category_scores: byName(ours, score) },
    }),
  };
}
