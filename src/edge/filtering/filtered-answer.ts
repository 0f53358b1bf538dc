/** An answer by the site's policy: prompts of tokens before it, its events behind it, and what was done told with it. */
import type { GenerationEvent } from '../../api/events.ts';
import type { AnswerForm } from '../../filtering/form/answer-form.ts';
import { type EdgeContext, serviceAccess } from '../context.ts';
import { askInForm } from '../form/ask.ts';
import { shapeAnswer } from '../form/shape-answer.ts';
import { type Answer, answer, type Wish } from '../placement.ts';
import { filterAnswer } from './filter-answer.ts';
import type { RequestFilter } from './request-filter.ts';
import { restoreAnswer } from './restore-answer.ts';
import { sitePolicy } from './site-policy.ts';
import { filterTokens } from './token-prompts.ts';

export interface FilteredWish extends Wish {
  /** In which form it is asked for, and whether it is sent when it is whole. */
  form: AnswerForm;
  whole: boolean;
  /** Whether what placeholders stand for is put back. */
  restore: boolean;
  /** Gets the texts of the answer as they are before that. */
  kept?: string[];
}

/**
 * Begins an answer to a wish whose texts have been filtered.
 * @throws Failure as `answer` does, and 400 if a prompt of tokens is refused
 */
export async function filteredAnswer(
  c: EdgeContext,
  filter: RequestFilter,
  { restore, kept, form: asked, whole, ...given }: FilteredWish,
  signal: AbortSignal,
): Promise<Answer> {
  const { wish, shape } = askInForm(given, asked, sitePolicy(c.env).policy.answers, whole);
  const { input, parameters } = wish;
  const begun = await answer(
    'tokens' in input
      ? {
          ...wish,
          input: { ...input, tokens: await filterTokens(c, filter, wish, input.tokens, 'prompt', signal) },
        }
      : wish,
    serviceAccess(c),
    signal,
  );
  const shaped = (events: Answer['events']) => ({ ...begun, events: shapeAnswer(events, shape) });
  if (!filter.acts.input && !filter.acts.output) return shaped(begun.events);
  const form = {
    choices: parameters.n ?? 1,
    json: /^json_/.test(parameters.constraint?.type ?? ''),
    calls: 'messages' in input && input.tools !== undefined,
    traced: wish.trace !== undefined,
  };
  let { events } = begun;
  if (filter.acts.output) events = filterAnswer(events, filter, form);
  if (restore) events = restoreAnswer(events, filter.placeholders, form.json, kept);
  return shaped(reported(events, filter));
}

async function* reported(
  events: AsyncGenerator<GenerationEvent>,
  filter: RequestFilter,
): AsyncGenerator<GenerationEvent> {
  for await (const event of events) {
    if (event.type !== 'end' && event.type !== 'done') {
      yield event;
      continue;
    }
    const filtered = filter.told();
    const own = filtered.length > 0 && { filtered };
    if (event.type === 'end') yield { ...event, ...own };
    else {
      const trace = event.trace && { trace: { ...event.trace, filters: filter.traced() } };
      yield { ...event, ...own, ...trace };
    }
  }
}
