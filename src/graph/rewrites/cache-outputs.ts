/** The outputs in which a published decoder gives its keys and values. */
import { readOnnx } from '../onnx.ts';

/**
 * The names of the outputs `present.N.key` and `present.N.value`, in the graph's order.
 * @throws Error if the bytes are no ONNX file
 */
export const cacheOutputs = (onnx: Uint8Array): string[] =>
  readOnnx(onnx)
    .graph.output.map(({ name }) => name)
    .filter((name) => name.startsWith('present.'));
