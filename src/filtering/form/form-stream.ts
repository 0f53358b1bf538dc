/** What is done to the text of an answer so that it has the form that was asked for. */
import type { AnswerForm } from './answer-form.ts';
import { createFormatStream, madeFormats, type TextStream } from './format.ts';
import { createSentenceStream } from './sentence-end.ts';

/** What is done to a text as it comes; undefined where it stays as it is. */
export function createFormStream({ format, language, end_at_sentence }: AnswerForm): TextStream | undefined {
  const made = format && Object.hasOwn(madeFormats, format);
  const parts: TextStream[] = [
    ...(end_at_sentence ? [createSentenceStream(language)] : []),
    ...(made ? [createFormatStream(format as keyof typeof madeFormats)] : []),
  ];
  if (parts.length === 0) return undefined;
  return {
    push: (piece) => parts.reduce((text, part) => part.push(text), piece),
    end: (cut) => parts.reduce((text, part) => part.push(text) + part.end(cut), ''),
  };
}
