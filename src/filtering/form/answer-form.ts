/** What an answer is to be like: its style, format, language and end; of a request, or as a site's default. */
import { z } from 'zod';
import { styles } from './style.ts';

const language = z
  .string()
  .max(35)
  .refine((tag) => {
    try {
      return Intl.getCanonicalLocales(tag).length === 1;
    } catch {
      return false;
    }
  }, 'expected a language as BCP 47 writes it, like "de" or "pt-BR"');

const schoolYear = 'expected a school year from 1 to 18';
const names = Object.keys(styles)
  .map((name) => `\`${name}\``)
  .join(', ');

/** The fields, wick's own beside OpenAI's. */
export const answerFormFields = {
  style: z
    .string()
    .min(1, 'expected a style')
    .max(500, 'expected at most 500 characters')
    .optional()
    .describe(`Tone and style: a name (${names}), or a description in words.`),
  format: z
    .enum(['plain', 'markdown', 'html', 'json'])
    .optional()
    .describe(
      '`plain` and `html` are made of the Markdown that the model writes; `json` holds the answer to JSON.',
    ),
  language: language
    .optional()
    .describe('The language that the model is asked to answer in, as BCP 47 writes it.'),
  end_at_sentence: z
    .boolean()
    .optional()
    .describe('Whether an answer that is cut by its length leaves out the part of a sentence at its end.'),
  max_reading_level: z
    .number(schoolYear)
    .min(1, schoolYear)
    .max(18, schoolYear)
    .optional()
    .describe('The school year at which the answer is to be understood (Automated Readability Index).'),
};
export const answerForm = z.strictObject(answerFormFields);
export type AnswerForm = z.infer<typeof answerForm>;

/** The form that a request with these fields asks for: no more than it says. */
export const answerFormOf = (request: AnswerForm): AnswerForm => {
  const names = Object.keys(answerFormFields) as (keyof AnswerForm)[];
  return Object.fromEntries(
    names.flatMap((name) => (request[name] === undefined ? [] : [[name, request[name]]])),
  );
};
