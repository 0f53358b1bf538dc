/** Whether a decoder keeps its promise on a graph and a processor: the same bits alone, in company, and in any cut. */
import type { Decoder } from './decoder.ts';

/** An odd number, so that what is left over behind whole vectors of a processor is computed, too. */
const LENGTH = 11;

/** Takes a few tokens one by one, and the same at once beside another sequence. */
export async function givesSameBits(decoder: Decoder): Promise<boolean> {
  const tokens = Array.from({ length: LENGTH }, (_, i) => (i * 7 + 3) % (LENGTH + 2));
  const [alone, whole, other] = [decoder.open(), decoder.open(), decoder.open()];
  try {
    const single: Float32Array[] = [];
    for (const token of tokens)
      single.push(...(await decoder.step([{ sequence: alone, tokens: [token], logits: 1 }]))[0]);
    const [together] = await decoder.step([
      { sequence: whole, tokens, logits: LENGTH },
      { sequence: other, tokens: tokens.toReversed(), logits: 0 },
    ]);
    return together.every((row, i) => row.every((value, j) => Object.is(value, single[i][j])));
  } finally {
    for (const sequence of [alone, whole, other]) decoder.close(sequence);
  }
}
