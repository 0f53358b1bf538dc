/**
 * Tokens that may come next are computed in the same step as the one before them, and each is taken only if the sampler
 * draws it from the logits at its place: the answer is the one that it would be without.
 */

/** Says what may follow. */
export interface Proposer {
  /** @returns at most so many tokens, none where it has no idea */
  propose(tokens: readonly number[], most: number): number[] | Promise<number[]>;
  /** Milliseconds that a proposed token takes. */
  readonly cost: number;
  close(): void;
}

/** The speculation of one sequence. */
export interface Speculation {
  readonly proposed: number;
  readonly accepted: number;
  /**
   * @param price milliseconds for a token more in a step, and of a step for each token that it gives without
   * @returns at most so many tokens; none while it does not pay
   */
  propose(
    tokens: readonly number[],
    most: number,
    price: { more: number; usual: number },
  ): Promise<readonly number[]>;
  /** A proposed token was the one that was drawn. */
  accept(): void;
  close(): void;
}

/** Proposed at once: at first, and at most. */
const [FIRST, MOST] = [4, 16];
/** How fast the share that is accepted is learnt, and how large it is thought to be before. */
const [LEARNING, HOPE] = [0.2, 0.6];
/** What does not pay is tried again after so many tokens. */
const REST = 64;

/** How far a proposer can be trusted. */
interface Trust {
  proposer: Proposer;
  rate: number;
  length: number;
  rest: number;
}

/** @param proposers the first with a proposal that pays is heard */
export function createSpeculation(proposers: readonly Proposer[]): Speculation {
  const trusts: Trust[] = proposers.map((proposer) => ({ proposer, rate: HOPE, length: FIRST, rest: 0 }));
  let last: { trust: Trust; proposed: number; accepted: number } | undefined;
  let [proposed, accepted] = [0, 0];
  return {
    get proposed() {
      return proposed;
    },
    get accepted() {
      return accepted;
    },
    async propose(tokens, most, { more, usual }) {
      learn();
      for (const trust of trusts) {
        const { proposer } = trust;
        // Of what is proposed `rate` is gained, at `usual` each; all of it costs.
        const pays = trust.rate * usual > more + proposer.cost;
        if (!pays && trust.rest-- > 0) continue;
        const found = await proposer.propose(tokens, Math.min(most, pays ? trust.length : 1));
        if (found.length === 0) continue;
        if (!pays) trust.rest = REST;
        last = { trust, proposed: found.length, accepted: 0 };
        proposed += found.length;
        return found;
      }
      return [];
    },
    accept() {
      accepted++;
      if (last) last.accepted++;
    },
    close() {
      for (const { proposer } of trusts) proposer.close();
    },
  };

  function learn(): void {
    if (!last) return;
    const { trust, proposed, accepted } = last;
    last = undefined;
    trust.rate += LEARNING * (accepted / proposed - trust.rate);
    trust.length = accepted === proposed ? Math.min(MOST, proposed * 2) : Math.max(1, accepted + 1);
  }
}

/** The tokens that followed the last time that a text went on as it does now (Saxena, 2023: prompt lookup decoding). */
export function createLookup(): Proposer {
  /** Where each run of three tokens ended last, by a number made of them; that it is the same run is checked. */
  const ends = new Map<number, number>();
  let read = 0;
  const key = (tokens: readonly number[], end: number) =>
    Math.imul(Math.imul(tokens[end - 3], 0x9e3779b1) + tokens[end - 2], 0x85ebca6b) + tokens[end - 1];
  return {
    cost: 0,
    propose(tokens, most) {
      // The run that the text ends with is learnt only when something follows it.
      for (let end = Math.max(3, read); end < tokens.length; end++) ends.set(key(tokens, end), end);
      read = tokens.length;
      const end = tokens.length < 3 ? undefined : ends.get(key(tokens, tokens.length));
      if (end === undefined || [1, 2, 3].some((i) => tokens[end - i] !== tokens[tokens.length - i]))
        return [];
      return tokens.slice(end, end + most);
    },
    close() {},
  };
}
