/** How large a constraint may be. */
import { refusal } from './schema-keywords.ts';

/** Values, values in one another, and characters of names and texts. */
const VALUES = 20_000;
const DEPTH = 64;
const CHARACTERS = 200_000;

/**
 * Checks that a value is small enough for whatever reads it.
 * @throws InvalidInputError
 */
export function checkSize(root: unknown, at: string): void {
  const waiting = [{ value: root, depth: 0 }];
  let [count, characters] = [0, 0];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    if (typeof next.value === 'string') characters += next.value.length;
    if (++count > VALUES) throw refusal(at, `is too large: it holds more than ${VALUES} values`);
    if (characters > CHARACTERS) throw refusal(at, `is too large: it has more than ${CHARACTERS} characters`);
    if (next.depth > DEPTH) throw refusal(at, `is too deep: more than ${DEPTH} values stand in one another`);
    if (typeof next.value !== 'object' || next.value === null) continue;
    for (const [name, value] of Object.entries(next.value)) {
      characters += name.length;
      waiting.push({ value, depth: next.depth + 1 });
    }
  }
}
