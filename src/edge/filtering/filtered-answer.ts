/** An answer by the site's policy: prompts of tokens before it, its events behind it, and what was done told with it. */
import type { GenerationEvent } from '../../api/events.ts';
import { type EdgeContext, serviceAccess } from '../context.ts';
import { type Answer, answer, type Wish } from '../placement.ts';
import { filterAnswer } from './filter-answer.ts';
import type { RequestFilter } from './request-filter.ts';
import { restoreAnswer } from './restore-answer.ts';
import { filterTokens } from './token-prompts.ts';

export interface FilteredWish extends Wish {
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
  { restore, kept, ...wish }: FilteredWish,
  signal: AbortSignal,
): Promise<Answer> {
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
  if (!filter.acts.input && !filter.acts.output) return begun;
  const form = {
    choices: parameters.n ?? 1,
    json: /^json_/.test(parameters.constraint?.type ?? ''),
    calls: 'messages' in input && input.tools !== undefined,
    traced: wish.trace !== undefined,
  };
  let { events } = begun;
  if (filter.acts.output) events = filterAnswer(events, filter, form);
  if (restore) events = restoreAnswer(events, filter.placeholders, form.json, kept);
  return { ...begun, events: reported(events, filter) };
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
