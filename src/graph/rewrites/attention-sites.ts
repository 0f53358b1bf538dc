/** Where a decoder's graph attends. */
import type { OnnxGraph, OnnxModel, OnnxNode, OnnxTensor } from '../onnx.ts';
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
  /** Nodes that make `q` `[batch, heads, seq, dim]`, `k` and `v` `[batch, kv_heads, seq, dim]` of what there is. */
  before: OnnxNode[];
  q: string;
  k: string;
  v: string;
  /** Nodes that make of `mixed` `[batch, heads, seq, dim]` what the rest of the graph reads. */
  after: OnnxNode[];
  mixed: string;
  /** The nodes that fall away. */
  replaced: OnnxNode[];
  constants: OnnxTensor[];
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
  { graph, readers }: Wiring,
  past: AttentionSite['past'],
  kvHeads: number,
  dim: number,
): AttentionSite | undefined {
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
  const own = (part: string) => `${past.key}:${part}`;
  const [q, k, v] = ['q', 'k', 'v'].map(own);
  const before: OnnxNode[] = [];
  const constants: OnnxTensor[] = [];
  const apart = (from: string, count: number, to: string) => {
    constants.push(int64s(`${to}:heads`, [0, 0, count, dim]));
    before.push(
      node('Reshape', [from, `${to}:heads`], [`${to}:rows`]),
      node('Transpose', [`${to}:rows`], [to], [ints('perm', [0, 2, 1, 3])]),
    );
  };
  const turns = attributeOf(attention, 'do_rotary', 0) === 1;
  const turn = (from: string, to: string) =>
    before.push(
      node(
        'RotaryEmbedding',
        [from, attention.input[9] || 'position_ids', attention.input[7], attention.input[8]],
        [to],
        [intAttribute('interleaved', attributeOf(attention, 'rotary_interleaved', 0))],
        'com.microsoft',
      ),
    );
  const [query, key, value] = attention.input;
  if (key) {
    for (const [from, count, to] of [
      [query, heads, turns ? own('q0') : q],
      [key, kvHeads, turns ? own('k0') : k],
      [value, kvHeads, v],
    ] as const)
      apart(from, count, to);
    if (turns)
      for (const [from, to] of [
        ['q0', q],
        ['k0', k],
      ])
        turn(own(from), to);
  } else {
    // Queries and keys are turned as one.
    constants.push(int64s(own('qk:v'), [heads + kvHeads, kvHeads]), int64s(own('q:k'), [heads, kvHeads]));
    const axis = intAttribute('axis', 1);
    apart(query, heads + 2 * kvHeads, own('qkv'));
    before.push(node('Split', [own('qkv'), own('qk:v')], [own('qk0'), v], [axis]));
    if (turns) turn(own('qk0'), own('qk'));
    before.push(node('Split', [turns ? own('qk') : own('qk0'), own('q:k')], [q, k], [axis]));
  }
  if (turns && !graph.input.some(({ name }) => name === 'position_ids') && !attention.input[9])
    graph.input.push(positionIds());
  constants.push(int64s(own('flat'), [0, 0, heads * dim]));
  return {
    ...{ past, heads, kvHeads, dim, q, k, v, before, constants },
    scale: attributeOf(attention, 'scale', 0) || 1 / Math.sqrt(dim),
    mixed: own('mixed'),
    after: [
      node('Transpose', [own('mixed')], [own('turned')], [ints('perm', [0, 2, 1, 3])]),
      node('Reshape', [own('turned'), own('flat')], [attention.output[0]]),
    ],
    replaced: [attention],
  };
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
