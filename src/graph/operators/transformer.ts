/** The parts of a transformer that pay for being one piece: rotary positions, attention, the language-model loss. */
import { int, numberOf, type Operator, type Value } from '../graph.ts';
import { type Dim, formatShape, product } from '../shape.ts';
import { add, cast, div, log, max, min, mul, neg, sub } from './elementwise.ts';
import { gather, gatherElements, scatterAdd } from './indexing.ts';
import { concat, dimensionSize, range, reshape, slice, split, sum } from './layout.ts';
import { matmul } from './matmul.ts';
import { softmax } from './normalization.ts';
import { reduceMean, reduceSum } from './reduction.ts';

/**
 * onnxruntime's rotary embedding: pairs (i, i + half) of each head are turned by the angle of their position.
 * Turning is orthogonal, so the gradient is turned back: the same operator with the sines negated.
 */
const rotaryOperator: Operator = {
  name: 'RotaryEmbedding',
  domain: 'com.microsoft',
  infer([x, positions, cos, sin]) {
    const half = cos!.shape.at(-1) as number;
    if (x!.shape.length !== 4 || x!.shape[3] !== 2 * half || cos!.shape.join() !== sin!.shape.join()) {
      throw new Error(
        `RotaryEmbedding needs x [batch, heads, seq, ${2 * half}] and equal cos and sin [positions, ${half}], got ${formatShape(x!.shape)}, ${formatShape(cos!.shape)} and ${formatShape(sin!.shape)}.`,
      );
    }
    if (positions!.dtype !== 'int64')
      throw new Error(`RotaryEmbedding needs int64 positions, got ${positions!.dtype}.`);
    return [{ dtype: x!.dtype, shape: x!.shape }];
  },
  gradient({ inputs, gradients }) {
    const [, positions, cos, sin] = inputs as Value[];
    return [rotary(gradients[0]!, positions, cos, neg(sin)), undefined, undefined, undefined];
  },
};

/**
 * Rotary position embedding (Su et al., 2021), the halves layout of Llama.
 * x `[batch, heads, seq, head_dim]`, positions int64 `[batch, seq]`, cos and sin `[max_positions, head_dim / 2]`.
 */
export function rotary(x: Value, positions: Value, cos: Value, sin: Value): Value {
  return x.graph.apply(rotaryOperator, [x, positions, cos, sin], {
    interleaved: int(0),
  })[0];
}

/** cos and sin of position · theta^(-2i / head_dim), each `[positions, head_dim / 2]`. */
export function rotaryTables(
  positions: number,
  headDim: number,
  theta: number,
): { cos: Float32Array; sin: Float32Array } {
  const half = headDim / 2;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < half; i++) {
      const angle = position * theta ** (-i / half);
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}

/**
 * Causal attention with grouped queries (Ainslie et al., 2023), softmax(q·kᵀ / √head_dim + mask)·v.
 * q `[batch, heads, seq, head_dim]`; k and v `[batch, kv_heads, seq, head_dim]`, kv_heads dividing heads; the
 * mask `[seq, seq]` of `causalMask`. Returns q's shape.
 *
 * The gradient of softmax needs Σ p·dp for each row of scores. That sum is Σ o·do, over head_dim instead of seq
 * (Dao et al., 2022, appendix B), which is why attention has a gradient rule as one piece.
 */
export function causalAttention(q: Value, k: Value, v: Value, mask: Value): Value {
  const [batch, heads, seq, headDim] = q.shape;
  const kvHeads = k.shape[1];
  const groups = Number(heads) / Number(kvHeads);
  const fits = k.shape.join() === v.shape.join() && k.shape.join() === [batch, kvHeads, seq, headDim].join();
  if (!Number.isInteger(groups) || !fits) {
    throw new Error(
      `Attention needs q [batch, heads, seq, dim] and equal k and v [batch, kv_heads, seq, dim] with kv_heads dividing heads, got ${formatShape(q.shape)}, ${formatShape(k.shape)} and ${formatShape(v.shape)}.`,
    );
  }
  const parts = typeof seq === 'number' ? queryBlocks(seq) : [seq];
  const queries = split(q, parts as number[], 2);
  const blocks = parts.map((length, i) => {
    // Keys after a block's last query are masked for all of it: leave them out of the products altogether.
    const end = i === parts.length - 1 ? seq : (length as number) * (i + 1);
    return attendBlock(
      queries[i],
      prefix(k, end),
      prefix(v, end),
      prefix(split(mask, parts as number[], 0)[i], end, 1),
    );
  });
  const output = concat(
    blocks.map(({ output }) => output),
    2,
  );
  return q.graph.composite('CausalAttention', [q, k, v], output, (gradient) => {
    const flowing = split(gradient, parts as number[], 2);
    const back = blocks.map(({ backward }, i) => backward(flowing[i]));
    return [
      concat(
        back.map(([dq]) => dq),
        2,
      ),
      overlapSum(
        back.map(([, dk]) => dk),
        parts,
      ),
      overlapSum(
        back.map(([, , dv]) => dv),
        parts,
      ),
    ];
  });
}

/**
 * Attention in which every query sees every key that the mask allows, softmax(q·kᵀ / √head_dim + mask)·v, with the
 * gradient rule of `causalAttention`.
 * q `[batch, heads, queries, head_dim]`; k and v `[batch, kv_heads, keys, head_dim]`; the mask, where there is one,
 * broadcasts to `[batch, heads, queries, keys]`. Returns q's shape.
 */
export function attention(q: Value, k: Value, v: Value, mask?: Value): Value {
  const [batch, heads, , headDim] = q.shape;
  const groups = Number(heads) / Number(k.shape[1]);
  const fits = k.shape.join() === v.shape.join() && k.shape[0] === batch && k.shape[3] === headDim;
  if (!Number.isInteger(groups) || !fits) {
    throw new Error(
      `Attention needs q [batch, heads, queries, dim] and equal k and v [batch, kv_heads, keys, dim] with kv_heads dividing heads, got ${formatShape(q.shape)}, ${formatShape(k.shape)} and ${formatShape(v.shape)}.`,
    );
  }
  const { output, backward } = attendBlock(q, k, v, mask);
  return q.graph.composite('Attention', [q, k, v], output, backward);
}

/** Attention of a block of queries over keys `[batch, kv_heads, keys, head_dim]`, and its gradient. */
function attendBlock(
  q: Value,
  k: Value,
  v: Value,
  mask?: Value,
): { output: Value; backward: (gradient: Value) => Value[] } {
  const [batch, heads, length, headDim] = q.shape;
  const [, kvHeads, keys] = k.shape;
  // Query heads that share a key head stand next to each other: read as more rows, they need no copies of k and v.
  const rows = product([Number(heads) / Number(kvHeads), length]);
  const grouped = (x: Value, width: Dim) => reshape(x, [batch, kvHeads, rows, width]);
  const alpha = 1 / Math.sqrt(headDim as number);
  const queries = grouped(q, headDim);
  const scores = reshape(matmul(queries, k, { transB: true, alpha }), [batch, heads, length, keys]);
  const p = grouped(softmax(mask ? add(scores, mask) : scores), keys);
  const mixed = matmul(p, v);
  return {
    output: reshape(mixed, q.shape),
    backward(gradient) {
      const g = grouped(gradient, headDim);
      const dp = matmul(g, v, { transB: true });
      const dScores = mul(p, sub(dp, reduceSum(mul(g, mixed), [-1])));
      return [
        reshape(matmul(dScores, k, { alpha }), q.shape),
        matmul(dScores, queries, { transA: true, alpha }),
        matmul(p, g, { transA: true }),
      ];
    },
  };
}

/** Lengths of the blocks of queries: smaller blocks skip more of the masked half, but make smaller products. */
function queryBlocks(seq: number): number[] {
  const count = [4, 2].find((parts) => seq % parts === 0 && seq / parts >= 64) ?? 1;
  return Array.from({ length: count }, () => seq / count);
}

/** The first `length` places of an axis. */
function prefix(x: Value, length: Dim, axis = 2): Value {
  return x.shape[axis] === length ? x : slice(x, 0, length as number, axis);
}

/** The sum of gradients of growing prefixes, block by block: block i is in all prefixes from the i-th on. */
function overlapSum(prefixes: Value[], parts: readonly Dim[]): Value {
  const cut = prefixes.map((x, i) => split(x, parts.slice(0, i + 1) as number[], 2));
  return concat(
    parts.map((_, block) => sum(cut.slice(block).map((blocks) => blocks[block]))),
    2,
  );
}

/** 0 where a query may look, below -1e9 where it may not: float32 `[seq, seq]`. */
export function causalMask(like: Value, seq: Dim): Value {
  const position = cast(range(like, seq), 'float32');
  const distance = sub(reshape(position, [seq, 1]), reshape(position, [1, seq]));
  return mul(min(distance, like.graph.scalar(0)), like.graph.scalar(1e9));
}

/**
 * The mean negative log-likelihood, in nats, of target tokens under softmax(hidden · tableᵀ).
 * hidden `[rows, width]`, table `[vocab, width]`, targets int64 `[rows]`; a scalar. Probabilities count as at
 * least 1e-30 (69 nats).
 *
 * The gradient of the logits is softmax minus one-hot. Taken as one piece with the product before it, the one-hot
 * part is a lookup and a scatter of rows, and the logits `[rows, vocab]` are passed over no more than needed.
 */
export function linearCrossEntropy(hidden: Value, table: Value, targets: Value): Value {
  const [rows, width] = hidden.shape;
  if (
    hidden.shape.length !== 2 ||
    table.shape.length !== 2 ||
    table.shape[1] !== width ||
    targets.shape.join() !== `${rows}`
  ) {
    throw new Error(
      `The cross-entropy needs hidden [rows, width], a table [vocab, width] and targets [rows], got ${formatShape(hidden.shape)}, ${formatShape(table.shape)} and ${formatShape(targets.shape)}.`,
    );
  }
  const { graph } = hidden;
  const p = softmax(matmul(hidden, table, { transB: true }));
  const likelihood = gatherElements(p, reshape(targets, [rows, 1]), 1);
  const loss = reduceMean(neg(log(max(likelihood, graph.scalar(1e-30)))), undefined, false);
  return graph.composite('LinearCrossEntropy', [hidden, table, targets], loss, (gradient) => {
    const count =
      typeof rows === 'number'
        ? graph.scalar(rows)
        : cast(reshape(dimensionSize(hidden, rows), []), 'float32');
    const scale = div(gradient, count);
    const scaled = mul(hidden, scale);
    const dHidden = mul(sub(matmul(p, table), gather(table, targets)), scale);
    const dTable = scatterAdd(matmul(p, scaled, { transA: true }), reshape(targets, [rows, 1]), neg(scaled));
    return [dHidden, dTable, undefined];
  });
}

/** onnxruntime's attention with a key-value cache: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md */
const groupQueryAttentionOperator: Operator = {
  name: 'GroupQueryAttention',
  domain: 'com.microsoft',
  infer(inputs, attributes) {
    const [qkv, , , pastKey] = inputs as Value[];
    const [batch, seq, packed] = qkv.shape;
    const [, kvHeads, past, headDim] = pastKey.shape;
    const heads = numberOf(attributes, 'num_heads');
    const expected = (heads + 2 * Number(kvHeads)) * Number(headDim);
    if (packed !== expected) {
      throw new Error(
        `GroupQueryAttention needs query, key and value side by side as [batch, seq, ${expected}], got ${formatShape(qkv.shape)}.`,
      );
    }
    const cache = {
      dtype: qkv.dtype,
      shape: [batch, kvHeads, `${past}+${seq}`, headDim],
    };
    return [{ dtype: qkv.dtype, shape: [batch, seq, heads * Number(headDim)] }, cache, cache];
  },
};

/**
 * Attention of inference: turns query and key by their positions, appends key and value to the cache, and attends
 * causally over all of it.
 * qkv `[batch, seq, (heads + 2·kv_heads)·head_dim]`, past `[batch, kv_heads, past, head_dim]`; `last` int32 `[batch]`
 * is each row's length less one, `total` an int32 scalar, the longest length.
 */
export function groupQueryAttention(
  qkv: Value,
  past: { key: Value; value: Value },
  {
    last,
    total,
    cos,
    sin,
    positions,
  }: { last: Value; total: Value; cos: Value; sin: Value; positions: Value },
  heads: { num_attention_heads: number; num_key_value_heads: number },
): { output: Value; key: Value; value: Value } {
  const [output, key, value] = qkv.graph.apply(
    groupQueryAttentionOperator,
    [qkv, undefined, undefined, past.key, past.value, last, total, cos, sin, positions],
    {
      num_heads: int(heads.num_attention_heads),
      kv_num_heads: int(heads.num_key_value_heads),
      do_rotary: int(1),
    },
  );
  return { output, key, value };
}
