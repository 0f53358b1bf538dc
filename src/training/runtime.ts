/** onnxruntime in Node, on the provider asked for. */
import type * as Ort from 'onnxruntime-node';

// Node 24 has Float16Array, of which onnxruntime-common makes float16 tensors that onnxruntime-node 1.30 cannot
// read; without it they are Uint16Array. It has to go before the first import.
delete (globalThis as { Float16Array?: unknown }).Float16Array;
const ort: typeof Ort = await import('onnxruntime-node');

export const { Tensor, InferenceSession } = ort;
export type Tensor = Ort.Tensor;
export type InferenceSession = Ort.InferenceSession;

export const providers = ['cpu', 'webgpu', 'cuda'] as const;
export type Provider = (typeof providers)[number];

export interface RuntimeOptions {
  provider?: Provider;
  /** Threads of the processor; 0 takes one for each core. */
  threads?: number;
}

/** A tensor of no dimensions. */
export const scalar = (value: number): Tensor => new Tensor('float32', Float32Array.of(value), []);
/** The number in a tensor of no dimensions. */
export const numberIn = (tensor: Tensor): number => Number((tensor.data as Float32Array)[0]);

/**
 * A session of one graph.
 * @throws Error naming the provider where this machine cannot run it
 */
export async function createSession(
  model: Uint8Array,
  { provider = 'cpu', threads = 0 }: RuntimeOptions = {},
): Promise<InferenceSession> {
  try {
    return await ort.InferenceSession.create(model, {
      // Operators that a GPU provider lacks (few, and none in the large products) run on the processor.
      executionProviders: provider === 'cpu' ? ['cpu'] : [provider, 'cpu'],
      intraOpNumThreads: threads,
      logSeverityLevel: 3,
    });
  } catch (error) {
    const why = (error as Error).message.split('\n')[0];
    throw new Error(
      provider === 'cpu'
        ? `onnxruntime could not load the graph: ${why}`
        : `The provider "${provider}" does not run here: ${why}. "cpu" runs everywhere.`,
      { cause: error },
    );
  }
}
