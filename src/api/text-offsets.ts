/** Where tokens stand in a text that is written beside them. */

/** Units of UTF-16 that one character may take. */
const LONGEST_CHARACTER = 2;

/**
 * Follows one text. What it returns takes a further piece of the text and the tokens told with it, and gives where each
 * token begins in the whole. A piece may lag behind its tokens, as it does while an ending is held back; a special token
 * is not written, and a part of a character stands where the whole one does.
 */
export function followText(): (piece: string, tokens: readonly string[]) => number[] {
  /** The text from `at` on, as far as it is there. */
  let ahead = '';
  let at = 0;
  /** Characters of tokens that are told and not yet written. */
  let owed = 0;
  function pass(characters: number): void {
    at += characters;
    owed += Math.max(0, characters - ahead.length);
    ahead = ahead.slice(characters);
  }
  return (piece, tokens) => {
    ahead += piece.slice(owed);
    owed = Math.max(0, owed - piece.length);
    return tokens.map((token) => {
      const lags = token.startsWith(ahead) && !token.includes('\ufffd');
      const found = lags ? 0 : ahead.indexOf(token);
      if (found < 0 || found > LONGEST_CHARACTER) return at;
      pass(found);
      const start = at;
      pass(token.length);
      return start;
    });
  };
}
