/** Learning to go on with text: windows of tokens, each asked for the one after it. */
import { countParameters, gptLoss, gptParameters } from '../architecture/gpt.ts';
import { createWindows, openDataset, type Split } from '../data/shards.ts';
import type { TextTrainingConfig } from './config.ts';
import { type InferenceSession, numberIn, Tensor } from './runtime.ts';
import type { Feeds, TrainingTask } from './task.ts';

/**
 * Opens the data and describes the task.
 * @throws Error where data and configuration do not fit
 */
export function textTask(config: TextTrainingConfig): TrainingTask {
  const { model, batch_size: batch, sequence_length: seq } = config;
  const dataset = openDataset(config.data);
  if (dataset.vocab_size > model.vocab_size) {
    throw new Error(
      `The data in ${config.data} uses ${dataset.vocab_size} tokens, the model's vocab_size is ${model.vocab_size}: make them equal.`,
    );
  }
  const validation = validationSet(dataset.split('validation'), config);
  return {
    parameters: gptParameters(model),
    // Sizes as numbers: the runtime then plans all memory before the first step.
    loss: (graph) => gptLoss(graph, model, { batch, seq }),
    batchSize: batch,
    unit: 'token',
    unitsPerExample: seq,
    // Kaplan et al., 2020: attention's products, recomputation and the optimiser are left out.
    flopsPerUnit: 6 * countParameters(model),
    bound: ['sequence_length'],
    fingerprint: dataset.fingerprint,
    batch: batches(dataset.split('train'), config),
    async evaluate(session: InferenceSession, parameters: Feeds) {
      let sum = 0;
      for (const feeds of validation.batches) {
        sum += numberIn((await session.run({ ...parameters, ...feeds })).loss);
      }
      const validation_loss = sum / validation.batches.length;
      return {
        validation_loss,
        validation_bits_per_byte: (validation_loss / Math.LN2) * validation.tokensPerByte,
      };
    },
    lossName: 'Loss (nats a token)',
  };
}

/** Windows are shuffled anew for each pass over the data. */
function batches(split: Split, config: TextTrainingConfig): (firstWindow: number) => Feeds {
  const { sequence_length: seq, batch_size: batch } = config;
  const windows = createWindows({
    tokens: split.tokens - 1,
    windowLength: seq,
    seed: config.seed,
  });
  if (windows.count < 1) {
    throw new Error(`The training split has ${split.tokens} tokens, fewer than one window of ${seq + 1}.`);
  }
  return (first) => {
    const places = Array.from({ length: batch }, (_, i) => {
      const window = first + i;
      return windows.window(Math.floor(window / windows.count), window % windows.count);
    });
    return tokenBatch(split, places, seq);
  };
}

/** Token windows `[batch, seq]` and the same windows one token later. */
function tokenBatch(split: Split, places: readonly number[], seq: number): Feeds {
  const shape = [places.length, seq];
  const inputs = new BigInt64Array(places.length * seq);
  const targets = new BigInt64Array(places.length * seq);
  for (const [row, place] of places.entries()) {
    const tokens = split.readTokens(place, seq + 1);
    for (let i = 0; i < seq; i++) {
      inputs[row * seq + i] = BigInt(tokens[i]);
      targets[row * seq + i] = BigInt(tokens[i + 1]);
    }
  }
  return {
    input_ids: new Tensor('int64', inputs, shape),
    targets: new Tensor('int64', targets, shape),
  };
}

/** A fixed set of validation batches, spread evenly over the split, and what turns nats a token into bits a byte. */
function validationSet(
  split: Split,
  config: TextTrainingConfig,
): { batches: Feeds[]; tokensPerByte: number } {
  const { sequence_length: seq, batch_size: batch, evaluation_windows } = config;
  const available = Math.floor((split.tokens - 1) / seq);
  const count = Math.floor(Math.min(available, Math.max(batch, evaluation_windows)) / batch);
  if (count < 1) {
    throw new Error(
      `The validation split has ${split.tokens} tokens, fewer than one batch of ${batch} windows of ${seq}: prepare with a larger share for validation.`,
    );
  }
  const spread = available / (count * batch);
  const place = (window: number) => Math.floor(window * spread) * seq;
  return {
    batches: Array.from({ length: count }, (_, i) =>
      tokenBatch(
        split,
        Array.from({ length: batch }, (_, j) => place(i * batch + j)),
        seq,
      ),
    ),
    tokensPerByte: split.tokens / split.bytes,
  };
}
