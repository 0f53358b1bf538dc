/**
 * A bounded number of things at a time, and a bounded line of those who wait for their turn.
 *
 * In a Worker one request cannot rely on another: a promise that only another request resolves counts as hung, and a
 * request that the runtime ends (for its use of CPU, say) runs no `finally`. So those in line look for themselves
 * whether it is their turn, and who does not give a sign of life loses the place.
 */

export interface Slot {
  /** Gives a sign of life. */
  renew(): void;
  /** Gives the slot back. Twice does no harm. */
  release(): void;
}

export interface Slots {
  /** How many hold a slot. */
  readonly taken: number;
  /** How many stand in line. */
  readonly waiting: number;
  /**
   * Takes a slot, waiting for one in turn. Undefined if the line is full.
   * @throws the signal's reason if it aborts first
   */
  take(signal: AbortSignal): Promise<Slot | undefined>;
}

/** Milliseconds between two looks of those in line, and without a look after which a place in it is lost. */
const glance = 20;
const lineLife = 2_000;

/**
 * @param limits `places`: how many at a time; `line`: how many may wait; `life`: milliseconds without a sign of life
 * after which a slot is lost
 */
export function createSlots(limits: { places: number; line: number; life: number }): Slots {
  /** Each with the time of its last sign of life. */
  const held = new Map<object, number>();
  const waiting = new Map<object, number>();

  const forget = (): void => {
    const now = Date.now();
    for (const [slot, seen] of held) if (now - seen > limits.life) held.delete(slot);
    for (const [place, seen] of waiting) if (now - seen > lineLife) waiting.delete(place);
  };

  const hold = (): Slot => {
    const slot: Slot = {
      renew: () => void (held.has(slot) && held.set(slot, Date.now())),
      release: () => void held.delete(slot),
    };
    held.set(slot, Date.now());
    return slot;
  };

  const isTurnOf = (place: object): boolean => {
    const [first = place] = waiting.keys();
    return held.size < limits.places && first === place;
  };

  return {
    get taken() {
      return held.size;
    },
    get waiting() {
      return waiting.size;
    },
    async take(signal) {
      const place = {};
      try {
        for (;;) {
          signal.throwIfAborted();
          forget();
          if (isTurnOf(place)) return hold();
          if (!waiting.has(place) && waiting.size >= limits.line) return undefined;
          waiting.set(place, Date.now());
          await new Promise((resolve) => setTimeout(resolve, glance));
        }
      } finally {
        waiting.delete(place);
      }
    },
  };
}
