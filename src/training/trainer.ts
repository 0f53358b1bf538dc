/** The training loop: windows of tokens in, better parameters out, step by step. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gptParameters } from '../architecture/gpt.ts';
import { createWindows, openDataset, type Split } from '../data/shards.ts';
import { latestCheckpoint, loadCheckpoint, saveCheckpoint } from './checkpoint.ts';
import { parseTrainingConfig, type TrainingConfig } from './config.ts';
import { drawCurve } from './curve.ts';
import {
  accumulationGraph,
  evaluationGraph,
  flopsPerToken,
  optimizerStates,
  stepGraph,
  updateGraph,
} from './graphs.ts';
import { initialParameters } from './initialization.ts';
import { appendMetrics, readMetrics, type StepMetrics, trimMetrics } from './metrics.ts';
import { createSession, type InferenceSession, type Provider, Tensor } from './runtime.ts';
import { learningRateShare } from './schedule.ts';

export interface TrainingProgress extends StepMetrics {
  max_steps: number;
  /** Model operations a second, 6 per parameter and token. */
  flops_per_second: number;
  /** Mean loss over about the last fifty steps. */
  smooth_loss: number;
}

export interface TrainingResult {
  steps: number;
  tokens: number;
  loss: number;
  validation_loss: number;
  validation_bits_per_byte: number;
  checkpoint: string;
}

export interface TrainingOptions {
  provider?: Provider;
  threads?: number;
  /** A checkpoint to go on from; by default the newest in the run's folder. */
  resume?: string;
  /** Ends the run after its current step, with a checkpoint. */
  signal?: AbortSignal;
  onProgress?: (progress: TrainingProgress) => void;
  onNote?: (note: string) => void;
}

/**
 * Trains a model, from the beginning or from the last checkpoint in `config.out`.
 *
 * A run killed at any moment and started again gives the same losses, bit for bit on the same machine, provider and
 * number of threads: every number that a step depends on is in the checkpoint or computed from the configuration.
 *
 * @throws Error where the data, a checkpoint, the disk or the loss is not right; the last good checkpoint stays
 */
export async function train(json: unknown, options: TrainingOptions = {}): Promise<TrainingResult> {
  const config = parseTrainingConfig(json);
  const { onNote = () => {} } = options;
  const dataset = openDataset(config.data);
  if (dataset.vocab_size > config.model.vocab_size) {
    throw new Error(
      `The data in ${config.data} uses ${dataset.vocab_size} tokens, the model's vocab_size is ${config.model.vocab_size}: make them equal.`,
    );
  }
  const reader = batches(dataset.split('train'), config);
  const validation = validationSet(dataset.split('validation'), config);
  mkdirSync(config.out, { recursive: true });

  const from = options.resume ?? latestCheckpoint(config.out);
  let state: State;
  if (from) {
    state = resumeState(from, config, dataset.fingerprint);
    onNote(`Going on from ${from}, step ${state.step} of ${config.max_steps}.`);
  } else {
    state = { step: 0, windows: 0, tensors: initialState(config) };
  }
  trimMetrics(config.out, state.step);
  writeFileSync(join(config.out, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);

  const run = await stepper(config, options);
  const evaluate = await evaluator(config, validation, options);
  const save = () =>
    saveCheckpoint(
      config.out,
      {
        step: state.step,
        windows: state.windows,
        data: dataset.fingerprint,
        config: JSON.stringify(config),
        tensors: new Map(
          [...state.tensors].map(([name, { dims, data }]) => [
            name,
            { name, shape: dims, data: data as Float32Array },
          ]),
        ),
      },
      config.keep_checkpoints,
    );
  let smooth = Number.NaN;
  let last: StepMetrics | undefined;
  let checkpoint = from ?? save();
  while (state.step < config.max_steps && !options.signal?.aborted) {
    const began = performance.now();
    const step = state.step + 1;
    const share = learningRateShare(step, config);
    const result = await run(state, reader, { share, step });
    if (!Number.isFinite(result.loss) || !Number.isFinite(result.gradient_norm)) {
      throw new Error(
        `At step ${step} the loss is ${result.loss} and the gradients' norm ${result.gradient_norm}: training has come apart. The last good checkpoint is ${checkpoint}; a lower learning rate or a longer warm-up helps.`,
      );
    }
    state = result.state;
    const tokensPerStep = result.tokens;
    const seconds = (performance.now() - began) / 1000;
    smooth = Number.isNaN(smooth) ? result.loss : smooth + (result.loss - smooth) / Math.min(step, 50);
    last = {
      step,
      tokens: step * tokensPerStep,
      loss: result.loss,
      gradient_norm: result.gradient_norm,
      learning_rate: share * config.learning_rate,
      tokens_per_second: Math.round(tokensPerStep / seconds),
    };
    const end = step === config.max_steps;
    if (end || step % config.evaluate_every === 0) Object.assign(last, await evaluate(state));
    appendMetrics(config.out, last);
    if (end || step % config.checkpoint_every === 0) checkpoint = save();
    if (end || step % config.evaluate_every === 0) await drawCurve(config.out, readMetrics(config.out));
    options.onProgress?.({
      ...last,
      smooth_loss: smooth,
      max_steps: config.max_steps,
      flops_per_second: (flopsPerToken(config) * tokensPerStep) / seconds,
    });
  }
  // Stopped between two checkpoints: what was learnt since the last one is kept.
  if (state.step % config.checkpoint_every !== 0 && state.step < config.max_steps) checkpoint = save();
  const final = last?.validation_loss === undefined ? await evaluate(state) : (last as Required<StepMetrics>);
  return {
    steps: state.step,
    tokens: state.windows * config.sequence_length,
    loss: last?.loss ?? Number.NaN,
    validation_loss: final.validation_loss!,
    validation_bits_per_byte: final.validation_bits_per_byte!,
    checkpoint,
  };
}

type Tensors = Map<string, Tensor>;
interface State {
  step: number;
  windows: number;
  tensors: Tensors;
}

interface Batch {
  input_ids: Tensor;
  targets: Tensor;
}

function zeros({ name, shape }: { name: string; shape: number[] }): [string, Tensor] {
  const count = shape.reduce((a, b) => a * b, 1);
  return [name, new Tensor('float32', new Float32Array(count), shape)];
}

function initialState(config: TrainingConfig): Tensors {
  const parameters = initialParameters(gptParameters(config.model), config.seed);
  return new Map([
    ...[...parameters].map(([name, { data, shape }]): [string, Tensor] => [
      name,
      new Tensor('float32', data, shape),
    ]),
    ...optimizerStates(config).map(zeros),
  ]);
}

function resumeState(path: string, config: TrainingConfig, data: string): State {
  const checkpoint = loadCheckpoint(path);
  const before = JSON.parse(checkpoint.config) as TrainingConfig;
  const bound = [
    'model',
    'seed',
    'sequence_length',
    'batch_size',
    'gradient_accumulation_steps',
    'optimizer',
  ] as const;
  for (const name of bound) {
    if (JSON.stringify(before[name]) !== JSON.stringify(config[name])) {
      throw new Error(
        `${path} was made with ${name} ${JSON.stringify(before[name])}, the configuration says ${JSON.stringify(config[name])}: use another "out" folder for a new run.`,
      );
    }
  }
  if (checkpoint.data !== data) {
    throw new Error(
      `${path} was made with other data than ${config.data} holds now: use another "out" folder for a new run.`,
    );
  }
  const tensors: Tensors = new Map();
  for (const { name, shape } of [...gptParameters(config.model), ...optimizerStates(config)]) {
    const tensor = checkpoint.tensors.get(name);
    if (!tensor || tensor.shape.join() !== shape.join()) {
      throw new Error(`The checkpoint ${path} lacks "${name}" of shape [${shape.join(', ')}].`);
    }
    tensors.set(name, new Tensor('float32', tensor.data, shape));
  }
  return { step: checkpoint.step, windows: checkpoint.windows, tensors };
}

/** The batch that begins with the n-th window of the run. Windows are shuffled anew for each pass over the data. */
function batches(split: Split, config: TrainingConfig): (firstWindow: number) => Batch {
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
function tokenBatch(split: Split, places: readonly number[], seq: number): Batch {
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
function validationSet(split: Split, config: TrainingConfig): { batches: Batch[]; tokensPerByte: number } {
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

type Step = (
  state: State,
  reader: (firstWindow: number) => Batch,
  at: { share: number; step: number },
) => Promise<{
  state: State;
  loss: number;
  gradient_norm: number;
  tokens: number;
}>;

/** One optimiser step, as one graph or, with gradient accumulation, as two. */
async function stepper(config: TrainingConfig, options: TrainingOptions): Promise<Step> {
  const parts = config.gradient_accumulation_steps;
  const [first, second] = await Promise.all(
    (parts === 1 ? [stepGraph(config)] : [accumulationGraph(config), updateGraph(config)]).map((graph) =>
      createSession(graph, options),
    ),
  );
  const specs = gptParameters(config.model);
  const perPart = config.batch_size;
  return async (state, reader, { share, step }) => {
    const scalars = { share: scalar(share), step: scalar(step) };
    let loss = 0;
    let sums: Record<string, Tensor> = {};
    if (second) {
      const parameters = Object.fromEntries(specs.map(({ name }) => [name, state.tensors.get(name)!]));
      sums = Object.fromEntries(specs.map(zeros).map(([name, tensor]) => [`sum.${name}`, tensor]));
      for (let part = 0; part < parts; part++) {
        const { loss: partLoss, ...next } = await first.run({
          ...parameters,
          ...sums,
          ...reader(state.windows + part * perPart),
        });
        loss += numberIn(partLoss) / parts;
        sums = Object.fromEntries(
          Object.entries(next).map(([name, tensor]) => [name.slice('next.'.length), tensor]),
        );
      }
    }
    const results = await (second ?? first).run({
      ...Object.fromEntries(state.tensors),
      ...scalars,
      ...(second ? sums : reader(state.windows)),
    });
    return {
      state: {
        step,
        windows: state.windows + parts * perPart,
        tensors: new Map([...state.tensors.keys()].map((name) => [name, results[`next.${name}`]])),
      },
      loss: second ? loss : numberIn(results.loss),
      gradient_norm: numberIn(results.gradient_norm),
      tokens: parts * perPart * config.sequence_length,
    };
  };
}

async function evaluator(
  config: TrainingConfig,
  { batches, tokensPerByte }: ReturnType<typeof validationSet>,
  options: TrainingOptions,
): Promise<(state: State) => Promise<Pick<StepMetrics, 'validation_loss' | 'validation_bits_per_byte'>>> {
  const session: InferenceSession = await createSession(evaluationGraph(config), options);
  const names = gptParameters(config.model).map(({ name }) => name);
  return async (state) => {
    const parameters = Object.fromEntries(names.map((name) => [name, state.tensors.get(name)!]));
    let sum = 0;
    for (const batch of batches) sum += numberIn((await session.run({ ...parameters, ...batch })).loss);
    const validation_loss = sum / batches.length;
    return {
      validation_loss,
      validation_bits_per_byte: (validation_loss / Math.LN2) * tokensPerByte,
    };
  };
}

const scalar = (value: number) => new Tensor('float32', Float32Array.of(value), []);
const numberIn = (tensor: Tensor) => Number((tensor.data as Float32Array)[0]);
