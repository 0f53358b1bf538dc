/**
 * Attention of a step over a cache that the graph reads and does not copy.
 *
 * Each query attends to the positions before its own, in their order, and to its own key apart, so that its sums run
 * the same way whether its step held one token or many: first its own score, then those of positions 0, 1, 2 … up to
 * the last that is read, masked from its own on. With one token the past is read where it lies, up to the capacity.
 * With many, the new keys and values are first written among the old ones, in a copy that ends where they do.
 */
import type { OnnxNode, OnnxTensor, OnnxValueInfo } from '../onnx.ts';
import { type AttentionSite, float, int64s, ints, node } from './attention-sites.ts';
import { intAttribute } from './model-edits.ts';

/** The inputs that a step's graph has beside `input_ids`, `position_ids` and `past_key_values.N.key|value`. */
export const stepInputs = {
  /** bool, a scalar: whether every row has one token. */
  oneToken: 'one_token',
  /** `[batch, 1, seq, 1 + keys]`: 0 where a query may look, -Infinity where not; its own key is first. */
  bias: 'attention_bias',
  /** int64 `[1]`: how many keys are read, the first positions of the cache; with one token all of them. */
  keys: 'attention_keys',
  /** int64 `[batch, kv_heads, seq, 1]`: the position of each token; many tokens only. */
  own: 'own_positions',
  /** int64 `[batch, kv_heads, seq, 3]`: row, head and position where each new key and value goes; many tokens only. */
  places: 'write_places',
  /** int64 `[rows]`: after which tokens logits are wanted, counted through all rows of the batch. */
  rows: 'logit_rows',
} as const;

const FLOAT32 = 1;

/** int64 `[2]`: the one key of a query's own, and the others. */
export const parts = 'attention_keys:parts';

/** What is given for each query, for those of a group, which stand one group member after the other. */
export const ofGroup = (input: string): string => `${input}:group`;

/** The output with the new keys or values, `[batch, kv_heads, seq, head_dim]`, of an input of the cache. */
export const newRows = (input: string): string => input.replace(/^past_key_values/, 'new_key_values');

/** The nodes of one site, which also make the new keys and values, and what they need stored. */
export function stepAttention(site: AttentionSite): { nodes: OnnxNode[]; constants: OnnxTensor[] } {
  const { past, heads, kvHeads, dim, scale } = site;
  const group = heads / kvHeads;
  const own = (part: string) => `${past.key}:${part}`;
  const shape = (part: string, dims: number[]) => int64s(own(part), dims);
  const constants = [
    ...site.constants,
    shape('grouped', [0, kvHeads, -1, dim]),
    shape('heads', [0, heads, -1, dim]),
    shape('joined', [0, 0, heads * dim]),
    shape('joined, one token', [0, 1, heads * dim]),
    shape('halves', [0, kvHeads, 2, -1, dim]),
    shape('one query', [0, kvHeads, 1, group, dim]),
    shape('scores', [0, kvHeads, -1, group]),
    shape('own shares', [0, kvHeads, group, -1, 1]),
    shape('group axis', [2]),
    shape('begin', [0]),
  ];
  const product = (a: string, b: string, to: string, alpha: number, transB: number) =>
    node(
      'FusedMatMul',
      [a, b],
      [to],
      [float('alpha', alpha), intAttribute('transB', transB)],
      'com.microsoft',
    );
  const last = intAttribute('axis', -1);
  const attend = (part: (name: string) => string, values: string) => [
    node('Concat', [part('own scores'), part('past scores')], [part('scores')], [last]),
    node('Add', [part('scores'), ofGroup(stepInputs.bias)], [part('masked')]),
    node('Softmax', [part('masked')], [part('shares')], [last]),
    node('Split', [part('shares'), parts], [part('own share'), part('past shares')], [last]),
    product(part('past shares'), values, part('past mixed'), 0.5, 0),
  ];
  // Halved and doubled again: onnxruntime has another kernel, with other roundings, for one row and a factor of 1.
  const together = (half: string, ownMixed: string, to: string) => node('Sum', [half, half, ownMixed], [to]);
  const own1 = (name: string) => own(`1:${name}`);
  const ownN = (name: string) => own(`n:${name}`);
  const alone = site.before(own1, true);
  const one = [
    ...alone.nodes,
    node('Reshape', [alone.q, own('grouped')], [own1('grouped q')]),
    product(own1('grouped q'), alone.k, own1('own scores'), scale, 1),
    // Keys times the few queries, which onnxruntime lays out anew, not the keys; and in halves, which threads share.
    node('Reshape', [alone.q, own('one query')], [own1('one query')]),
    node('Reshape', [past.key, own('halves')], [own1('halves')]),
    product(own1('halves'), own1('one query'), own1('scores of halves'), scale, 1),
    node('Reshape', [own1('scores of halves'), own('scores')], [own1('scores by key')]),
    node('Transpose', [own1('scores by key')], [own1('past scores')], [ints('perm', [0, 1, 3, 2])]),
    ...attend(own1, past.value),
    node('Mul', [own1('own share'), alone.v], [own1('own mixed')]),
    together(own1('past mixed'), own1('own mixed'), own1('mixed')),
    node('Reshape', [own1('mixed'), own('joined, one token')], [own1('out')]),
  ];
  const among = site.before(ownN, false);
  const written = (from: string, rows: string, to: string) => [
    node('Slice', [from, own('begin'), stepInputs.keys, own('group axis')], [`${to}, before`]),
    node('ScatterND', [`${to}, before`, stepInputs.places, rows], [to]),
  ];
  const many = [
    ...among.nodes,
    node('Reshape', [among.q, own('grouped')], [ownN('grouped q')]),
    ...written(past.key, among.k, ownN('keys')),
    ...written(past.value, among.v, ownN('values')),
    product(ownN('grouped q'), ownN('keys'), ownN('past scores'), scale, 1),
    node('GatherElements', [ownN('past scores'), ofGroup(stepInputs.own)], [ownN('own scores')], [last]),
    ...attend(ownN, ownN('values')),
    node('Reshape', [ownN('own share'), own('own shares')], [ownN('group shares')]),
    node('Unsqueeze', [among.v, own('group axis')], [ownN('own values')]),
    node('Mul', [ownN('group shares'), ownN('own values')], [ownN('group mixed')]),
    node('Reshape', [ownN('group mixed'), own('grouped')], [ownN('own mixed')]),
    together(ownN('past mixed'), ownN('own mixed'), ownN('mixed')),
    node('Reshape', [ownN('mixed'), own('heads')], [ownN('mixed heads')]),
    node('Transpose', [ownN('mixed heads')], [ownN('turned')], [ints('perm', [0, 2, 1, 3])]),
    node('Reshape', [ownN('turned'), own('joined')], [ownN('out')]),
  ];
  // Keys and values that a branch makes it gives; those that were there before it are named anew.
  const given = [
    [newRows(past.key), alone.k, among.k],
    [newRows(past.value), alone.v, among.v],
  ];
  const made = given.filter(([, of1]) => alone.nodes.some(({ output }) => output.includes(of1)));
  const there = given.filter((each) => !made.includes(each));
  const outputs = [[site.output, own1('out'), ownN('out')], ...made];
  const branch = (name: string, nodes: OnnxNode[], which: 1 | 2) => {
    const output = outputs.map((each, i) =>
      value(each[which], i === 0 ? ['b', 's', 'w'] : ['b', 'h', 's', 'd']),
    );
    return { name, type: 5, g: { name: own(name), node: nodes, initializer: [], input: [], output } };
  };
  const choice = node(
    'If',
    [stepInputs.oneToken],
    outputs.map(([name]) => name),
    [branch('then_branch', one, 1), branch('else_branch', many, 2)],
  );
  return { nodes: [choice, ...there.map(([name, of1]) => node('Identity', [of1], [name]))], constants };
}

const value = (name: string, dims: string[]): OnnxValueInfo => ({
  name,
  type: { tensorType: { elemType: FLOAT32, shape: { dim: dims.map((dimParam) => ({ dimParam })) } } },
});
