/** What becomes of a wish by the form in which its answer is asked for. */
import { BadRequest } from '../../api/errors.ts';
import type { ChatMessages } from '../../api/messages.ts';
import type { AnswerForm } from '../../filtering/form/answer-form.ts';
import { createFormStream } from '../../filtering/form/form-stream.ts';
import { instructionsOf, readingLimit, styleParameters } from '../../filtering/form/wishes.ts';
import type { Wish } from '../placement.ts';

/** How the text of an answer is to be, and how hard it may be to read. */
export interface AnswerShape {
  form: AnswerForm;
  readingLimit?: number;
  /** Answers of which the easiest is taken. */
  candidates: number;
}

/** Answers that are weighed where one is not to be hard to read. */
const CANDIDATES = 3;

/** Of a form, what a model can only be told. */
const told = ['style', 'language', 'max_reading_level'] as const;

/**
 * A wish as the model is to be asked: with instructions among its messages, and parameters that the form brings and the
 * request does not say itself.
 * @param asked what the request says of the form
 * @param site what the site does, which gives way where it does not fit
 * @param whole whether the answer is sent when it is whole
 * @throws BadRequest naming what of the request does not fit it
 */
export function askInForm<W extends Wish>(
  wish: W,
  asked: AnswerForm,
  site: AnswerForm,
  whole: boolean,
): { wish: W; shape: AnswerShape } {
  const { input, parameters } = wish;
  const chat = 'messages' in input;
  const unheard = chat ? undefined : told.find((name) => asked[name] !== undefined);
  if (unheard) {
    throw new BadRequest(
      `\`${unheard}\` is told to the model among messages, and a text that is gone on from has none. Ask POST /v1/chat/completions.`,
      { param: unheard },
    );
  }
  const constrained = parameters.constraint != null;
  if (asked.format && constrained && !(asked.format === 'json' && isJson(wish)))
    throw new BadRequest('`format` and what the answer is held to exclude each other.', { param: 'format' });
  const raw = parameters.top_logprobs != null ? 'logprobs' : parameters.echo ? 'echo' : undefined;
  if (raw && createFormStream(asked)) {
    const param = asked.format ? 'format' : 'end_at_sentence';
    throw new BadRequest(`\`${raw}\` tells of the model's own text; \`${param}\` makes another of it.`, {
      param,
    });
  }
  // What the site says goes where it fits, and nowhere else.
  const usual = Object.entries(site).filter(
    ([name]) =>
      !(constrained && name === 'format') &&
      !(raw && (name === 'format' || name === 'end_at_sentence')) &&
      (chat || !told.some((each) => each === name) || name === 'style'),
  );
  const form: AnswerForm = { ...Object.fromEntries(usual), ...asked };
  const limit = readingLimit(form);
  const weighed = whole && chat && limit !== undefined && (parameters.n ?? 1) === 1 && !parameters.best_of;
  const candidates = weighed ? CANDIDATES : 1;
  const instructions = instructionsOf(form);
  return {
    wish: {
      ...wish,
      input: chat ? { ...input, messages: instructed(input.messages, instructions) } : input,
      parameters: {
        ...styleParameters(form),
        ...defined(parameters),
        ...(form.format === 'json' && !constrained && { constraint: { type: 'json_object', at: 'format' } }),
        ...(candidates > 1 && { n: candidates }),
      },
    },
    shape: { form, candidates, ...(limit !== undefined && { readingLimit: limit }) },
  };
}

const isJson = ({ parameters }: Wish): boolean => /^json_/.test(parameters.constraint?.type ?? '');

const defined = <T extends object>(values: T): Partial<T> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;

/** The messages with instructions, if there are any, at the end of what the system says. */
export function instructed(messages: ChatMessages, instructions: string): ChatMessages {
  if (!instructions) return messages;
  const [first, ...others] = messages;
  return first.role === 'system'
    ? [{ ...first, content: `${first.content}\n\n${instructions}` }, ...others]
    : [{ role: 'system', content: instructions }, ...messages];
}
