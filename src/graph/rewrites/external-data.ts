/** Weights that stand in files beside a model, as ONNX keeps them beyond two gigabytes and exporters often before. */
import { type OnnxModel, type OnnxTensor, readOnnx } from '../onnx.ts';

/** Where a protobuf says that a tensor's bytes lie elsewhere. */
const EXTERNAL = 1;

/** Whether a file by its name keeps weights of a graph: `model.onnx_data`, `model.onnx_data_1`, `model.onnx.data`. */
export const keepsWeightsOf = (graph: string, file: string): boolean =>
  file.startsWith(graph) && /^[_.]data(_\d+)?$/.test(file.slice(graph.length));

/**
 * Brings weights in files of their own into the model.
 * @param read a file beside the model, by the name that the model knows it by
 * @throws Error naming the tensor whose bytes are not where it says
 */
export function inlineExternalData(model: OnnxModel, read: (name: string) => Uint8Array): void {
  const files = new Map<string, Uint8Array>();
  model.graph.initializer = model.graph.initializer.map((tensor) => {
    if (Number(tensor.dataLocation ?? 0) !== EXTERNAL) return tensor;
    const { location, offset = '0', length } = placeOf(tensor);
    if (!location) throw new Error(`The tensor "${tensor.name}" lies in a file that it does not name.`);
    const file = files.get(location) ?? read(location);
    files.set(location, file);
    const from = Number(offset);
    const to = length === undefined ? file.length : from + Number(length);
    if (!(from >= 0 && to >= from && to <= file.length))
      throw new Error(
        `The tensor "${tensor.name}" lies outside of ${location}, which has ${file.length} bytes.`,
      );
    const { name, dims, dataType } = tensor;
    return { name, dims, dataType, rawData: file.subarray(from, to) };
  });
}

/**
 * The files that an ONNX file keeps weights in, by the names that it knows them by, each with the bytes that it has to
 * have at the least. Without a length a tensor goes on to the end of its file.
 * @throws Error if the bytes are no ONNX file
 */
export function externalFiles(onnx: Uint8Array): Map<string, number> {
  const files = new Map<string, number>();
  for (const tensor of readOnnx(onnx).graph.initializer ?? []) {
    if (Number(tensor.dataLocation ?? 0) !== EXTERNAL) continue;
    const { location = '', offset = '0', length = '0' } = placeOf(tensor);
    files.set(location, Math.max(files.get(location) ?? 0, Number(offset) + Number(length)));
  }
  return files;
}

function placeOf({ externalData }: OnnxTensor): { location?: string; offset?: string; length?: string } {
  const entries = (externalData ?? []) as { key: string; value: string }[];
  return Object.fromEntries(entries.map(({ key, value }) => [key, value]));
}
