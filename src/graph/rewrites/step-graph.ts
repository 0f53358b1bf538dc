/**
 * A published decoder as a graph of steps: it takes a cache of a larger capacity than it has positions, held by who
 * calls, and gives the new keys and values alone, and logits of the wanted positions alone.
 */
import {
  type OnnxGraph,
  type OnnxModel,
  type OnnxNode,
  type OnnxValueInfo,
  readOnnx,
  writeOnnx,
} from '../onnx.ts';
import { attentionSites, int64s, node, wiringOf } from './attention-sites.ts';
import { fuseAttention } from './fuse-attention.ts';
import { declareContrib, dropUnused, headOf, intAttribute, namesRead } from './model-edits.ts';
import { ofGroup, parts, stepAttention, valueColumns } from './step-attention.ts';
import { newRows, stepInputs } from './step-inputs.ts';

/** A decoder's ONNX file as a graph of steps. */
export interface StepFile {
  file: Uint8Array;
  /**
   * Threads that it may be computed with. With more, onnxruntime cuts the product of attention for one token otherwise
   * than that for many, and sums in another order.
   */
  threads: number;
}

/** @returns the file rewritten, its weights as they are, or in a sentence why it cannot be */
export function stepFile(file: Uint8Array): StepFile | string {
  const model = readOnnx(file);
  const fused = model.graph.node.some(({ opType }) => opType === 'GroupQueryAttention');
  const unfit = fused ? undefined : fuseAttention(model);
  if (unfit) return unfit;
  const kvHeads = model.graph.input.find(({ name }) => /^past_key_values\..*\.key$/.test(name));
  const why = toStepGraph(model);
  if (why) return why;
  const heads = Number(kvHeads!.type.tensorType.shape.dim[1].dimValue);
  return { file: writeOnnx(model), threads: 2 * heads - 1 };
}

const [FLOAT32, INT64, BOOL] = [1, 7, 9];

/**
 * Rewrites a decoder's graph in place.
 * @returns in a sentence why it cannot be rewritten, or nothing; what could not be rewritten is left changed
 */
export function toStepGraph(model: OnnxModel): string | undefined {
  const { graph } = model;
  const sites = attentionSites(model);
  if (typeof sites === 'string') return sites;
  const mixing = graph.node.find(({ opType }) => mixesRows.has(opType));
  if (mixing) return `its operator ${mixing.opType} scales all tokens of a step together`;
  const types = new Map(graph.input.map(({ name, type }) => [name, type.tensorType.elemType]));
  if (sites.some(({ past }) => types.get(past.key) !== FLOAT32 || types.get(past.value) !== FLOAT32))
    return 'its cache is in half precision, in which a token among others is computed otherwise than alone';
  logitsOfRows(model);
  exactProducts(model);
  for (const site of sites) {
    const { nodes, constants } = stepAttention(site);
    graph.initializer.push(...constants);
    graph.node.splice(graph.node.indexOf(site.replaced[0]), 0, ...nodes);
    graph.node = graph.node.filter((each) => !site.replaced.includes(each));
  }
  const group = sites[0].heads / sites[0].kvHeads;
  for (const input of [stepInputs.bias, stepInputs.own])
    graph.node.unshift(
      node('Concat', new Array(group).fill(input), [ofGroup(input)], [intAttribute('axis', 2)]),
    );
  const one = int64s(`${parts}:own`, [1]);
  graph.initializer.push(one);
  graph.node.unshift(node('Concat', [one.name, stepInputs.keys], [parts], [intAttribute('axis', 0)]));
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
  for (const { past, kvHeads, dim } of sites) {
    const columns = valueColumns(dim);
    graph.output.push(
      described(newRows(past.key), FLOAT32, ['batch_size', kvHeads, 'sequence_length', dim]),
      described(newRows(past.value), FLOAT32, [
        ...['batch_size', kvHeads, columns, 'sequence_length', dim / columns],
      ]),
    );
    const cache = new Map([
      [past.key, described(past.key, FLOAT32, ['batch_size', kvHeads, 'capacity', dim])],
      [
        past.value,
        described(past.value, FLOAT32, ['batch_size', kvHeads * columns, 'capacity', dim / columns]),
      ],
    ]);
    graph.input = graph.input.map((each) => cache.get(each.name) ?? each);
  }
  graph.input.push(
    described(stepInputs.oneToken, BOOL, []),
    described(stepInputs.bias, FLOAT32, ['batch_size', 1, 'sequence_length', 'keys']),
    described(stepInputs.keys, INT64, [1]),
    described(stepInputs.own, INT64, ['own_batch', 'own_heads', 'own_length', 1]),
    described(stepInputs.places, INT64, ['places_batch', 'places_heads', 'places_length', 3]),
    described(stepInputs.valuePlaces, INT64, ['places_batch', 'places_columns', 'places_length', 3]),
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

/** Operators in which what a token becomes depends on those beside it. */
const mixesRows = new Set(['DynamicQuantizeLinear', 'DynamicQuantizeMatMul', 'MatMulIntegerToFloat']);

/**
 * Products with quantised matrices get the accuracy at which onnxruntime computes a token alone as it does among
 * others: activations in 8 bits, block by block. It is the faster one, too.
 */
function exactProducts({ graph }: OnnxModel): void {
  for (const product of graph.node.filter(({ opType }) => opType === 'MatMulNBits'))
    product.attribute = [
      ...product.attribute.filter(({ name }) => name !== 'accuracy_level'),
      intAttribute('accuracy_level', 4),
    ];
}

/** Gathers the wanted rows before the product with the output table, or, where that cannot be, behind it. */
function logitsOfRows({ graph }: OnnxModel): void {
  const rowsOf = (from: string, to: string) => [
    node('Flatten', [from], [`${to}:flat`], [intAttribute('axis', 2)]),
    node('Gather', [`${to}:flat`, stepInputs.rows], [to], [intAttribute('axis', 0)]),
  ];
  const head = headOf(graph);
  if (head && !reshapedBehind(graph, head)) {
    graph.node.splice(graph.node.indexOf(head), 0, ...rowsOf(head.input[0], 'wanted_states'));
    head.input = head.input.with(0, 'wanted_states');
  } else {
    for (const each of graph.node)
      each.output = each.output.map((name) => (name === 'logits' ? 'all_logits' : name));
    graph.node.push(...rowsOf('all_logits', 'logits'));
  }
  const logits = graph.output.find(({ name }) => name === 'logits')!;
  logits.type.tensorType.shape = { dim: [{ dimParam: 'rows' }, { dimParam: 'vocab' }] };
}

/** Whether what a node gives is brought into another shape before it is `logits`. */
function reshapedBehind(graph: OnnxGraph, head: OnnxNode): boolean {
  const { makers } = wiringOf({ graph });
  for (let name = 'logits'; ; ) {
    const maker = makers.get(name)!;
    if (maker === head) return false;
    if (maker.opType === 'Reshape') return true;
    name = maker.input.find((each) => makers.has(each))!;
  }
}

/** What a step does not feed, or what would read the capacity as a length. */
function leftOver({ graph }: OnnxModel): string | undefined {
  const fed = new Set<string>(['input_ids', 'position_ids', ...Object.values(stepInputs)]);
  const other = graph.input.find(({ name }) => !fed.has(name) && !name.startsWith('past_key_values.'));
  if (other) return `it computes with ${other.name} outside of attention`;
  const past = new Set(graph.input.map(({ name }) => name).filter((name) => !fed.has(name)));
  const reads = graph.node.find(({ input }) => input?.some((name) => past.has(name)));
  return reads && `the node ${reads.name} reads the cache outside of attention`;
}
