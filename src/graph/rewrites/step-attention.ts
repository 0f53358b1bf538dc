/**
 * Attention of a step over a cache that the graph reads and does not copy.
 *
 * Each query attends to the positions before its own, in their order, and to its own key apart, so that its sums run
 * the same way whether its step held one token or many: first its own score, then those of positions 0, 1, 2 … up to
 * the last that is read, masked from its own on. With one token the past is read where it lies, up to the capacity.
 * With many, the new keys and values are first written among the old ones, in a copy that ends where they do.
 *
 * Values are kept in columns of a few numbers each, every one for all positions: so they are read from one end to the
 * other, and by as many threads as there are. Otherwise they are as the graph had them.
 */
import type { OnnxNode, OnnxTensor, OnnxValueInfo } from '../onnx.ts';
import { type AttentionSite, float, int64s, ints, node } from './attention-sites.ts';
import { intAttribute } from './model-edits.ts';
import { newRows, stepInputs } from './step-inputs.ts';

const FLOAT32 = 1;

/** int64 `[2]`: the one key of a query's own, and the others. */
export const parts = 'attention_keys:parts';

/** What is given for each query, for those of a group, which stand one group member after the other. */
export const ofGroup = (input: string): string => `${input}:group`;

/** Numbers of a value that lie beside each other, in a column; all of them, where they are no multiple of it. */
const COLUMN = 32;

/** The columns of a value. */
export const valueColumns = (dim: number): number => (dim % COLUMN === 0 ? dim / COLUMN : 1);

/** The nodes of one site, which also make the new keys and values, and what they need stored. */
export function stepAttention(site: AttentionSite): { nodes: OnnxNode[]; constants: OnnxTensor[] } {
  const { past, heads, kvHeads, dim, scale } = site;
  const group = heads / kvHeads;
  const columns = valueColumns(dim);
  const column = dim / columns;
  const own = (part: string) => `${past.key}:${part}`;
  const shape = (part: string, dims: number[]) => int64s(own(part), dims);
  const constants = [
    ...site.constants,
    shape('grouped', [0, kvHeads, -1, dim]),
    shape('joined', [0, 0, heads * dim]),
    shape('joined, one token', [0, 1, heads * dim]),
    shape('halves', [0, kvHeads, 2, -1, dim]),
    shape('one query', [0, kvHeads, 1, group, dim]),
    shape('scores', [0, kvHeads, -1, group]),
    shape('columns', [0, kvHeads, columns, -1, column]),
    shape('rows of columns', [0, kvHeads, -1, columns, column]),
    shape('columns as heads', [0, kvHeads * columns, -1, column]),
    shape('own shares', [0, kvHeads, 1, group, -1, 1]),
    shape('columns by group', [0, kvHeads, columns, group, -1, column]),
    shape('column axis', [2]),
    shape('group axis', [3]),
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
    node('Unsqueeze', [part('shares'), own('column axis')], [part('shares of columns')]),
    node('Split', [part('shares of columns'), parts], [part('own share'), part('past shares')], [last]),
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
    node('Reshape', [past.value, own('columns')], [own1('values')]),
    ...attend(own1, own1('values')),
    node('Reshape', [alone.v, own('columns')], [own1('new values')]),
    node('Mul', [own1('own share'), own1('new values')], [own1('own mixed')]),
    together(own1('past mixed'), own1('own mixed'), own1('mixed')),
    node('Transpose', [own1('mixed')], [own1('turned')], [ints('perm', [0, 1, 3, 2, 4])]),
    node('Reshape', [own1('turned'), own('joined, one token')], [own1('out')]),
  ];
  const among = site.before(ownN, false);
  const written = (from: string, places: string, rows: string, to: string) => [
    node('Slice', [from, own('begin'), stepInputs.keys, own('column axis')], [`${to}, before`]),
    node('ScatterND', [`${to}, before`, places, rows], [to]),
  ];
  const many = [
    ...among.nodes,
    node('Reshape', [among.q, own('grouped')], [ownN('grouped q')]),
    ...written(past.key, stepInputs.places, among.k, ownN('keys')),
    product(ownN('grouped q'), ownN('keys'), ownN('past scores'), scale, 1),
    node('GatherElements', [ownN('past scores'), ofGroup(stepInputs.own)], [ownN('own scores')], [last]),
    node('Reshape', [among.v, own('rows of columns')], [ownN('rows of v')]),
    node('Transpose', [ownN('rows of v')], [ownN('new values')], [ints('perm', [0, 1, 3, 2, 4])]),
    node('Reshape', [ownN('new values'), own('columns as heads')], [ownN('new values as heads')]),
    ...written(past.value, stepInputs.valuePlaces, ownN('new values as heads'), ownN('values as heads')),
    node('Reshape', [ownN('values as heads'), own('columns')], [ownN('values')]),
    ...attend(ownN, ownN('values')),
    node('Reshape', [ownN('own share'), own('own shares')], [ownN('group shares')]),
    node('Unsqueeze', [ownN('new values'), own('group axis')], [ownN('own values')]),
    node('Mul', [ownN('group shares'), ownN('own values')], [ownN('group mixed')]),
    node('Reshape', [ownN('past mixed'), own('columns by group')], [ownN('past by group')]),
    together(ownN('past by group'), ownN('group mixed'), ownN('mixed')),
    node('Transpose', [ownN('mixed')], [ownN('turned')], [ints('perm', [0, 4, 1, 3, 2, 5])]),
    node('Reshape', [ownN('turned'), own('joined')], [ownN('out')]),
  ];
  // Keys that a branch makes it gives; those that were there before it are named anew.
  const makesKeys = alone.nodes.some(({ output }) => output.includes(alone.k));
  const outputs = [
    { name: site.output, one: own1('out'), many: ownN('out'), dims: ['b', 's', 'w'] },
    {
      name: newRows(past.value),
      one: own1('new values'),
      many: ownN('new values'),
      dims: ['b', 'h', 'c', 's', 'd'],
    },
    ...(makesKeys
      ? [{ name: newRows(past.key), one: alone.k, many: among.k, dims: ['b', 'h', 's', 'd'] }]
      : []),
  ];
  const branch = (name: string, nodes: OnnxNode[], which: 'one' | 'many') => {
    const output = outputs.map((each) => value(each[which], each.dims));
    return { name, type: 5, g: { name: own(name), node: nodes, initializer: [], input: [], output } };
  };
  const choice = node(
    'If',
    [stepInputs.oneToken],
    outputs.map(({ name }) => name),
    [branch('then_branch', one, 'one'), branch('else_branch', many, 'many')],
  );
  const there = makesKeys ? [] : [node('Identity', [alone.k], [newRows(past.key)])];
  return { nodes: [choice, ...there], constants };
}

const value = (name: string, dims: string[]): OnnxValueInfo => ({
  name,
  type: { tensorType: { elemType: FLOAT32, shape: { dim: dims.map((dimParam) => ({ dimParam })) } } },
});
