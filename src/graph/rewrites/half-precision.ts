/**
 * A model's numbers in half precision: weights, cache and all between. Inputs and outputs other than the cache stay
 * float32, so that who feeds it and reads it need not know.
 */
import type { OnnxModel, OnnxNode, OnnxTensor, OnnxValueInfo } from '../onnx.ts';
import { tensorData } from '../onnx.ts';
import { toFloat16 } from './float16.ts';
import { intAttribute } from './model-edits.ts';

const [FLOAT32, FLOAT16] = [1, 10];
/** Beyond this a half is infinite; masks of -1e9 mean "never" as well at this size. */
const LARGEST = 65_504;

/**
 * Converts a model in place.
 * @param keepsHalf the inputs and outputs that become float16 themselves; by default the cache
 * @throws Error naming what cannot be converted
 */
export function toHalfPrecision(
  model: OnnxModel,
  keepsHalf: (name: string) => boolean = (name) => /^(past_key_values|present)\./.test(name),
): void {
  const { graph } = model;
  graph.initializer = graph.initializer.map(halved);
  for (const node of graph.node)
    for (const attribute of node.attribute ?? []) halveAttribute(node, attribute);
  // What was told of the types between does not hold any more.
  graph.valueInfo = undefined;
  const isFloat = ({ type }: OnnxValueInfo) => type.tensorType.elemType === FLOAT32;
  const before: OnnxNode[] = [];
  for (const input of graph.input.filter(isFloat)) {
    if (keepsHalf(input.name)) {
      input.type.tensorType.elemType = FLOAT16;
      continue;
    }
    const inner = `${input.name}:float16`;
    for (const node of graph.node)
      node.input = node.input?.map((name) => (name === input.name ? inner : name));
    before.push(cast(input.name, inner, FLOAT16));
  }
  for (const output of graph.output.filter(isFloat)) {
    if (keepsHalf(output.name)) {
      output.type.tensorType.elemType = FLOAT16;
      continue;
    }
    const inner = `${output.name}:float16`;
    for (const node of graph.node) {
      node.input = node.input?.map((name) => (name === output.name ? inner : name));
      node.output = node.output.map((name) => (name === output.name ? inner : name));
    }
    graph.node.push(cast(inner, output.name, FLOAT32));
  }
  graph.node.unshift(...before);
}

const cast = (from: string, to: string, type: number): OnnxNode => ({
  name: `${to}:cast`,
  opType: 'Cast',
  input: [from],
  output: [to],
  attribute: [intAttribute('to', type)],
});

/** A float32 tensor as float16, any other as it is. */
function halved(tensor: OnnxTensor): OnnxTensor {
  if (tensor.dataType !== FLOAT32) return tensor;
  const data = tensorData(tensor) as Float32Array;
  const halves = toFloat16(data.map((value) => Math.max(-LARGEST, Math.min(LARGEST, value))));
  const { name, dims } = tensor;
  return { name, dims, dataType: FLOAT16, rawData: new Uint8Array(halves.buffer) };
}

function halveAttribute(node: OnnxNode, attribute: OnnxNode['attribute'][number]): void {
  if (attribute.g || attribute.graphs)
    throw new Error(
      `The node "${node.name}" (${node.opType}) holds graphs of its own, which are not converted.`,
    );
  if (node.opType === 'Cast' && attribute.name === 'to' && Number(attribute.i) === FLOAT32)
    attribute.i = FLOAT16;
  if (attribute.t) attribute.t = halved(attribute.t as OnnxTensor);
  if (node.opType === 'Constant' && (attribute.name === 'value_float' || attribute.name === 'value_floats'))
    throw new Error(`The node "${node.name}" (Constant) holds its numbers in a form that is not converted.`);
}
