/** The graphs that a training run steps through. */
import { gptLoss, gptParameters } from '../architecture/gpt.ts';
import { gradients } from '../graph/autodiff.ts';
import { Graph, type Value } from '../graph/graph.ts';
import { toOnnx } from '../graph/onnx.ts';
import { add, mul } from '../graph/operators/elementwise.ts';
import { adamW, clipByGlobalNorm, muon, type Optimizer } from '../graph/optimizers.ts';
import type { TrainingConfig } from './config.ts';

/** A tensor that a step hands to the next: a parameter or an optimiser's state. */
export interface StateSpec {
  name: string;
  shape: number[];
}

/** Every parameter's optimiser states, in the order the step graph takes them; they begin as zeros. */
export function optimizerStates(config: TrainingConfig): StateSpec[] {
  return gptParameters(config.model).flatMap(({ name, shape, kind }) =>
    optimizerOf(config, kind).optimizer.states.map((state) => ({
      name: `${name}.${state}`,
      shape,
    })),
  );
}

/**
 * Loss, gradients, clipping and update in one graph.
 * Inputs: `input_ids`, `targets` int64 `[batch, seq]`, every parameter and state by name, `share` (of the peak
 * learning rates) and `step` float32 scalars. Outputs: `loss` and `gradient_norm` scalars, and `next.NAME` of every
 * parameter and state.
 */
export function stepGraph(config: TrainingConfig): Uint8Array {
  const { graph, loss, parameters } = lossOf(config);
  graph.output('loss', loss);
  update(graph, config, parameters, gradients(loss, parameters));
  return toOnnx(graph);
}

/**
 * One part of a batch that is too large for memory: adds its gradients, divided by the number of parts, to those so
 * far. Inputs as `stepGraph` less the optimiser's, and `sum.NAME` of every parameter; outputs `loss` and `next.sum.NAME`.
 */
export function accumulationGraph(config: TrainingConfig): Uint8Array {
  const { graph, loss, parameters } = lossOf(config);
  const share = graph.scalar(1 / config.gradient_accumulation_steps);
  graph.output('loss', loss);
  for (const [i, gradient] of gradients(loss, parameters).entries()) {
    const { name, shape } = parameters[i];
    graph.output(`next.sum.${name}`, add(graph.input(`sum.${name}`, 'float32', shape), mul(gradient, share)));
  }
  return toOnnx(graph);
}

/** The update that follows the parts: takes `sum.NAME` as gradients; otherwise as `stepGraph`. */
export function updateGraph(config: TrainingConfig): Uint8Array {
  const graph = new Graph('update');
  const specs = gptParameters(config.model);
  const parameters = specs.map(({ name, shape }) => graph.input(name, 'float32', shape));
  const sums = specs.map(({ name, shape }) => graph.input(`sum.${name}`, 'float32', shape));
  update(graph, config, parameters, sums);
  return toOnnx(graph);
}

/** The loss alone, for evaluation. Inputs: `input_ids`, `targets` and the parameters; output `loss`. */
export function evaluationGraph(config: TrainingConfig): Uint8Array {
  const { graph, loss } = lossOf(config);
  graph.output('loss', loss);
  return toOnnx(graph);
}

/**
 * The floating-point operations of one step by the usual count, 6 for each parameter and token (Kaplan et al., 2020):
 * attention's products, recomputation and the optimiser are left out.
 */
export function flopsPerToken(config: TrainingConfig): number {
  return (
    6 * gptParameters(config.model).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
  );
}

function lossOf(config: TrainingConfig): {
  graph: Graph;
  loss: Value;
  parameters: Value[];
} {
  const graph = new Graph('training');
  // Sizes as numbers: the runtime then plans all memory before the first step.
  const sizes = { batch: config.batch_size, seq: config.sequence_length };
  return { graph, ...gptLoss(graph, config.model, sizes) };
}

function optimizerOf(config: TrainingConfig, kind: string): { optimizer: Optimizer; rate: number } {
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
  config: TrainingConfig,
  parameters: readonly Value[],
  raw: readonly Value[],
): void {
  const share = graph.input('share', 'float32', []);
  const step = graph.input('step', 'float32', []);
  const clipped = clipByGlobalNorm(raw, config.max_grad_norm);
  graph.output('gradient_norm', clipped.norm);
  for (const [i, { name, shape, kind }] of gptParameters(config.model).entries()) {
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
  }
}
