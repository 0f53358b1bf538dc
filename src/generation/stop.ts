/** Stop strings in text that comes piece by piece. */

export interface StopMatcher {
  /** Takes the next piece; returns what can be shown by now, and whether a stop string has been found. */
  push(text: string): { text: string; stopped: boolean };
  /** What was held back, at the end of the text. */
  end(): { text: string; stopped: boolean };
}

/**
 * Holds back the longest end of the text that may still become a stop string, and no more. The text before the first
 * stop string comes out, however it is cut into pieces; where two begin at one place, the result is the same.
 */
export function createStopMatcher(stops: readonly string[]): StopMatcher {
  let held = '';
  return {
    push(piece) {
      if (stops.length === 0) return { text: piece, stopped: false };
      const text = held + piece;
      const found = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
      // A longer stop string may have begun before the one that is whole already.
      const pending = firstPending(text, stops);
      if (found.length > 0) {
        const first = Math.min(...found);
        if (pending >= first) {
          held = '';
          return { text: text.slice(0, first), stopped: true };
        }
      }
      held = text.slice(pending);
      return { text: text.slice(0, pending), stopped: false };
    },
    end() {
      const rest = held;
      held = '';
      // What was held back for a longer stop string may hold a whole shorter one.
      const found = stops.map((stop) => rest.indexOf(stop)).filter((at) => at >= 0);
      return found.length > 0
        ? { text: rest.slice(0, Math.min(...found)), stopped: true }
        : { text: rest, stopped: false };
    },
  };
}

/** The first place from which the rest of the text is the beginning of one of these, the text's length if none. */
export function firstPending(text: string, stops: readonly string[]): number {
  const longest = Math.max(...stops.map((stop) => stop.length));
  for (let at = Math.max(0, text.length - longest + 1); at < text.length; at++) {
    const rest = text.slice(at);
    if (stops.some((stop) => stop.length > rest.length && stop.startsWith(rest))) return at;
  }
  return text.length;
}
