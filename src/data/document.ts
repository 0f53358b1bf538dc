/** A piece of clean text, as it stands in train.jsonl and validation.jsonl. */
export interface CleanDocument {
  id: string;
  /** The file it came from. */
  source: string;
  /** What was asked for, where the text is an answer. */
  instruction?: string;
  text: string;
}
