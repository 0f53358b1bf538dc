/** Where a decoder's graph attends. */
import { type OnnxGraph, type OnnxModel, type OnnxNode, type OnnxTensor, tensorData } from '../onnx.ts';
import { attributeOf, intAttribute, storedTensor } from './model-edits.ts';

/** One layer's attention, and what stands for it when it is taken out. */
export interface AttentionSite {
  /** `past_key_values.0` */
  past: { key: string; value: string };
  /** The heads of queries, and those of keys and values, which divide them. */
  heads: number;
  kvHeads: number;
  /** Numbers of a head. */
  dim: number;
  /** What the products of queries and keys are multiplied with. */
  scale: number;
  /**
   * How `q` `[batch, heads, seq, dim]`, `k` and `v` `[batch, kv_heads, seq, dim]` are made of what there is, if they are
   * not there already.
   * @param part a name for a part of the site
   * @param oneToken whether every sequence has one, which then is its heads in their order
   */
  before(part: (name: string) => string, oneToken: boolean): Heads;
  /** What the rest of the graph reads, `[batch, seq, heads * dim]`. */
  output: string;
  /** The nodes that fall away. */
  replaced: OnnxNode[];
  constants: OnnxTensor[];
}

export interface Heads {
  nodes: OnnxNode[];
  q: string;
  k: string;
  v: string;
}

/** A graph, and who makes and who reads each of its values. */
export interface Wiring {
  graph: OnnxGraph;
  stored: ReadonlyMap<string, OnnxTensor>;
  makers: ReadonlyMap<string, OnnxNode>;
  readers: ReadonlyMap<string, OnnxNode[]>;
}

export function wiringOf({ graph }: Pick<OnnxModel, 'graph'>): Wiring {
  const readers = new Map<string, OnnxNode[]>();
  for (const node of graph.node)
    for (const name of new Set(node.input ?? [])) readers.set(name, [...(readers.get(name) ?? []), node]);
  return {
    graph,
    stored: new Map(graph.initializer.map((tensor) => [tensor.name, tensor])),
    makers: new Map(graph.node.flatMap((node) => node.output.map((name) => [name, node] as const))),
    readers,
  };
}

export const node = (
  opType: string,
  input: string[],
  output: string[],
  attribute: OnnxNode['attribute'] = [],
  domain?: string,
): OnnxNode => ({ name: output[0], opType, input, output, attribute, ...(domain && { domain }) });

export const ints = (name: string, values: number[]) => ({ name, type: 7, ints: values });
export const float = (name: string, value: number) => ({ name, type: 1, f: value });
export const int64s = (name: string, values: number[]): OnnxTensor =>
  storedTensor(name, BigInt64Array.from(values, BigInt), [values.length], 'int64');

/** @returns the sites, one for each layer, or in a sentence why there are none */
export function attentionSites(model: OnnxModel): AttentionSite[] | string {
  const wiring = wiringOf(model);
  const sites: AttentionSite[] = [];
  for (const { name, type } of wiring.graph.input) {
    if (!/^past_key_values\..*\.key$/.test(name)) continue;
    const dims = type.tensorType.shape.dim.map(({ dimValue }) => Number(dimValue ?? 0));
    if (dims.length !== 4 || !dims[1] || !dims[3]) return `the shape of ${name} is not known`;
    const past = { key: name, value: name.replace(/key$/, 'value') };
    const site = contribSite(wiring, past, dims[1], dims[3]);
    if (!site) return `what becomes of ${name} is of no form that wick knows`;
    sites.push(site);
  }
  if (sites.length === 0) return 'it has no cache of keys and values';
  const groups = new Set(sites.map(({ heads, kvHeads }) => `${heads}/${kvHeads}`));
  return groups.size > 1 ? 'its layers have different numbers of heads' : sites;
}

/** onnxruntime's own operator. */
function contribSite(
  wiring: Wiring,
  past: AttentionSite['past'],
  kvHeads: number,
  dim: number,
): AttentionSite | undefined {
  const { graph, readers } = wiring;
  // What else reads how long the past is may fall away with the mask; if it does not, that is found out at the end.
  const [attention, ...others] = (readers.get(past.key) ?? []).filter(({ opType }) => opType !== 'Shape');
  if (attention?.opType !== 'GroupQueryAttention' || others.length > 0 || attention.input[3] !== past.key)
    return undefined;
  const is = (name: string, value: number) => attributeOf(attention, name, value) === value;
  const known = is('local_window_size', -1) && is('softcap', 0) && is('smooth_softmax', 0);
  // A bias, a sink, a scale of a quantised cache.
  if (!known || attention.input.slice(10).some((name) => name)) return undefined;
  if (attention.output[3] || attributeOf(attention, 'kv_num_heads', 0) !== kvHeads) return undefined;
  const heads = attributeOf(attention, 'num_heads', 0);
  const turns = attributeOf(attention, 'do_rotary', 0) === 1;
  const [query, key, value] = attention.input;
  const counts = key ? { q: heads, k: kvHeads, v: kvHeads } : { qkv: heads + 2 * kvHeads };
  const shape = (name: string) => `${past.key}:${name} heads`;
  const constants = Object.entries(counts).flatMap(([name, count]) => [
    int64s(shape(name), [0, 0, count, dim]),
    int64s(`${shape(name)}, one token`, [0, count, -1, dim]),
  ]);
  const parts = { 'qk:v': [heads + kvHeads, kvHeads], 'q:k': [heads, kvHeads] };
  if (!key) constants.push(...Object.entries(parts).map(([name, sizes]) => int64s(shape(name), sizes)));
  if (turns && !graph.input.some(({ name }) => name === 'position_ids') && !attention.input[9])
    graph.input.push(positionIds());

  function before(part: (name: string) => string, oneToken: boolean): Heads {
    const nodes: OnnxNode[] = [];
    const apart = (from: string, name: string): string => {
      const there = headsBehind(wiring, from);
      if (there) return there;
      const to = part(`${name} apart`);
      if (oneToken) nodes.push(node('Reshape', [from, `${shape(name)}, one token`], [to]));
      else
        nodes.push(
          node('Reshape', [from, shape(name)], [`${to}, rows`]),
          node('Transpose', [`${to}, rows`], [to], [ints('perm', [0, 2, 1, 3])]),
        );
      return to;
    };
    const turned = (from: string, name: string): string => {
      if (!turns) return from;
      const inputs = [from, attention.input[9] || 'position_ids', attention.input[7], attention.input[8]];
      const interleaved = intAttribute('interleaved', attributeOf(attention, 'rotary_interleaved', 0));
      nodes.push(node('RotaryEmbedding', inputs, [part(name)], [interleaved], 'com.microsoft'));
      return part(name);
    };
    if (key)
      return {
        q: turned(apart(query, 'q'), 'q'),
        k: turned(apart(key, 'k'), 'k'),
        v: apart(value, 'v'),
        nodes,
      };
    // Queries and keys are turned as one.
    const axis = intAttribute('axis', 1);
    const [q, k, v, qk] = [part('q'), part('k'), part('v'), part('qk apart')];
    nodes.push(node('Split', [apart(query, 'qkv'), shape('qk:v')], [qk, v], [axis]));
    nodes.push(node('Split', [turned(qk, 'qk'), shape('q:k')], [q, k], [axis]));
    return { nodes, q, k, v };
  }
  return {
    ...{ past, heads, kvHeads, dim, before, constants },
    scale: attributeOf(attention, 'scale', 0) || 1 / Math.sqrt(dim),
    output: attention.output[0],
    replaced: [attention],
  };
}

/** `[batch, heads, seq, dim]` of which a value `[batch, seq, heads * dim]` was made, where it was. */
function headsBehind({ makers, stored }: Wiring, value: string): string | undefined {
  const joined = makers.get(value);
  const turned = joined?.opType === 'Reshape' ? makers.get(joined.input[0]) : undefined;
  const perm = turned?.opType === 'Transpose' && turned.attribute.find(({ name }) => name === 'perm')?.ints;
  if (!perm || String(perm) !== '0,2,1,3') return undefined;
  const shape = stored.get(joined!.input[1]);
  const dims = shape && Array.from(tensorData(shape) as BigInt64Array, Number);
  return dims?.length === 3 && dims[0] === 0 && dims[1] === 0 ? turned!.input[0] : undefined;
}

const positionIds = () => ({
  name: 'position_ids',
  type: {
    tensorType: {
      elemType: 7,
      shape: { dim: [{ dimParam: 'batch_size' }, { dimParam: 'sequence_length' }] },
    },
  },
});
