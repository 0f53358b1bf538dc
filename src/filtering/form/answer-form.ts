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

/** The fields, wick's own beside OpenAI's. */
export const answerFormFields = {
  /** A style by its name, or described in words. */
  style: z
    .string()
    .min(1, 'expected a style')
    .max(500, 'expected at most 500 characters')
    .describe(`One of ${Object.keys(styles).join(', ')}, or a description in words.`)
    .optional(),
  format: z
    .enum(['plain', 'markdown', 'html', 'json'])
    .describe('html is made of the Markdown that the model writes, and safe to put into a page.')
    .optional(),
  language: language.describe('BCP 47: the language that the model is asked to answer in.').optional(),
  end_at_sentence: z
    .boolean()
    .describe('Where the answer is cut by its length, leave out the part of a sentence at its end.')
    .optional(),
  max_reading_level: z
    .number()
    .min(1, 'expected a school year from 1 to 18')
    .max(18, 'expected a school year from 1 to 18')
    .describe('The school year (Automated Readability Index, English) at which it is to be understood.')
    .optional(),
};
export const answerForm = z.strictObject(answerFormFields);
export type AnswerForm = z.infer<typeof answerForm>;

/** What a request says, and for the rest what the site does. */
export const withDefaults = (asked: AnswerForm, defaults: AnswerForm = {}): AnswerForm => ({
  ...defaults,
  ...Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined)),
});
