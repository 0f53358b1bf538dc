/** What a caller wants to be answered in (https://www.rfc-editor.org/rfc/rfc9110#name-accept). */

/**
 * Of what is offered, the type that the header names as most welcome; of several as welcome, the first that is offered.
 * Undefined where it names none of them: `*` and `image/*` say nothing of what is liked best.
 */
export function namedType<T extends string>(
  accept: string | undefined,
  offered: readonly T[],
): T | undefined {
  let best: T | undefined;
  let most = 0;
  const named = (accept ?? '')
    .toLowerCase()
    .split(',')
    .map((each) => each.trim().split(/\s*;\s*/));
  for (const type of offered) {
    const parameters = named.find(([name]) => name === type);
    const quality = Number(parameters?.find((each) => each.startsWith('q='))?.slice(2) ?? 1);
    if (parameters && quality > most) [best, most] = [type, quality];
  }
  return best;
}

/** Forms of an answer on the doors for people, besides the one that they give to whoever takes anything. */
export const otherForms = ['application/json', 'text/event-stream'] as const;
