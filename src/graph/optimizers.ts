/** Optimisers as graphs: the parameters and states of step t in, those of step t + 1 out. */
import type { Value } from './graph.ts';
import { add, div, min, mul, pow, sqrt, sub } from './operators/elementwise.ts';
import { identity, sum } from './operators/layout.ts';
import { matmul } from './operators/matmul.ts';
import { reduceSum } from './operators/reduction.ts';

/** One parameter's update: its new value, and the new value of each state tensor by name. */
export interface Update {
  parameter: Value;
  states: Record<string, Value>;
}

/** An optimiser of one parameter. States have the parameter's shape and begin as zeros. */
export interface Optimizer {
  states: readonly string[];
  update(context: {
    parameter: Value;
    gradient: Value;
    states: Record<string, Value>;
    /** float32 scalar, this step's rate. */
    learningRate: Value;
    /** float32 scalar, 1 at the first step. */
    step: Value;
  }): Update;
}

/**
 * Adam with decoupled weight decay (Kingma & Ba, 2015; Loshchilov & Hutter, 2019):
 * m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², p ← p - η(m̂ / (√v̂ + ε) + λp), with m̂ = m / (1-β₁ᵗ), v̂ = v / (1-β₂ᵗ).
 */
export function adamW({
  beta1 = 0.9,
  beta2 = 0.95,
  epsilon = 1e-8,
  weightDecay = 0,
}: {
  beta1?: number;
  beta2?: number;
  epsilon?: number;
  weightDecay?: number;
} = {}): Optimizer {
  return {
    states: ['first_moment', 'second_moment'],
    update({ parameter, gradient, states, learningRate, step }) {
      const number = (value: number) => parameter.graph.scalar(value);
      const average = (old: Value, value: Value, beta: number) =>
        add(mul(old, number(beta)), mul(value, number(1 - beta)));
      const first = average(states.first_moment, gradient, beta1);
      const second = average(states.second_moment, mul(gradient, gradient), beta2);
      const correction = (beta: number) => sub(number(1), pow(number(beta), step));
      // Scalars first, tensors last: each product of a tensor is a pass over memory.
      const rate = div(learningRate, correction(beta1));
      const spread = div(number(1), sqrt(correction(beta2)));
      const move = div(mul(first, rate), add(mul(sqrt(second), spread), number(epsilon)));
      const kept = weightDecay === 0 ? parameter : decay(parameter, learningRate, weightDecay);
      return {
        parameter: sub(kept, move),
        states: { first_moment: first, second_moment: second },
      };
    },
  };
}

/**
 * Muon for matrices `[in, out]` (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/): Nesterov
 * momentum whose update is made nearly orthogonal, so that no direction of a matrix is favoured. The step is scaled
 * by √max(1, out / in), which keeps its effect on the output alike for all shapes.
 */
export function muon({
  momentum = 0.95,
  weightDecay = 0,
  iterations = 5,
}: {
  momentum?: number;
  weightDecay?: number;
  iterations?: number;
} = {}): Optimizer {
  return {
    states: ['momentum'],
    update({ parameter, gradient, states, learningRate }) {
      const number = (value: number) => parameter.graph.scalar(value);
      const [rows, columns] = parameter.shape as number[];
      const buffer = add(mul(states.momentum, number(momentum)), gradient);
      const direction = orthogonalized(add(gradient, mul(buffer, number(momentum))), iterations);
      const scale = Math.sqrt(Math.max(1, columns / rows));
      const kept = weightDecay === 0 ? parameter : decay(parameter, learningRate, weightDecay);
      return {
        parameter: sub(kept, mul(direction, mul(learningRate, number(scale)))),
        states: { momentum: buffer },
      };
    },
  };
}

function decay(parameter: Value, learningRate: Value, weightDecay: number): Value {
  const { graph } = parameter;
  return mul(parameter, sub(graph.scalar(1), mul(learningRate, graph.scalar(weightDecay))));
}

/**
 * The nearest matrix with singular values about 1 (0.7 to 1.2), by the quintic Newton-Schulz iteration
 * X ← aX + b(XXᵀ)X + c(XXᵀ)²X with Jordan's coefficients, which need matrix products only.
 */
function orthogonalized(matrix: Value, iterations: number): Value {
  const [a, b, c] = [3.4445, -4.775, 2.0315];
  const { graph } = matrix;
  const [rows, columns] = matrix.shape as number[];
  const wide = rows <= columns;
  const norm = add(sqrt(reduceSum(mul(matrix, matrix), undefined, false)), graph.scalar(1e-7));
  let x = div(matrix, norm);
  for (let i = 0; i < iterations; i++) {
    // The smaller of the two Gram matrices; the iteration is the same from either side.
    const gram = matmul(x, x, wide ? { transB: true } : { transA: true });
    const polynomial = add(mul(gram, graph.scalar(b)), matmul(gram, gram, { alpha: c }));
    x = add(mul(x, graph.scalar(a)), wide ? matmul(polynomial, x) : matmul(x, polynomial));
  }
  return x;
}

/** The Euclidean norm of all gradients together, a float32 scalar. */
export function globalNorm(gradients: readonly Value[]): Value {
  return sqrt(sum(gradients.map((gradient) => reduceSum(mul(gradient, gradient), undefined, false))));
}

/**
 * Gradients scaled down together so that their common norm is at most `limit` (Pascanu et al., 2013).
 * @returns the gradients and the norm before clipping
 */
export function clipByGlobalNorm(
  gradients: readonly Value[],
  limit: number,
): { gradients: Value[]; norm: Value } {
  const norm = identity(globalNorm(gradients));
  const { graph } = norm;
  const factor = min(graph.scalar(1), div(graph.scalar(limit), add(norm, graph.scalar(1e-6))));
  return {
    gradients: gradients.map((gradient) => mul(gradient, factor)),
    norm,
  };
}
