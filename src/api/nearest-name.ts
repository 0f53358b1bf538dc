/** The name that was most likely meant, where one is not known. */
import { distance } from 'fastest-levenshtein';

/** Characters of a name that are looked at: nobody means more, and the work grows with their square. */
const longest = 100;

/** The known name fewest edits away, or undefined where none is near. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  if (name.length > longest) return undefined;
  let [best, edits]: [string | undefined, number] = [undefined, Math.max(2, Math.floor(name.length / 3)) + 1];
  for (const each of known) {
    const apart = distance(name.toLowerCase(), each.toLowerCase());
    if (apart < edits) [best, edits] = [each, apart];
  }
  return best;
}
