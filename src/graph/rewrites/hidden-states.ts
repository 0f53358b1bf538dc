/** Decoders of others, given the output of ours that embeddings are made of: `last_hidden_state`. */
import { type OnnxGraph, type OnnxModel, type OnnxValueInfo, readOnnx, writeOnnx } from '../onnx.ts';
import { headOf } from './model-edits.ts';

/** The name that Hugging Face's exports give what the layers make of each token, normalised. */
export const hiddenStateOutput = 'last_hidden_state';

/** Operators between the hidden states and the product that leave their meaning as it is. */
const before = new Set(['DynamicQuantizeLinear', 'Cast', 'Identity', 'Reshape', 'Slice']);

/** TensorProto.DataLocation of weights that lie in a file beside the graph. */
const EXTERNAL = 1;

/**
 * A decoder's ONNX file with the output `last_hidden_state`, its weights and logits as they were.
 * @returns undefined where the file has the output, or cannot be given it: its logits are no product of hidden states,
 * or its weights lie in another file, which a graph in memory does not find
 */
export function withHiddenStates(file: Uint8Array): Uint8Array | undefined {
  const model = readOnnx(file);
  const { output, initializer = [] } = model.graph;
  if (output.some(({ name }) => name === hiddenStateOutput)) return undefined;
  if (initializer.some(({ dataLocation }) => dataLocation === EXTERNAL)) return undefined;
  return exposeHiddenStates(model) ? writeOnnx(model) : undefined;
}

/**
 * Gives a decoder's graph the output `last_hidden_state`, of shape `[batch, sequence, hidden]`: what the product that
 * makes the logits is computed from. No node and no weight is changed, so the logits stay as they are, bit by bit.
 * @returns false if the graph's logits are not such a product; it is then as it was
 */
export function exposeHiddenStates({ graph }: OnnxModel): boolean {
  if (graph.output.some(({ name }) => name === hiddenStateOutput)) return true;
  const hidden = hiddenStatesOf(graph);
  if (hidden === undefined) return false;
  const renamed = (names: string[] = []) => names.map((name) => (name === hidden ? hiddenStateOutput : name));
  for (const node of graph.node) {
    node.input = renamed(node.input);
    node.output = renamed(node.output);
  }
  const described = (graph.valueInfo as Partial<OnnxValueInfo>[] | undefined) ?? [];
  const type = described.find(({ name }) => name === hidden)?.type;
  graph.valueInfo = described.filter(({ name }) => name !== hidden);
  // Where the file does not tell the type, the runtime infers it.
  graph.output.push({ name: hiddenStateOutput, ...(type && { type }) } as OnnxValueInfo);
  return true;
}

/** The name of the value from which the logits are computed, or undefined if it cannot be told. */
function hiddenStatesOf(graph: OnnxGraph): string | undefined {
  const { node: nodes, output } = graph;
  // What stands inside a loop or a branch may read a value by its name from here.
  if (nodes.some(({ attribute = [] }) => attribute.some(({ g, graphs }) => g || graphs))) return undefined;
  const head = headOf(graph);
  if (!head) return undefined;
  const makers = new Map(nodes.flatMap((node) => node.output.map((name) => [name, node] as const)));
  let name = head.input[0];
  for (let node = makers.get(name); node && before.has(node.opType); node = makers.get(name)) {
    name = node.input[0];
  }
  return makers.has(name) && !output.some((each) => each.name === name) ? name : undefined;
}
