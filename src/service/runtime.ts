/** onnxruntime-node, and sessions of graph files on the provider asked for. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type * as Ort from 'onnxruntime-node';
import { keepsWeightsOf } from '../generation/weight-files.ts';
import { faultOfGraph } from './broken-graph.ts';

export const providers = ['cpu', 'webgpu', 'cuda'] as const;
export type Provider = (typeof providers)[number];

export interface RuntimeOptions {
  provider?: Provider;
  /** Threads of the processor; 0 takes one for each core. */
  threads?: number;
}

/** What is special about a session. */
export interface SessionSource {
  /** What stands for the file's bytes, where it was changed in memory. */
  changed?: Uint8Array;
  /** Outputs that stay in a GPU's memory; each tensor is then to be disposed of. For the WebGPU provider alone. */
  onDevice?: readonly string[];
}

export async function loadRuntime(): Promise<typeof Ort> {
  // Node 24 has Float16Array, of which onnxruntime-common makes float16 tensors that onnxruntime-node 1.30 cannot
  // read; without it they are Uint16Array. It has to go before the first import.
  delete (globalThis as { Float16Array?: unknown }).Float16Array;
  return import('onnxruntime-node');
}

/**
 * Opens a graph file; weights in files beside it are found.
 * @throws Error naming the file that is missing or not right, or the provider where this machine cannot run it
 */
export async function openSession(
  ort: typeof Ort,
  graph: string,
  { provider = 'cpu', threads = 0 }: RuntimeOptions = {},
  { changed, onDevice = [] }: SessionSource = {},
): Promise<Ort.InferenceSession> {
  try {
    const options: Ort.InferenceSession.SessionOptions = {
      executionProviders: provider === 'cpu' ? ['cpu'] : [provider, 'cpu'],
      intraOpNumThreads: threads,
      logSeverityLevel: 3,
      ...(onDevice.length > 0 && {
        preferredOutputLocation: Object.fromEntries(onDevice.map((name) => [name, 'gpu-buffer' as const])),
      }),
    };
    return await (changed
      ? ort.InferenceSession.create(changed, {
          ...options,
          externalData: weightsBeside(graph),
          // Shares of attention too small for a normal number are slow to compute with, and the same as none.
          extra: { session: { set_denormal_as_zero: '1' } },
        })
      : ort.InferenceSession.create(graph, options));
  } catch (error) {
    const fault = faultOfGraph(graph);
    if (fault) throw new Error(fault, { cause: error });
    const why = (error as Error).message.split('\n')[0];
    throw new Error(
      provider === 'cpu'
        ? `onnxruntime could not load ${graph}: ${why}`
        : `The provider "${provider}" does not run here: ${why}. "cpu" runs everywhere.`,
      { cause: error },
    );
  }
}

/** The .onnx file, then those that it keeps weights in (`model.onnx_data`). */
export function graphFiles(graph: string): string[] {
  const weights = readdirSync(dirname(graph)).filter((name) => keepsWeightsOf(basename(graph), name));
  return [graph, ...weights.sort().map((name) => join(dirname(graph), name))];
}

/** What a graph in memory, which finds no files, keeps in files beside its own. */
const weightsBeside = (graph: string): { path: string; data: Uint8Array }[] =>
  graphFiles(graph)
    .slice(1)
    .map((file) => ({ path: basename(file), data: readFileSync(file) }));
