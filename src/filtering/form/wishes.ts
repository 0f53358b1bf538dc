/** What a form asks of the model: instructions, parameters, a limit. */
import type { AnswerForm } from './answer-form.ts';
import { type Style, styleOf } from './style.ts';

/** The instructions by which a model is told of a form; empty if there is nothing to tell. */
export function instructionsOf({ style, format, language, max_reading_level }: AnswerForm): string {
  const formats = {
    plain: 'Write plain text without Markdown.',
    markdown: 'Write Markdown.',
    html: 'Write Markdown.',
    json: 'Answer with a JSON object.',
  };
  const own = style === undefined ? undefined : styleOf(style);
  const level = max_reading_level ?? own?.max_reading_level;
  return [
    own?.instruction,
    format && formats[format],
    language && `Answer in ${new Intl.DisplayNames('en', { type: 'language' }).of(language)}.`,
    level !== undefined &&
      `Use short sentences and common words, so that a reader of school year ${level} understands it.`,
  ]
    .filter(Boolean)
    .join(' ');
}

/** The parameters that a style brings, where a request does not say them itself. */
export const styleParameters = ({ style }: AnswerForm): Style['parameters'] =>
  style === undefined ? {} : styleOf(style).parameters;

/** The reading level that is not to be passed, if there is one. */
export const readingLimit = ({ style, max_reading_level }: AnswerForm): number | undefined =>
  max_reading_level ?? (style === undefined ? undefined : styleOf(style).max_reading_level);
