/** Words that look like those of a list and are none of them: letter by letter, as the list's words go on (Shannon, 1948). */

/** Letters that are looked back at. */
const ORDER = 3;
/** What stands before a word and behind it. */
const EDGE = '\0';
/** Letters of a made-up word at most, and tries to make one that is new. */
const LONGEST = 14;
const TRIES = 8;

/** @returns what makes a word, or gives one of the list where it makes none that is new and of a fit length */
export function createMadeUp(words: readonly string[]): (random: () => number) => string {
  const known = new Set(words);
  const after = new Map<string, string[]>();
  for (const word of words) {
    const whole = `${EDGE.repeat(ORDER)}${word}${EDGE}`;
    for (let i = ORDER; i < whole.length; i++) {
      const before = whole.slice(i - ORDER, i);
      const letters = after.get(before) ?? [];
      if (letters.length === 0) after.set(before, letters);
      letters.push(whole[i]);
    }
  }
  const pick = <T>(from: readonly T[], random: () => number) => from[Math.floor(random() * from.length)];
  return (random) => {
    for (let tries = 0; tries < TRIES; tries++) {
      let word = EDGE.repeat(ORDER);
      while (!word.endsWith(EDGE) || word.length === ORDER) {
        word += pick(after.get(word.slice(-ORDER))!, random);
        if (word.length > ORDER + LONGEST) break;
      }
      const made = word.slice(ORDER, -1);
      if (word.endsWith(EDGE) && made.length > 2 && !known.has(made)) return made;
    }
    return pick(words, random);
  };
}
