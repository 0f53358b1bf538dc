/** What a turn of the engine costs, learnt from those that were: so much in any case, and so much for each token. */

export interface TurnCost {
  /** Takes in a turn: tokens that were computed in it, and its milliseconds. */
  learn(tokens: number, milliseconds: number): void;
  /** Milliseconds that a turn of so many tokens takes. */
  of(tokens: number): number;
  /** Milliseconds that one token more takes. */
  readonly perToken: number;
}

/** How much an older turn counts beside the next. */
const FADING = 0.98;

/** A straight line through the turns by least squares, older ones counting less. */
export function createTurnCost(): TurnCost {
  // Sums over turns: of 1, of tokens, of milliseconds, of tokens squared, of their product.
  let [n, x, y, xx, xy] = [0, 0, 0, 0, 0];
  const slope = (): number => {
    const spread = n * xx - x * x;
    // Turns of one size alone do not say what a token costs: then all of it.
    return spread > 1e-6 * n * xx ? Math.min(y / x, Math.max(0, (n * xy - x * y) / spread)) : y / x;
  };
  return {
    learn(tokens, milliseconds) {
      n = n * FADING + 1;
      x = x * FADING + tokens;
      y = y * FADING + milliseconds;
      xx = xx * FADING + tokens ** 2;
      xy = xy * FADING + tokens * milliseconds;
    },
    of: (tokens) => (n === 0 ? 0 : Math.max(0, y / n + slope() * (tokens - x / n))),
    get perToken() {
      return n === 0 ? 0 : slope();
    },
  };
}
