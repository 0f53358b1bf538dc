/** A sequence as the engine knows it: the tokens it was given, and how far they are computed. */
import type { Sequence } from './decoder.ts';
import type { Speculation } from './speculation.ts';

export interface Work {
  /** Whose cache of beginnings it may use. */
  readonly salt: string;
  /** Smaller is served first. */
  readonly priority: number;
  /** Its place in the order of coming. */
  readonly order: number;
  readonly speculation?: Speculation;
  /** All tokens that it was given. */
  readonly tokens: number[];
  /** How many of them were given first, in one step. */
  promptLength: number;
  /** Tokens that were proposed and computed beyond its own, and the logits after each. */
  readonly ahead: { tokens: number[]; logits: Float32Array[] };
  /** After how many of its last tokens the logits are wanted. */
  wanted: number;
  /** The first of these, as far as they are there. */
  logits: Float32Array[];
  /** Keys and values; undefined while it stands in line. */
  rows?: Sequence;
  /** How many of these are right for its tokens and those ahead. */
  computed: number;
  /** Tokens of the prompt that were found in the cache when it was first let in. */
  cached?: number;
  /** Whether its prompt was computed, and kept for others. */
  shared: boolean;
  /** The turn in which it was served last. */
  served: number;
  /** Whoever waits for the logits. */
  waiter?: { resolve: (logits: Float32Array[]) => void; reject: (error: unknown) => void };
}

/** Tokens that are still to be computed. */
export const todo = ({ tokens, computed }: Work): number => Math.max(0, tokens.length - computed);

/** Tokens for which it takes room, those to be computed included. */
export const size = ({ tokens, ahead }: Work): number => tokens.length + ahead.tokens.length;

/** Whom the engine serves first: the more urgent, then who came first. */
export const firstServed = (a: Work, b: Work): number => a.priority - b.priority || a.order - b.order;

/** What was proposed is no longer what follows. */
export function dropAhead(work: Work): void {
  work.computed = Math.min(work.computed, work.tokens.length);
  work.ahead.tokens.length = 0;
  work.ahead.logits.length = 0;
}
