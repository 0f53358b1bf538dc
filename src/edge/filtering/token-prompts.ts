/** Prompts that come as token ids: filtered as the text that they are, where the model is. */
import type { TextTask } from '../../api/tasks.ts';
import type { EdgeContext } from '../context.ts';
import { Failure } from '../failure.ts';
import type { Place } from '../placement.ts';
import { beginTask, resultsOf } from '../tasks.ts';
import { tellInput } from './filtered-body.ts';
import type { RequestFilter } from './request-filter.ts';

/**
 * The same tokens, or those of the text with what was found in it replaced.
 * @param param what in the request they are
 * @throws Failure 400 if they are refused, or one is not the model's
 */
export async function filterTokens(
  c: EdgeContext,
  filter: RequestFilter,
  place: Place,
  tokens: number[],
  param: string,
  signal: AbortSignal,
): Promise<number[]> {
  if (!filter.acts.input || tokens.length === 0) return tokens;
  const doing = async (task: TextTask) => (await beginTask(c, { ...place, task }, signal)).events;
  try {
    const [{ text }] = await resultsOf(await doing({ task: 'detokenize', tokens }), 'text');
    const filtered = await filter.checkInput(text, param);
    if (filtered === text) return tokens;
    tellInput(c, filter);
    const task = { task: 'tokenize' as const, input: { text: filtered }, special: false };
    const [told] = await resultsOf(await doing({ ...task, add_generation_prompt: false }), 'tokens');
    return told.tokens;
  } catch (thrown) {
    const { message, code = 'invalid_value', param: told } = thrown as Failure;
    if (told !== 'tokens') throw thrown;
    throw new Failure({ status: 400, code }, message, { param });
  }
}
