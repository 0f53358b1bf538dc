/** Texts with what is to be found in them, as a tagger's data set holds them. */

/** Something in a text. Offsets in UTF-16 units. */
export interface TextSpan {
  start: number;
  end: number;
  type: string;
}

/** A line of `train.jsonl`, `validation.jsonl` or `test.jsonl`. */
export interface TaggedText {
  text: string;
  /** What is to be found. */
  spans: TextSpan[];
  /** Parts of which it is not known what they are. */
  unknown?: Omit<TextSpan, 'type'>[];
  /** How often it is drawn in training, relative to others. */
  weight: number;
  /** Where it is from. */
  source: string;
  /** What a probe tries a model on. */
  class?: string;
}
