/** The training loop: batches in, better parameters out, step by step. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { latestCheckpoint, loadCheckpoint, saveCheckpoint } from './checkpoint.ts';
import { parseTrainingConfig, type TrainingConfig } from './config.ts';
import { drawCurve } from './curve.ts';
import {
  accumulationGraph,
  averages,
  evaluationGraph,
  optimizerStates,
  stepGraph,
  updateGraph,
} from './graphs.ts';
import { exportedParameters, initialParameters } from './initialization.ts';
import { appendMetrics, type Measures, readMetrics, type StepMetrics, trimMetrics } from './metrics.ts';
import { taskOf } from './open-task.ts';
import { createSession, numberIn, type RuntimeOptions, scalar, Tensor } from './runtime.ts';
import { learningRateShare } from './schedule.ts';
import type { Feeds, TrainingTask } from './task.ts';

export interface TrainingProgress extends StepMetrics {
  max_steps: number;
  unit: TrainingTask['unit'];
  per_second: number;
  /** Model operations a second, by the task's count. */
  flops_per_second: number;
  /** Mean loss over about the last fifty steps. */
  smooth_loss: number;
}

export interface TrainingResult extends Measures {
  steps: number;
  /** What was seen, in the task's unit. */
  tokens?: number;
  texts?: number;
  images?: number;
  loss: number;
  checkpoint: string;
}

export interface TrainingOptions extends RuntimeOptions {
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
  const task = await taskOf(config, options);
  mkdirSync(config.out, { recursive: true });

  const from = options.resume ?? latestCheckpoint(config.out);
  let state: State;
  if (from) {
    state = resumeState(from, task, config);
    onNote(`Going on from ${from}, step ${state.step} of ${config.max_steps}.`);
  } else {
    state = { step: 0, examples: 0, tensors: initialState(task, config) };
  }
  trimMetrics(config.out, state.step);
  writeFileSync(join(config.out, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);

  const run = await stepper(task, config, options);
  const evaluate = await evaluator(task, config, options);
  const draw = await task.samples?.prepare(options);
  const save = () =>
    saveCheckpoint(
      config.out,
      {
        step: state.step,
        examples: state.examples,
        data: task.fingerprint,
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
    const result = await run(state, { share, step });
    if (!Number.isFinite(result.loss) || !Number.isFinite(result.gradient_norm)) {
      throw new Error(
        `At step ${step} the loss is ${result.loss} and the gradients' norm ${result.gradient_norm}: training has come apart. The last good checkpoint is ${checkpoint}; a lower learning rate or a longer warm-up helps.`,
      );
    }
    state = result.state;
    const seconds = (performance.now() - began) / 1000;
    const perSecond = (result.examples * task.unitsPerExample) / seconds;
    smooth = Number.isNaN(smooth) ? result.loss : smooth + (result.loss - smooth) / Math.min(step, 50);
    last = {
      step,
      ...counted(task, state),
      loss: result.loss,
      gradient_norm: result.gradient_norm,
      learning_rate: share * config.learning_rate,
      [`${task.unit}s_per_second`]: Number(perSecond.toPrecision(4)),
    };
    const end = step === config.max_steps;
    if (end || step % config.evaluate_every === 0) Object.assign(last, await evaluate(state));
    appendMetrics(config.out, last);
    if (end || step % config.checkpoint_every === 0) checkpoint = save();
    if (end || step % config.evaluate_every === 0)
      await drawCurve(config.out, readMetrics(config.out), task.lossName);
    if (draw && (end || step % task.samples!.every === 0))
      onNote(`Samples: ${await draw(judged(task, config, state), step)}`);
    options.onProgress?.({
      ...last,
      unit: task.unit,
      per_second: perSecond,
      smooth_loss: smooth,
      max_steps: config.max_steps,
      flops_per_second: task.flopsPerUnit * perSecond,
    });
  }
  // Stopped between two checkpoints: what was learnt since the last one is kept.
  if (state.step % config.checkpoint_every !== 0 && state.step < config.max_steps) checkpoint = save();
  const {
    validation_loss,
    validation_bits_per_byte,
    validation_auroc,
    validation_f1,
    validation_loss_by_noise,
  } = last?.validation_loss === undefined ? await evaluate(state) : (last as StepMetrics & Measures);
  return {
    steps: state.step,
    ...counted(task, state),
    loss: last?.loss ?? Number.NaN,
    validation_loss,
    ...(validation_bits_per_byte !== undefined && { validation_bits_per_byte }),
    ...(validation_auroc !== undefined && { validation_auroc }),
    ...(validation_f1 !== undefined && { validation_f1 }),
    ...(validation_loss_by_noise && { validation_loss_by_noise }),
    checkpoint,
  };
}

type Tensors = Map<string, Tensor>;
interface State {
  step: number;
  /** Examples seen: the place in the data. */
  examples: number;
  /** Parameters, optimiser states, averages. */
  tensors: Tensors;
}

const counted = (
  task: TrainingTask,
  { examples }: State,
): { tokens?: number; texts?: number; images?: number } => ({
  [`${task.unit}s`]: examples * task.unitsPerExample,
});

function zeros({ name, shape }: { name: string; shape: number[] }): [string, Tensor] {
  const count = shape.reduce((a, b) => a * b, 1);
  return [name, new Tensor('float32', new Float32Array(count), shape)];
}

function initialState(task: TrainingTask, config: TrainingConfig): Tensors {
  const parameters = config.initial_model
    ? exportedParameters(task.parameters, config.initial_model)
    : initialParameters(task.parameters, config.seed);
  return new Map([
    ...[...parameters].map(([name, { data, shape }]): [string, Tensor] => [
      name,
      new Tensor('float32', data, shape),
    ]),
    ...optimizerStates(task, config).map(zeros),
    ...averages(task, config).map(({ name, shape, of }): [string, Tensor] => [
      name,
      new Tensor('float32', parameters.get(of)!.data.slice(), shape),
    ]),
  ]);
}

function resumeState(path: string, task: TrainingTask, config: TrainingConfig): State {
  const checkpoint = loadCheckpoint(path);
  const before = JSON.parse(checkpoint.config) as Record<string, unknown>;
  const now = config as unknown as Record<string, unknown>;
  const bound = [
    'task',
    'model',
    'seed',
    'batch_size',
    'gradient_accumulation_steps',
    'optimizer',
    ...task.bound,
  ];
  for (const name of bound) {
    if (JSON.stringify(before[name]) !== JSON.stringify(now[name])) {
      throw new Error(
        `${path} was made with ${name} ${JSON.stringify(before[name])}, the configuration says ${JSON.stringify(now[name])}: use another "out" folder for a new run.`,
      );
    }
  }
  if (checkpoint.data !== task.fingerprint) {
    throw new Error(
      `${path} was made with other data than ${config.data} holds now: use another "out" folder for a new run.`,
    );
  }
  const tensors: Tensors = new Map();
  for (const { name, shape } of [
    ...task.parameters,
    ...optimizerStates(task, config),
    ...averages(task, config),
  ]) {
    const tensor = checkpoint.tensors.get(name);
    if (!tensor || tensor.shape.join() !== shape.join()) {
      throw new Error(`The checkpoint ${path} lacks "${name}" of shape [${shape.join(', ')}].`);
    }
    tensors.set(name, new Tensor('float32', tensor.data, shape));
  }
  return { step: checkpoint.step, examples: checkpoint.examples, tensors };
}

type Step = (
  state: State,
  at: { share: number; step: number },
) => Promise<{ state: State; loss: number; gradient_norm: number; examples: number }>;

/** One optimiser step, as one graph or, with gradient accumulation, as two. */
async function stepper(task: TrainingTask, config: TrainingConfig, options: TrainingOptions): Promise<Step> {
  const parts = config.gradient_accumulation_steps;
  const graphs =
    parts === 1 ? [stepGraph(task, config)] : [accumulationGraph(task, config), updateGraph(task, config)];
  const [first, second] = await Promise.all(graphs.map((graph) => createSession(graph, options)));
  const examples = parts * task.batchSize;
  return async (state, { share, step }) => {
    let loss = 0;
    let sums: Feeds = {};
    if (second) {
      const parameters = feedsOf(state, task.parameters);
      sums = Object.fromEntries(task.parameters.map(zeros).map(([name, tensor]) => [`sum.${name}`, tensor]));
      for (let part = 0; part < parts; part++) {
        const { loss: partLoss, ...next } = await first.run({
          ...parameters,
          ...sums,
          ...task.batch(state.examples + part * task.batchSize),
        });
        loss += numberIn(partLoss) / parts;
        sums = Object.fromEntries(
          Object.entries(next).map(([name, tensor]) => [name.slice('next.'.length), tensor]),
        );
      }
    }
    const results = await (second ?? first).run({
      ...Object.fromEntries(state.tensors),
      share: scalar(share),
      step: scalar(step),
      ...(second ? sums : task.batch(state.examples)),
    });
    return {
      state: {
        step,
        examples: state.examples + examples,
        tensors: new Map([...state.tensors.keys()].map((name) => [name, results[`next.${name}`]])),
      },
      loss: second ? loss : numberIn(results.loss),
      gradient_norm: numberIn(results.gradient_norm),
      examples,
    };
  };
}

const feedsOf = (state: State, list: readonly { name: string }[]): Feeds =>
  Object.fromEntries(list.map(({ name }) => [name, state.tensors.get(name)!]));

/** The parameters that are judged and kept in the end: the running averages, where there are any. */
function judged(task: TrainingTask, config: TrainingConfig, state: State): Feeds {
  const kept = averages(task, config);
  if (kept.length === 0) return feedsOf(state, task.parameters);
  return Object.fromEntries(kept.map(({ name, of }) => [of, state.tensors.get(name)!]));
}

async function evaluator(
  task: TrainingTask,
  config: TrainingConfig,
  options: TrainingOptions,
): Promise<(state: State) => Promise<Measures>> {
  const session = await createSession(evaluationGraph(task), options);
  return (state) => task.evaluate(session, judged(task, config, state));
}
