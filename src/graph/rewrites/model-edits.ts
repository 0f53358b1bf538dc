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

/** Puts each node behind those that it reads from, and otherwise leaves their order. */
export function sortNodes({ graph }: OnnxModel): void {
  const makers = new Map(graph.node.flatMap((node) => node.output.map((name) => [name, node] as const)));
  const sorted = new Set<OnnxNode>();
  for (const root of graph.node) {
    const open = [root];
    for (let node = open.at(-1); node; node = open.at(-1)) {
      const missing = sorted.has(node)
        ? []
        : readBy(node)
            .flatMap((name) => makers.get(name) ?? [])
            .filter((maker) => !sorted.has(maker));
      if (missing.length > 0) {
        open.push(...missing);
        continue;
      }
      sorted.add(node);
      open.pop();
    }
  }
  graph.node = [...sorted];
}

/** The names that a node reads, and that a branch or a loop in it does. */
function readBy({ input = [], attribute = [] }: OnnxNode): string[] {
  const inner = (attribute as { g?: OnnxGraph; graphs?: OnnxGraph[] }[]).flatMap(({ g, graphs = [] }) =>
    g ? [g] : graphs,
  );
  return [...input, ...inner.flatMap((graph) => [...namesRead(graph)])];
}

/** The names that a graph reads or gives. */
export function namesRead(graph: OnnxGraph): Set<string> {
  return new Set([...graph.output.map(({ name }) => name), ...graph.node.flatMap(readBy)]);
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
