/** How likely tokens were: what the model itself says, before anything is done to its logits. */
import { allCandidates, keepTopK } from './candidates.ts';
import type { TextTokenizer } from './text-tokenizer.ts';

/** A token, and how likely it was. */
export interface TokenLikelihood {
  id: number;
  /** What it stands for by itself; a part of a character is U+FFFD here. */
  text: string;
  bytes: number[];
  /** The natural logarithm of its probability; null for a first token, which nothing stands before. */
  logprob: number | null;
}

export interface TokenLogprob extends TokenLikelihood {
  /** The likeliest tokens at its place, the likeliest first. */
  top: TokenLikelihood[];
}

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** What a token stands for by itself; a part of a character is U+FFFD. */
export const tokenText = (tokenizer: TextTokenizer, id: number): string => utf8.decode(tokenizer.bytesOf(id));

/** @param logits `[vocab]` at the token's place; undefined where nothing stands before it */
export function tokenLogprob(
  tokenizer: TextTokenizer,
  id: number,
  logits: Float32Array | undefined,
  top: number,
): TokenLogprob {
  const described = (token: number, logprob: number | null): TokenLikelihood => {
    const bytes = tokenizer.bytesOf(token);
    return { id: token, text: utf8.decode(bytes), bytes: [...bytes], logprob };
  };
  if (!logits) return { ...described(id, null), top: [] };
  const total = logSumExp(logits);
  // A number below all others stands for -Infinity, which JSON does not know.
  const logprobOf = (token: number) => Math.max(logits[token] - total, -9999);
  return {
    ...described(id, logprobOf(id)),
    top: likeliest().map((token) => described(token, logprobOf(token))),
  };

  function likeliest(): number[] {
    if (top === 0) return [];
    const candidates = allCandidates(logits!);
    keepTopK(candidates, top);
    return [...candidates.ids.subarray(0, candidates.count)];
  }
}

function logSumExp(values: Float32Array): number {
  let largest = -Infinity;
  for (const value of values) if (value > largest) largest = value;
  let sum = 0;
  for (const value of values) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}
