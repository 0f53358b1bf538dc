/** Small pieces that rewrites of ONNX models share. */
import { elementTypes, type TensorData } from '../graph.ts';
import type { OnnxGraph, OnnxModel, OnnxNode, OnnxTensor } from '../onnx.ts';

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

/** Leaves out nodes and stored tensors that no output depends on. */
export function dropUnused({ graph }: OnnxModel): void {
  for (let before = Infinity; graph.node.length < before; ) {
    before = graph.node.length;
    const read = namesRead(graph);
    graph.node = graph.node.filter(({ output }) => output.some((name) => read.has(name)));
  }
  const read = namesRead(graph);
  graph.initializer = graph.initializer.filter(({ name }) => read.has(name));
}

/** The names that a graph reads or gives, and those that a branch or a loop in it reads. */
export function namesRead(graph: OnnxGraph): Set<string> {
  const read = new Set(graph.output.map(({ name }) => name));
  for (const { input = [], attribute = [] } of graph.node) {
    for (const name of input) read.add(name);
    for (const { g, graphs = [] } of attribute as { g?: OnnxGraph; graphs?: OnnxGraph[] }[])
      for (const inner of g ? [g] : graphs) for (const name of namesRead(inner)) read.add(name);
  }
  return read;
}

/** Operators that multiply with a stored matrix; what is multiplied is the first input. */
const products = new Set([
  ...['MatMul', 'FusedMatMul', 'Gemm'],
  ...['MatMulNBits', 'MatMulInteger', 'DynamicQuantizeMatMul'],
]);

/** Operators between the product that gives the logits and `logits`: a change of type, a bias, a scale, a cap. */
const behindHead = new Set(['Cast', 'Identity', 'Reshape', 'Add', 'Mul', 'Div', 'Tanh']);

/** The product that a decoder's logits come from; undefined if they are no product. */
export function headOf({ node: nodes, initializer = [] }: OnnxGraph): OnnxNode | undefined {
  const stored = new Set(initializer.map(({ name }) => name));
  const makers = new Map(nodes.flatMap((node) => node.output.map((name) => [name, node] as const)));
  const computed = ({ input = [] }: OnnxNode) => input.find((name) => name !== '' && !stored.has(name)) ?? '';
  let maker = makers.get('logits');
  while (maker && behindHead.has(maker.opType)) maker = makers.get(computed(maker));
  return maker && products.has(maker.opType) ? maker : undefined;
}
