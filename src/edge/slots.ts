/** A bounded number of things at a time, and a bounded line of those who wait for their turn. */

export interface Slots {
  /** How many hold a slot. */
  readonly taken: number;
  /** How many stand in line. */
  readonly waiting: number;
  /**
   * Takes a slot, waiting for one in turn.
   * @returns what gives the slot back (twice does no harm), or undefined if the line is full
   * @throws the signal's reason if it aborts first
   */
  take(signal: AbortSignal): Promise<(() => void) | undefined>;
}

/** @param places how many at a time · @param line how many may wait */
export function createSlots(places: number, line: number): Slots {
  let taken = 0;
  const waiting = new Set<() => void>();

  const hand = (): (() => void) => {
    taken++;
    let given = false;
    return () => {
      if (given) return;
      given = true;
      taken--;
      const [next] = waiting;
      next?.();
    };
  };

  return {
    get taken() {
      return taken;
    },
    get waiting() {
      return waiting.size;
    },
    async take(signal) {
      signal.throwIfAborted();
      if (taken < places) return hand();
      if (waiting.size >= line) return undefined;
      return new Promise((resolve, reject) => {
        const leave = () => {
          waiting.delete(enter);
          reject(signal.reason);
        };
        const enter = () => {
          waiting.delete(enter);
          signal.removeEventListener('abort', leave);
          resolve(hand());
        };
        waiting.add(enter);
        signal.addEventListener('abort', leave, { once: true });
      });
    },
  };
}
