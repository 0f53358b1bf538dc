/**
 * DRY (p-e-w, 2024, as llama.cpp and text-generation-webui have it): a token that would go on with a repetition is held
 * back, the longer the repetition the more.
 */

export interface DryOptions {
  multiplier: number;
  base: number;
  /** Repetitions of up to so many tokens cost nothing. */
  allowedLength: number;
  /** How many of the last tokens are looked at; -1 takes all. */
  lastN: number;
  /** Whether repetitions are not followed across a token. */
  breaks: (token: number) => boolean;
}

/** The longest repetition whose length counts: the penalty is beyond any logit by then. */
const LONGEST = 50;

/**
 * Subtracts multiplier · base^(length - allowedLength) from the logit of each token that once stood behind the longest
 * `length` of tokens that also stand at the end now.
 */
export function applyDry(logits: Float32Array, tokens: readonly number[], options: DryOptions): void {
  const { multiplier, base, allowedLength, lastN, breaks } = options;
  const recent = lastN < 0 ? tokens : lastN === 0 ? [] : tokens.slice(-lastN);
  for (const [token, length] of repetitions(recent, breaks)) {
    if (length < allowedLength) continue;
    logits[token] -= multiplier * base ** (length - allowedLength);
  }
}

/** For each token that would go on with a repetition, the length of the longest one that it would go on with. */
export function repetitions(
  tokens: readonly number[],
  breaks: (token: number) => boolean,
): Map<number, number> {
  const found = new Map<number, number>();
  const last = tokens.length - 1;
  if (last < 0 || breaks(tokens[last])) return found;
  for (let end = last - 1; end >= 0; end--) {
    if (tokens[end] !== tokens[last]) continue;
    let length = 1;
    while (
      length < LONGEST &&
      end - length >= 0 &&
      tokens[end - length] === tokens[last - length] &&
      !breaks(tokens[end - length])
    )
      length++;
    const next = tokens[end + 1];
    if (length > (found.get(next) ?? 0)) found.set(next, length);
  }
  return found;
}
