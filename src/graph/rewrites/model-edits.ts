/** Small pieces that rewrites of ONNX models share. */
import { elementTypes, type TensorData } from '../graph.ts';
import type { OnnxModel, OnnxNode, OnnxTensor } from '../onnx.ts';

type NodeAttribute = OnnxNode['attribute'][number];

export const intAttribute = (name: string, value: number): NodeAttribute => ({ name, type: 2, i: value });

/** A number among a node's attributes, or `fallback` where it is absent; protobufs leave out zeros. */
export function attributeOf(node: OnnxNode, name: string, fallback: number): number {
  const attribute = node.attribute?.find((each) => each.name === name);
  if (!attribute) return fallback;
  return Number((attribute.type === 1 ? attribute.f : attribute.i) ?? 0);
}

/** A stored tensor. */
export function storedTensor(
  name: string,
  data: TensorData,
  dims: number[],
  dtype: keyof typeof elementTypes,
): OnnxTensor {
  return {
    name,
    dims,
    dataType: elementTypes[dtype],
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

export const dimsOf = (tensor: OnnxTensor): number[] => (tensor.dims ?? []).map(Number);

/** Declares onnxruntime's own operators, where the model does not yet. */
export function declareContrib(model: OnnxModel): void {
  if (!model.opsetImport.some(({ domain }) => domain === 'com.microsoft'))
    model.opsetImport.push({ domain: 'com.microsoft', version: 1 });
}

/** Leaves out stored tensors that no node reads and no output is. */
export function dropUnused(model: OnnxModel): void {
  const read = new Set(model.graph.node.flatMap((node) => node.input ?? []));
  for (const { name } of model.graph.output) read.add(name);
  model.graph.initializer = model.graph.initializer.filter(({ name }) => read.has(name));
}
