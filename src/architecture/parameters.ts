/** The trainable tensors of an architecture: named, shaped, and told how they begin. */
import type { Graph, Value } from '../graph/graph.ts';

export interface ParameterSpec {
  name: string;
  shape: number[];
  /** Standard deviation of the normal distribution it is drawn from; 'ones' for the weights of norms. */
  initial: number | 'ones';
  /** 'matrix' between hidden states, 'table' of tokens, or 'vector': optimisers treat them differently. */
  kind: 'matrix' | 'table' | 'vector';
}

/** A matrix `[in, out]` between hidden states. */
export const matrix = (name: string, shape: number[], initial: number): ParameterSpec => ({
  name,
  shape,
  initial,
  kind: 'matrix',
});
/** What is looked up, or stands between hidden states and the outside. */
export const table = (name: string, shape: number[], initial: number): ParameterSpec => ({
  name,
  shape,
  initial,
  kind: 'table',
});
/** One number for each feature. */
export const vector = (name: string, width: number, initial: number | 'ones'): ParameterSpec => ({
  name,
  shape: [width],
  initial,
  kind: 'vector',
});

/** How many numbers parameters hold. */
export const countNumbers = (specs: readonly ParameterSpec[]): number =>
  specs.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);

/** The value of a parameter in a graph, by name. */
export type Weights = (name: string) => Value;

/** Parameters as inputs of a graph, for training. */
export function parameterInputs(
  graph: Graph,
  specs: readonly ParameterSpec[],
): { parameters: Value[]; weights: Weights } {
  const parameters = specs.map(({ name, shape }) => graph.input(name, 'float32', shape));
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  return { parameters, weights: (name) => byName.get(name)! };
}

/**
 * Parameters stored in a graph, for inference.
 * @throws Error naming a parameter that is missing or of the wrong size
 */
export function parameterConstants(
  graph: Graph,
  specs: readonly ParameterSpec[],
  elements: ReadonlyMap<string, Float32Array>,
): Weights {
  const constants = new Map(
    specs.map(({ name, shape }) => {
      const data = elements.get(name);
      if (!data) throw new Error(`The weights lack the parameter "${name}".`);
      return [name, graph.constant(name, data, shape, 'float32')];
    }),
  );
  return (name) => constants.get(name)!;
}
