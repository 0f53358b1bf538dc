/** What several callers at once do, whichever engine writes for them, and what is made of their times. */

/** How tokens are drawn, in both engines. */
export const drawing = { temperature: 0.8, top_k: 40, top_p: 0.95 };

/** A prompt like no other. */
export const promptOf = (length: number, seed: number, vocabulary: number): number[] =>
  Array.from({ length }, (_, i) => ((i + 1) * 7919 + seed * 104_729) % vocabulary);

/** Tokens a second from the first token of the last caller to the last token of the first. @param times of each caller's tokens, in milliseconds */
export function rateOf(times: readonly (readonly number[])[]): number {
  const from = Math.max(...times.map(([first]) => first));
  const to = Math.min(...times.map((each) => each.at(-1)!));
  const count = times.flat().filter((time) => time > from && time <= to).length;
  return (1000 * count) / (to - from);
}

export const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))];
