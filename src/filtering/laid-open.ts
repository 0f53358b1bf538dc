/** What a text says where it hides words from whoever reads letters alone. */
import { type Carrier, carriers, rightToLeft } from './carriers.ts';
import { holds } from './detector.ts';

/** Those that hide words, not only digits or addresses, from words' spellings. */
const hiding: readonly Carrier[] = [
  rightToLeft,
  ...carriers.filter(({ name }) => name === 'escapes' || name === 'base64'),
];

/**
 * A text in which escapes, Base64 and overridden directions are read, one in another, too; a text that hides nothing is
 * given back as it is.
 */
export function laidOpen(text: string): string {
  let open = text;
  for (let depth = 0; depth < DEEPEST; depth++) {
    const before = open;
    for (const { hint, pattern, decode } of hiding)
      if (holds(open, hint)) open = open.replace(pattern, (stretch) => decode(stretch)?.text ?? stretch);
    if (open === before) break;
  }
  return open;
}

/** How often what was hidden may hide something itself. */
const DEEPEST = 3;
