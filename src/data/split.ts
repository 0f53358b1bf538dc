/** Which documents are held out: whole groups of related ones, so that none has a near-duplicate in training. */
import { mix } from './random.ts';

/**
 * Draws groups in an order that the seed decides, until the wanted share of documents is held out. At least one
 * document is held out where there are two groups or more, and at least one is left for training.
 *
 * @param groups for each kept document the number of its group
 * @param share of documents to hold out, from 0 up to 1
 * @returns the numbers of the groups held out
 */
export function holdOut(groups: readonly number[], share: number, seed: number): Set<number> {
  const sizes = new Map<number, number>();
  for (const group of groups) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  const held = new Set<number>();
  if (share === 0 || sizes.size < 2) return held;
  const wanted = Math.max(1, Math.round(share * groups.length));
  const key = mix(seed);
  const drawn = [...sizes].sort(([a], [b]) => mix(a + key) - mix(b + key) || a - b);
  let count = 0;
  for (const [group, size] of drawn) {
    if (count + size > wanted || held.size + 1 === sizes.size) continue;
    held.add(group);
    count += size;
  }
  // Every group is larger than what is wanted: the smallest one it is.
  if (count === 0) held.add(drawn.reduce((least, next) => (next[1] < least[1] ? next : least))[0]);
  return held;
}
