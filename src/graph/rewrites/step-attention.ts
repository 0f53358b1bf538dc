/**
 * Attention of a step over a cache that the graph reads and does not copy.
 *
 * Each query attends to the positions before its own, in their order, and to its own key apart, so that its sums run
 * the same way whether its step held one token or many: first its own score, then those of positions 0, 1, 2 … up to
 * the capacity, masked from its own on. With one token the past is read where it lies. With many, the new keys and
 * values are first written among the old ones, in a copy.
 */
import type { OnnxNode, OnnxTensor, OnnxValueInfo } from '../onnx.ts';
import { type AttentionSite, float, int64s, ints, node } from './attention-sites.ts';
import { intAttribute } from './model-edits.ts';

/** The inputs that a step's graph has beside `input_ids`, `position_ids` and `past_key_values.N.key|value`. */
export const stepInputs = {
  /** bool, a scalar: whether every row has one token. */
  oneToken: 'one_token',
  /** `[batch, 1, seq, 1 + capacity]`: 0 where a query may look, -Infinity where not; its own key is first. */
  bias: 'attention_bias',
  /** int64 `[2]`: 1 and the capacity. */
  parts: 'attention_parts',
  /** int64 `[batch, kv_heads, seq, 3]`: row, head and position where each new key and value goes; many tokens only. */
  places: 'write_places',
  /** int64 `[rows]`: after which tokens logits are wanted, counted through all rows of the batch. */
  rows: 'logit_rows',
} as const;

const FLOAT32 = 1;

/** The bias for each query of a group, which stand one group member after the other. */
export const groupBias = 'attention_bias:group';

/** The nodes of one site, and what they need stored. */
export function stepAttention(site: AttentionSite): { nodes: OnnxNode[]; constants: OnnxTensor[] } {
  const { past, heads, kvHeads, dim, q, k, v, mixed, before, after, scale } = site;
  const group = heads / kvHeads;
  const own = (part: string) => `${past.key}:${part}`;
  const shape = (part: string, dims: number[]) => int64s(own(part), dims);
  const constants = [
    ...site.constants,
    shape('grouped', [0, kvHeads, -1, dim]),
    shape('heads', [0, heads, -1, dim]),
    shape('by group', [0, kvHeads, group, -1, dim]),
    shape('scores', [0, kvHeads, -1, 1]),
    shape('own shares', [0, kvHeads, group, -1, 1]),
    shape('group axis', [2]),
    shape('key axis', [3]),
  ];
  // Halved and doubled again: onnxruntime has another kernel, with other roundings, for one row and a factor of 1.
  const product = (a: string, b: string, to: string, alpha: number, transB: number) => [
    node(
      'FusedMatMul',
      [a, b],
      [alpha === 1 ? `${to}:half` : to],
      [float('alpha', alpha === 1 ? 0.5 : alpha), intAttribute('transB', transB)],
      'com.microsoft',
    ),
    ...(alpha === 1 ? [node('Add', [`${to}:half`, `${to}:half`], [to])] : []),
  ];
  const attend = (prefix: string, keys: string, values: string, ownScores: string) => [
    ...product(own(`${prefix}q`), keys, own(`${prefix}past scores`), scale, 1),
    node(
      'Concat',
      [ownScores, own(`${prefix}past scores`)],
      [own(`${prefix}scores`)],
      [intAttribute('axis', -1)],
    ),
    node('Add', [own(`${prefix}scores`), groupBias], [own(`${prefix}masked`)]),
    node('Softmax', [own(`${prefix}masked`)], [own(`${prefix}shares`)], [intAttribute('axis', -1)]),
    node(
      'Split',
      [own(`${prefix}shares`), stepInputs.parts],
      [own(`${prefix}own share`), own(`${prefix}past shares`)],
      [intAttribute('axis', -1)],
    ),
    ...product(own(`${prefix}past shares`), values, own(`${prefix}past mixed`), 1, 0),
  ];
  const one = [
    node('Reshape', [q, own('grouped')], [own('1:q')]),
    ...product(own('1:q'), k, own('1:own scores'), scale, 1),
    ...attend('1:', past.key, past.value, own('1:own scores')),
    node('Mul', [own('1:own share'), v], [own('1:own mixed')]),
    node('Add', [own('1:past mixed'), own('1:own mixed')], [own('1:mixed')]),
    node('Reshape', [own('1:mixed'), own('heads')], [own('1:out')]),
  ];
  const many = [
    node('Reshape', [q, own('grouped')], [own('n:q')]),
    // Each position's queries with its own key, as one token alone has them.
    node('Reshape', [q, own('by group')], [own('n:by group')]),
    node('Transpose', [own('n:by group')], [own('n:by position')], [ints('perm', [0, 1, 3, 2, 4])]),
    node('Unsqueeze', [k, own('key axis')], [own('n:own keys')]),
    ...product(own('n:by position'), own('n:own keys'), own('n:position scores'), scale, 1),
    node('Transpose', [own('n:position scores')], [own('n:group scores')], [ints('perm', [0, 1, 3, 2, 4])]),
    node('Reshape', [own('n:group scores'), own('scores')], [own('n:own scores')]),
    node('ScatterND', [past.key, stepInputs.places, k], [own('n:keys')]),
    node('ScatterND', [past.value, stepInputs.places, v], [own('n:values')]),
    ...attend('n:', own('n:keys'), own('n:values'), own('n:own scores')),
    node('Reshape', [own('n:own share'), own('own shares')], [own('n:group shares')]),
    node('Unsqueeze', [v, own('group axis')], [own('n:own values')]),
    node('Mul', [own('n:group shares'), own('n:own values')], [own('n:group mixed')]),
    node('Reshape', [own('n:group mixed'), own('grouped')], [own('n:own mixed')]),
    node('Add', [own('n:past mixed'), own('n:own mixed')], [own('n:mixed')]),
    node('Reshape', [own('n:mixed'), own('heads')], [own('n:out')]),
  ];
  const branch = (name: string, nodes: OnnxNode[]) => {
    const output = nodes.at(-1)!.output[0];
    const info = {
      name: output,
      type: {
        tensorType: {
          elemType: FLOAT32,
          shape: { dim: ['b', 'h', 's', 'd'].map((dimParam) => ({ dimParam })) },
        },
      },
    } as OnnxValueInfo;
    return { name, type: 5, g: { name: output, node: nodes, initializer: [], input: [], output: [info] } };
  };
  const choice = node(
    'If',
    [stepInputs.oneToken],
    [mixed],
    [branch('then_branch', one), branch('else_branch', many)],
  );
  return { nodes: [...before, choice, ...after], constants };
}
