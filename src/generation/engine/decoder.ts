/** What a scheduler asks of a graph with a cache: steps of many sequences at once, each at a place of its own. */

/** The keys and values of one sequence; they belong to the decoder that opened it. */
export interface Sequence {
  /** Tokens whose keys and values it holds. */
  readonly length: number;
}

/** What one sequence does in a step. */
export interface StepRow {
  sequence: Sequence;
  /** The tokens that follow, one or more. */
  tokens: readonly number[];
  /** After how many of the last of them the logits are wanted; 0 for the beginning of a prompt. */
  logits: number;
}

/** Keys and values of some positions, taken out of a sequence. They hold for the same tokens at the same positions alone. */
export interface CacheRows {
  /** The first position. */
  readonly from: number;
  /** How many positions. */
  readonly count: number;
  /** What they take of memory. */
  readonly bytes: number;
}

export interface Decoder {
  /** Bytes that the keys and values of one token take. */
  readonly bytesPerToken: number;
  /** An empty sequence. */
  open(): Sequence;
  /**
   * Takes the tokens of each row; gives for each row the logits that were wanted, each `[vocab]`, in order. A sequence
   * stands in at most one row. The logits of a sequence are bit by bit the same whatever other rows are in the step and
   * however its tokens are cut into steps.
   * @throws Error if the graph fails; the sequences of the step are then as they were before it
   */
  step(rows: readonly StepRow[]): Promise<Float32Array[][]>;
  /** Forgets the positions from `length` on. */
  truncate(sequence: Sequence, length: number): void;
  /** Copies positions `from` up to `to` out of a sequence. */
  read(sequence: Sequence, from: number, to: number): CacheRows;
  /** Appends rows that were read. @throws Error unless they begin where the sequence ends */
  append(sequence: Sequence, rows: CacheRows): void;
  /** Frees a sequence. */
  close(sequence: Sequence): void;
}
