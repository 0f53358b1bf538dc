/** What is learnt, as the trainer sees it: parameters, a loss, batches, and how well it goes. */
import type { ParameterSpec } from '../architecture/parameters.ts';
import type { Graph, Value } from '../graph/graph.ts';
import type { Measures } from './metrics.ts';
import type { InferenceSession, RuntimeOptions, Tensor } from './runtime.ts';

export type Feeds = Record<string, Tensor>;

export interface TrainingTask {
  parameters: ParameterSpec[];
  /** Adds the loss of a batch to a graph: inputs named as in `batch`, and every parameter by name. */
  loss(graph: Graph): { loss: Value; parameters: Value[]; outputs?: Record<string, Value> };
  /** Examples in a batch, and what they are counted in. */
  batchSize: number;
  unit: 'token' | 'text' | 'image';
  unitsPerExample: number;
  /** Floating-point operations for each unit, by the usual count of 6 for each parameter that it meets. */
  flopsPerUnit: number;
  /** Fields of the configuration that a run is bound to from its first step on. */
  bound: readonly string[];
  /** Changes when the data does. */
  fingerprint: string;
  /** The batch that begins with the n-th example of the run: the same for the same n, whatever was before. */
  batch(firstExample: number): Feeds;
  /** Measures parameters on what was held out, with a session of the loss graph. */
  evaluate(session: InferenceSession, parameters: Feeds): Promise<Measures>;
  /** What the loss is, for the plot. */
  lossName: string;
  /** Draws what the parameters make, now and then, into the run's folder. */
  samples?: {
    every: number;
    prepare(options: RuntimeOptions): Promise<(parameters: Feeds, step: number) => Promise<string>>;
  };
}
