/** Placeholders that stand for values in one conversation, and the values put back where they stand. */
import { openPattern } from './open-match.ts';

export interface Placeholders {
  /** The placeholder of a value: the same for the same value, however it is written. */
  of(type: string, value: string, original: string): string;
  /** What a placeholder stands for; undefined if it stands for nothing. */
  original(placeholder: string): string | undefined;
  /** Leaves to what they stand for the placeholders that a text has from before, and whose values are not known here. */
  reserve(text: string): void;
}

export function createPlaceholders(): Placeholders {
  const placeholders = new Map<string, string>();
  const originals = new Map<string, string>();
  const counts = new Map<string, number>();
  return {
    of(type, value, original) {
      const known = `${type} ${value.includes('@') ? value.toLowerCase() : value.replace(/[\s.\-/()]/g, '')}`;
      let placeholder = placeholders.get(known);
      if (!placeholder) {
        const count = (counts.get(type) ?? 0) + 1;
        counts.set(type, count);
        placeholder = `[${type.toUpperCase()}_${count}]`;
        placeholders.set(known, placeholder);
        originals.set(placeholder, original);
      }
      return placeholder;
    },
    original: (placeholder) => originals.get(placeholder),
    reserve(text) {
      for (const [, name, number] of text.matchAll(numbered)) {
        const type = name.toLowerCase();
        counts.set(type, Math.max(counts.get(type) ?? 0, Number(number)));
      }
    },
  };
}

const pattern = /\[[A-Z][A-Z_]{0,40}_\d{1,9}\]/g;
const numbered = /\[([A-Z][A-Z_]{0,40})_(\d{1,9})\]/g;
const open = openPattern(pattern);

export interface RestoreStream {
  push(text: string): string;
  end(): string;
}

/**
 * Puts values back into a text that comes in pieces. It holds back no more than the beginning of a placeholder.
 * @param written how a value is written in the text; as it is, where nothing is said
 */
export function createRestoreStream(
  placeholders: Placeholders,
  written = (value: string): string => value,
): RestoreStream {
  let waiting = '';
  const restored = (text: string) =>
    text.replace(pattern, (found) => {
      const value = placeholders.original(found);
      return value === undefined ? found : written(value);
    });
  return {
    push(text) {
      const all = waiting + text;
      open.lastIndex = 0;
      const from = open.exec(all)?.index ?? all.length;
      waiting = all.slice(from);
      return restored(all.slice(0, from));
    },
    end() {
      const rest = restored(waiting);
      waiting = '';
      return rest;
    },
  };
}
