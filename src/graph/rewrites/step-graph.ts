/**
 * A published decoder as a graph of steps: it takes a cache of a larger capacity than it has positions, held by who
 * calls, and gives the new keys and values alone, and logits of the wanted positions alone.
 */
import type { OnnxModel, OnnxNode, OnnxValueInfo } from '../onnx.ts';
import { attentionSites, node, wiringOf } from './attention-sites.ts';
import { hiddenStatesOf } from './hidden-states.ts';
import { declareContrib, dropUnused, intAttribute, namesRead } from './model-edits.ts';
import { groupBias, stepAttention, stepInputs } from './step-attention.ts';

export { stepInputs };

/** The output with the new keys or values, `[batch, kv_heads, seq, head_dim]`, of an input of the cache. */
export const newRows = (input: string): string => input.replace(/^past_key_values/, 'new_key_values');

/** Whether a graph with such inputs was made by `toStepGraph`. */
export const isStepGraph = (inputs: readonly string[]): boolean => inputs.includes(stepInputs.rows);

const [BOOL, INT64] = [9, 7];

/**
 * Rewrites a decoder's graph in place.
 * @returns in a sentence why it cannot be rewritten, or nothing; what could not be rewritten is left changed
 */
export function toStepGraph(model: OnnxModel): string | undefined {
  const { graph } = model;
  const sites = attentionSites(model);
  if (typeof sites === 'string') return sites;
  const cacheTypes = new Map(graph.input.map(({ name, type }) => [name, type.tensorType.elemType]));
  for (const site of sites) {
    const { nodes, constants } = stepAttention(site, cacheTypes.get(site.past.key)!);
    graph.initializer.push(...constants);
    graph.node.splice(graph.node.indexOf(site.replaced[0]), 0, ...nodes);
    graph.node = graph.node.filter((each) => !site.replaced.includes(each));
  }
  logitsOfRows(model);
  const group = sites[0].heads / sites[0].kvHeads;
  graph.node.unshift(
    node('Concat', new Array(group).fill(stepInputs.bias), [groupBias], [intAttribute('axis', 2)]),
  );
  graph.output = graph.output.filter(({ name }) => !name.startsWith('present.'));
  const described = (name: string, elemType: number, dims: (string | number)[]): OnnxValueInfo => ({
    name,
    type: {
      tensorType: {
        elemType,
        shape: { dim: dims.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d })) },
      },
    },
  });
  for (const { past, k, v, kvHeads, dim } of sites) {
    for (const [input, rows] of [
      [past.key, k],
      [past.value, v],
    ]) {
      const type = cacheTypes.get(input)!;
      graph.node.push(node('Identity', [rows], [newRows(input)]));
      graph.output.push(described(newRows(input), type, ['batch_size', kvHeads, 'sequence_length', dim]));
      graph.input = graph.input.map((each) =>
        each.name === input ? described(input, type, ['batch_size', kvHeads, 'capacity', dim]) : each,
      );
    }
  }
  const floatType = cacheTypes.get(sites[0].past.key)!;
  graph.input.push(
    described(stepInputs.oneToken, BOOL, []),
    described(stepInputs.bias, floatType, ['batch_size', 1, 'sequence_length', 'keys']),
    described(stepInputs.parts, INT64, [2]),
    described(stepInputs.places, INT64, ['places_batch', 'places_heads', 'places_length', 3]),
    described(stepInputs.rows, INT64, ['rows']),
  );
  // What was told of values between does not hold any more.
  graph.valueInfo = undefined;
  declareContrib(model);
  dropUnused(model);
  const read = namesRead(graph);
  graph.input = graph.input.filter(({ name }) => read.has(name));
  return leftOver(model);
}

/** Gathers the wanted rows before the product with the output table, or, where it cannot be told, behind it. */
function logitsOfRows({ graph }: OnnxModel): void {
  const hidden = hiddenStatesOf(graph);
  const flat = (from: string, name: string) => [
    node('Flatten', [from], [`${name}:flat`], [intAttribute('axis', 2)]),
    node('Gather', [`${name}:flat`, stepInputs.rows], [name], [intAttribute('axis', 0)]),
  ];
  const { readers } = wiringOf({ graph } as OnnxModel);
  const head = hidden === undefined ? [] : (readers.get(hidden) ?? []);
  if (hidden !== undefined && head.length === 1 && head[0].output[0] !== undefined && productOf(head[0])) {
    head[0].input = head[0].input.map((name) => (name === hidden ? 'wanted_states' : name));
    graph.node.splice(graph.node.indexOf(head[0]), 0, ...flat(hidden, 'wanted_states'));
  } else {
    for (const each of graph.node)
      each.output = each.output.map((name) => (name === 'logits' ? 'all_logits' : name));
    graph.node.push(...flat('all_logits', 'logits'));
  }
  const logits = graph.output.find(({ name }) => name === 'logits')!;
  logits.type = {
    tensorType: {
      elemType: logits.type.tensorType.elemType,
      shape: { dim: ['rows', 'vocab'].map((dimParam) => ({ dimParam })) },
    },
  };
}

const productOf = ({ opType }: OnnxNode) => ['MatMul', 'FusedMatMul', 'MatMulNBits', 'Gemm'].includes(opType);

/** What a step does not feed, or what would read the capacity as a length. */
function leftOver({ graph }: OnnxModel): string | undefined {
  const fed = new Set<string>(['input_ids', 'position_ids', ...Object.values(stepInputs)]);
  const other = graph.input.find(({ name }) => !fed.has(name) && !name.startsWith('past_key_values.'));
  if (other) return `it computes with ${other.name} outside of attention`;
  const past = new Set(graph.input.map(({ name }) => name).filter((name) => !fed.has(name)));
  const reads = graph.node.find(({ input }) => input?.some((name) => past.has(name)));
  return reads && `the node ${reads.name} reads the cache outside of attention`;
}
