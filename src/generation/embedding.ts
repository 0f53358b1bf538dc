/** Texts as vectors: the mean of what a decoder's layers make of the tokens, at length 1. */
import type { Tensor } from 'onnxruntime-common';
import { floats, graphInputs } from './graph-io.ts';
import { macrotask } from './macrotask.ts';
import type { TextModel } from './model.ts';
import { InvalidInputError } from './parameters.ts';

/** Tokens computed at once at most, padding included, unless one input alone is longer. */
const BATCH_TOKENS = 2048;

export interface Embedding {
  /** Which of the inputs. */
  index: number;
  /** The length of the vector is 1, so that the product of two is their cosine. */
  vector: Float32Array;
}

/**
 * The vectors of token sequences, in batches of about one length; the order is that of the lengths. Positions behind
 * a shorter sequence are masked and, the attention being causal, are seen by none of its tokens: the vector is the
 * same in any batch but for the rounding of float32.
 *
 * @param sequences each with at least one token, and no more than the model's context
 * @throws InvalidInputError if the model's graph does not give its hidden states, or `dimensions` is not their width
 */
export async function* embed(
  model: TextModel,
  sequences: readonly (readonly number[])[],
  dimensions?: number,
  signal?: AbortSignal,
): AsyncGenerator<Embedding> {
  if (!model.session.outputNames.includes('last_hidden_state')) {
    throw new InvalidInputError(
      `The model ${model.id} gives no embeddings: its graph has no output last_hidden_state.`,
      { param: 'model', code: 'model_not_supported' },
    );
  }
  for (const batch of batches(sequences, Math.min(model.contextLength, BATCH_TOKENS))) {
    await macrotask();
    signal?.throwIfAborted();
    const rows = batch.map((index) => sequences[index]);
    const states = await hiddenStates(model, rows);
    const width = states.dims.at(-1)!;
    if (dimensions !== undefined && dimensions !== width) {
      throw new InvalidInputError(
        `dimensions is not right: the vectors of ${model.id} have ${width} numbers, and fewer would not say the same.`,
        { param: 'dimensions', code: 'unsupported_value' },
      );
    }
    const numbers = floats(states);
    const stride = numbers.length / rows.length;
    for (const [row, index] of batch.entries()) {
      yield { index, vector: pooled(numbers.subarray(row * stride), rows[row].length, width) };
    }
  }
}

/** Sequences, longest first, in batches of at most so many places. */
function batches(sequences: readonly (readonly number[])[], places: number): number[][] {
  const order = sequences.map((_, index) => index);
  order.sort((a, b) => sequences[b].length - sequences[a].length);
  const all: number[][] = [];
  for (let at = 0; at < order.length; ) {
    const rows = Math.max(1, Math.floor(places / sequences[order[at]].length));
    all.push(order.slice(at, at + rows));
    at += rows;
  }
  return all;
}

/** The hidden states of a batch, `[rows, longest, width]`. */
async function hiddenStates(model: TextModel, rows: readonly (readonly number[])[]): Promise<Tensor> {
  const feeds = graphInputs(model)({ rows });
  return (await model.session.run(feeds, ['last_hidden_state'])).last_hidden_state;
}

/** The mean of the first states, divided by its length. */
function pooled(states: Float32Array, count: number, width: number): Float32Array {
  const sum = new Float64Array(width);
  for (let i = 0; i < count * width; i++) sum[i % width] += states[i];
  const length = Math.hypot(...sum);
  return Float32Array.from(sum, (value) => (length > 0 ? value / length : 0));
}
