/**
 * The names by which a step's graph is known and fed. They stand apart from what makes such a graph, which reads ONNX by
 * code made while it runs: what only runs one does without that.
 */

/** The inputs that a step's graph has beside `input_ids`, `position_ids` and `past_key_values.N.key|value`. */
export const stepInputs = {
  /** bool, a scalar: whether every row has one token. */
  oneToken: 'one_token',
  /** `[batch, 1, seq, 1 + keys]`: 0 where a query may look, -Infinity where not; its own key is first. */
  bias: 'attention_bias',
  /** int64 `[1]`: how many keys are read, the first positions of the cache; with one token all of them. */
  keys: 'attention_keys',
  /** int64 `[batch, kv_heads, seq, 1]`: the position of each token; many tokens only. */
  own: 'own_positions',
  /** int64 `[batch, kv_heads, seq, 3]`: row, head and position where each new key goes; many tokens only. */
  places: 'key_places',
  /** int64 `[batch, kv_heads * columns, seq, 3]`: row, column and position where each new value goes; many tokens only. */
  valuePlaces: 'value_places',
  /** int64 `[rows]`: after which tokens logits are wanted, counted through all rows of the batch. */
  rows: 'logit_rows',
} as const;

/** The output with the new keys or values, in the order of an input of the cache. */
export const newRows = (input: string): string => input.replace(/^past_key_values/, 'new_key_values');

/** Whether a graph with such inputs was made by `toStepGraph` (see step-graph.ts). */
export const isStepGraph = (inputs: readonly string[]): boolean => inputs.includes(stepInputs.rows);
