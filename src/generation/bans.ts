/** Tokens that must not be taken: their logits become -Infinity, in place on `[vocab]`. */

/** Leaves these tokens alone. */
export function allowOnly(logits: Float32Array, allowed: ReadonlySet<number>): void {
  for (let id = 0; id < logits.length; id++) if (!allowed.has(id)) logits[id] = -Infinity;
}

/** Bans single tokens. */
export function ban(logits: Float32Array, ids: Iterable<number>): void {
  for (const id of ids) if (id < logits.length) logits[id] = -Infinity;
}

/**
 * Token sequences of texts that must not be written: as each begins a text, and as it goes on behind a space.
 * @param encode a text's tokens, without marks around it
 */
export function badSequences(words: readonly string[], encode: (text: string) => number[]): number[][] {
  const sequences = words.flatMap((word) => [encode(word), encode(` ${word}`)]);
  const seen = new Set<string>();
  return sequences.filter(
    (tokens) => tokens.length > 0 && !seen.has(tokens.join()) && seen.add(tokens.join()),
  );
}

/** Bans the last token of each sequence whose other tokens stand at the end of what was written. */
export function banSequences(
  logits: Float32Array,
  written: readonly number[],
  sequences: readonly (readonly number[])[],
): void {
  for (const sequence of sequences) {
    const before = sequence.length - 1;
    if (before > written.length) continue;
    const from = written.length - before;
    if (sequence.slice(0, before).every((token, i) => token === written[from + i]))
      logits[sequence[before]] = -Infinity;
  }
}
