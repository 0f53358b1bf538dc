/** The graphs that a training run steps through. */
import type { ParameterSpec } from '../architecture/parameters.ts';
import { gradients } from '../graph/autodiff.ts';
import { Graph, type Value } from '../graph/graph.ts';
import { toOnnx } from '../graph/onnx.ts';
import { add, div, min, mul, sub } from '../graph/operators/elementwise.ts';
import { adamW, clipByGlobalNorm, muon, type Optimizer } from '../graph/optimizers.ts';
import type { CommonTrainingConfig } from './config.ts';
import type { TrainingTask } from './task.ts';

/** A tensor that a step hands to the next: a parameter or an optimiser's state. */
export interface StateSpec {
  name: string;
  shape: number[];
}

type Task = Pick<TrainingTask, 'parameters' | 'loss'>;
type Config = Omit<CommonTrainingConfig, 'model'>;

/** Every parameter's optimiser states, in the order the step graph takes them; they begin as zeros. */
export function optimizerStates(task: Task, config: Config): StateSpec[] {
  return task.parameters.flatMap(({ name, shape, kind }) =>
    optimizerOf(config, kind).optimizer.states.map((state) => ({
      name: `${name}.${state}`,
      shape,
    })),
  );
}

/** The running averages of the parameters, where the configuration keeps them; they begin as the parameters do. */
export function averages(task: Task, config: Config): (StateSpec & { of: string })[] {
  if (config.ema_decay === 0) return [];
  return task.parameters.map(({ name, shape }) => ({ name: averageOf(name), shape, of: name }));
}

/** The name of a parameter's running average. */
export const averageOf = (name: string): string => `${name}.average`;

/**
 * Loss, gradients, clipping and update in one graph.
 * Inputs: those of the task's batch, every parameter, state and average by name, `share` (of the peak learning rates)
 * and `step` float32 scalars. Outputs: `loss` and `gradient_norm` scalars, and `next.NAME` of every
 * parameter, state and average.
 */
export function stepGraph(task: Task, config: Config): Uint8Array {
  const graph = new Graph('training');
  const { loss, parameters } = task.loss(graph);
  graph.output('loss', loss);
  update(graph, task.parameters, config, parameters, gradients(loss, parameters));
  return toOnnx(graph);
}

/**
 * One part of a batch that is too large for memory: adds its gradients, divided by the number of parts, to those so
 * far. Inputs as `stepGraph` less the optimiser's, and `sum.NAME` of every parameter; outputs `loss` and `next.sum.NAME`.
 */
export function accumulationGraph(task: Task, config: Config): Uint8Array {
  const graph = new Graph('accumulation');
  const { loss, parameters } = task.loss(graph);
  const share = graph.scalar(1 / config.gradient_accumulation_steps);
  graph.output('loss', loss);
  for (const [i, gradient] of gradients(loss, parameters).entries()) {
    const { name, shape } = parameters[i];
    graph.output(`next.sum.${name}`, add(graph.input(`sum.${name}`, 'float32', shape), mul(gradient, share)));
  }
  return toOnnx(graph);
}

/** The update that follows the parts: takes `sum.NAME` as gradients; otherwise as `stepGraph`. */
export function updateGraph(task: Task, config: Config): Uint8Array {
  const graph = new Graph('update');
  const specs = task.parameters;
  const parameters = specs.map(({ name, shape }) => graph.input(name, 'float32', shape));
  const sums = specs.map(({ name, shape }) => graph.input(`sum.${name}`, 'float32', shape));
  update(graph, specs, config, parameters, sums);
  return toOnnx(graph);
}

/** The loss alone, for evaluation. Inputs: those of the batch and the parameters; outputs `loss` and what the task adds. */
export function evaluationGraph(task: Task): Uint8Array {
  const graph = new Graph('evaluation');
  const { loss, outputs = {} } = task.loss(graph);
  graph.output('loss', loss);
  for (const [name, value] of Object.entries(outputs)) graph.output(name, value);
  return toOnnx(graph);
}

function optimizerOf(config: Config, kind: string): { optimizer: Optimizer; rate: number } {
  const { beta1, beta2, epsilon, weight_decay: weightDecay, momentum } = config;
  if (kind === 'matrix' && config.optimizer === 'muon') {
    return {
      optimizer: muon({ momentum, weightDecay }),
      rate: config.matrix_learning_rate,
    };
  }
  // Norm weights are not pulled to zero: one is where they do nothing.
  const decay = kind === 'vector' ? 0 : weightDecay;
  return {
    optimizer: adamW({ beta1, beta2, epsilon, weightDecay: decay }),
    rate: config.learning_rate,
  };
}

function update(
  graph: Graph,
  specs: readonly ParameterSpec[],
  config: Config,
  parameters: readonly Value[],
  raw: readonly Value[],
): void {
  const share = graph.input('share', 'float32', []);
  const step = graph.input('step', 'float32', []);
  const clipped = clipByGlobalNorm(raw, config.max_grad_norm);
  graph.output('gradient_norm', clipped.norm);
  for (const [i, { name, shape, kind }] of specs.entries()) {
    const { optimizer, rate } = optimizerOf(config, kind);
    const states = Object.fromEntries(
      optimizer.states.map((state) => [state, graph.input(`${name}.${state}`, 'float32', shape)]),
    );
    const learningRate = mul(share, graph.scalar(rate));
    const next = optimizer.update({
      parameter: parameters[i],
      gradient: clipped.gradients[i],
      states,
      learningRate,
      step,
    });
    graph.output(`next.${name}`, next.parameter);
    for (const state of optimizer.states) graph.output(`next.${name}.${state}`, next.states[state]);
    if (config.ema_decay > 0) {
      const average = graph.input(averageOf(name), 'float32', shape);
      const moved = mul(
        sub(next.parameter, average),
        sub(graph.scalar(1), emaDecay(graph, step, config.ema_decay)),
      );
      graph.output(`next.${averageOf(name)}`, add(average, moved));
    }
  }
}

/** The first steps are forgotten sooner: at step t no more than (1 + t) / (10 + t) of the average stays. */
function emaDecay(graph: Graph, step: Value, decay: number): Value {
  const early = div(add(step, graph.scalar(1)), add(step, graph.scalar(10)));
  return min(graph.scalar(decay), early);
}
