/** What is computed in one turn. */
import { firstServed, todo, type Work } from './work.ts';

/** A sequence, and how many of its next tokens are computed. */
export interface Share {
  work: Work;
  tokens: number;
}

/**
 * Every sequence that needs one token more gets it. What the limit leaves goes to prompts, a piece of one after a piece
 * of another, so that none waits for all of a long one: the more urgent first, then who was served longest ago.
 * @param promptTokens how many tokens of prompts may be computed beside so many single tokens
 */
export function planTurn(admitted: Iterable<Work>, promptTokens: (beside: number) => number): Share[] {
  const ready = [...admitted]
    .filter((work) => work.waiter && todo(work) > 0)
    .sort((a, b) => a.priority - b.priority || a.served - b.served || firstServed(a, b));
  const plan = ready.filter((work) => todo(work) === 1).map((work) => ({ work, tokens: 1 }));
  let left = promptTokens(plan.length);
  for (const work of ready.filter((work) => todo(work) > 1)) {
    if (left === 0) break;
    const tokens = Math.min(todo(work), left);
    plan.push({ work, tokens });
    left -= tokens;
  }
  return plan;
}
