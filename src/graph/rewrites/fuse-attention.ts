/**
 * Attention in single operators, as PyTorch's exporter writes it, becomes onnxruntime's GroupQueryAttention: softmax(q·kᵀ
 * times a scale + mask)·v over keys and values that are appended to a cache
 * (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
 *
 * The operator attends to what stands before, and counts places that are no padding; so padding stands behind. A graph
 * with any other mask (a window, a bias for distances) is left as it is.
 */
import type { OnnxModel, OnnxNode, OnnxTensor } from '../onnx.ts';
import { tensorData } from '../onnx.ts';
import { fromFloat16 } from './float16.ts';
import {
  attributeOf,
  declareContrib,
  dimsOf,
  dropUnused,
  intAttribute,
  sortNodes,
  storedTensor,
} from './model-edits.ts';

/** One layer's attention. Keys, values and queries are `[batch, heads, sequence, width]`. */
interface Site {
  past: Record<Part, string>;
  /** The new ones. */
  fresh: Record<Part, string>;
  /** Old and new together. */
  present: Record<Part, string>;
  query: string;
  heads: number;
  kvHeads: number;
  width: number;
  scale: number;
  /** What the rest of the graph reads: `[batch, sequence, heads * width]`. */
  output: string;
  /** Nodes whose outputs the fused one gives. */
  replaced: OnnxNode[];
}
type Part = 'key' | 'value';

/** Why a graph is left as it is. */
class Unfit extends Error {}
const unfit = (why: string): never => {
  throw new Unfit(why);
};

/**
 * Fuses the attention of all layers, in place.
 * @returns in a sentence why the graph is left as it is; nothing if it was changed
 */
export function fuseAttention(model: OnnxModel): string | undefined {
  const { graph } = model;
  try {
    const sites = sitesOf(model);
    graph.node.unshift(...lengths);
    graph.initializer.push(...sites.flatMap(shapes), ...constants);
    for (const site of sites) {
      graph.node.splice(graph.node.indexOf(site.replaced[0]), 0, ...fused(site));
      graph.node = graph.node.filter((node) => !site.replaced.includes(node));
    }
  } catch (error) {
    if (error instanceof Unfit) return error.message;
    throw error;
  }
  // What was told of values between does not hold any more.
  graph.valueInfo = undefined;
  declareContrib(model);
  dropUnused(model);
  sortNodes(model);
  return undefined;
}

const name = (part: string) => `fused_attention:${part}`;
const node = (
  opType: string,
  input: string[],
  output: string[],
  attribute: OnnxNode['attribute'] = [],
): OnnxNode => ({ name: output[0], opType, input, output, attribute });

/** The last place of each row that is no padding, and how many places there are. */
const lengths: OnnxNode[] = [
  node('ReduceSum', ['attention_mask', name('1')], [name('count')], [intAttribute('keepdims', 0)]),
  node('Cast', [name('count')], [name('count32')], [intAttribute('to', 6)]),
  node('Sub', [name('count32'), name('one')], [name('last')]),
  node('Shape', ['attention_mask'], [name('mask shape')]),
  node('Gather', [name('mask shape'), name('second')], [name('places')], [intAttribute('axis', 0)]),
  node('Cast', [name('places')], [name('total')], [intAttribute('to', 6)]),
];
const constants: OnnxTensor[] = [
  storedTensor(name('1'), BigInt64Array.of(1n), [1], 'int64'),
  storedTensor(name('second'), BigInt64Array.of(1n), [], 'int64'),
  storedTensor(name('one'), Int32Array.of(1), [1], 'int32'),
];

const flat = (site: Site, heads: 'query' | 'keys') => name(`${site.past.key}:${heads}`);
const shapes = (site: Site): OnnxTensor[] =>
  (['query', 'keys'] as const).map((which) => {
    const heads = which === 'query' ? site.heads : site.kvHeads;
    const dims = BigInt64Array.of(0n, 0n, BigInt(heads * site.width));
    return storedTensor(flat(site, which), dims, [3], 'int64');
  });

function fused(site: Site): OnnxNode[] {
  const { past, fresh, present, query, heads, kvHeads, scale, output } = site;
  const rows = [
    [query, 'query'],
    [fresh.key, 'keys'],
    [fresh.value, 'keys'],
  ] as const;
  const flattened = rows.flatMap(([from, which], i) => [
    node('Transpose', [from], [`${output}:${i}t`], [{ name: 'perm', type: 7, ints: [0, 2, 1, 3] }]),
    node('Reshape', [`${output}:${i}t`, flat(site, which)], [`${output}:${i}`]),
  ]);
  const attention = node(
    'GroupQueryAttention',
    [...rows.map((_, i) => `${output}:${i}`), past.key, past.value, name('last'), name('total')],
    [output, present.key, present.value],
    [
      intAttribute('num_heads', heads),
      intAttribute('kv_num_heads', kvHeads),
      { name: 'scale', type: 1, f: scale },
    ],
  );
  return [...flattened, { ...attention, domain: 'com.microsoft' }];
}

/** Operators between what is read and what is computed with it, that leave each number as it is. */
const repeats = new Set(['Unsqueeze', 'Expand', 'Reshape', 'Identity', 'Cast']);

function sitesOf(model: OnnxModel): Site[] {
  const { graph, opsetImport } = model;
  const opset = Number(opsetImport.find(({ domain }) => !domain)?.version ?? 0);
  if (opset < 13) unfit(`its operators are of version ${opset}, before 13`);
  if (!graph.input.some((input) => input.name === 'attention_mask')) unfit('it takes no attention_mask');
  const stored = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  const makers = new Map(graph.node.flatMap((each) => each.output.map((output) => [output, each] as const)));
  const readers = new Map<string, OnnxNode[]>();
  for (const each of graph.node)
    for (const input of new Set(each.input ?? [])) readers.set(input, [...(readers.get(input) ?? []), each]);
  const read = (value: string) => readers.get(value) ?? [];
  /** The only node that computes with a value; its shape may be read elsewhere. */
  const reader = (value: string): OnnxNode => {
    const all = read(value).filter(({ opType }) => opType !== 'Shape');
    return all.length === 1 ? all[0] : unfit(`${value} is read at ${all.length} places`);
  };
  const masks = new Set<string>();
  const sites = graph.input
    .filter((input) => /^past_key_values\..*\.key$/.test(input.name))
    .map((input): Site => {
      const [, kvHeads, , width] = input.type.tensorType.shape.dim.map(({ dimValue }) =>
        Number(dimValue ?? 0),
      );
      if (!kvHeads || !width) unfit(`the shape of ${input.name} is not known`);
      if (width % 8 !== 0) unfit(`its heads have ${width} numbers, which is no multiple of 8`);
      const past = { key: input.name, value: input.name.replace(/key$/, 'value') };
      const [key, value] = [appended(past.key), appended(past.value)];
      const keys = follow(key.output[0]);
      const values = follow(value.output[0]);
      if (keys.turned !== 1 || keys.at !== 1 || values.turned !== 0 || values.at !== 1)
        unfit(`what becomes of ${past.key} is not the attention that is known`);
      const query = unscaled(keys.product.input[0]);
      const scores = softmaxOf(keys.product.output[0]);
      masks.add(scores.mask);
      if (values.product.input[0] !== scores.weights)
        unfit(`${past.value} is not weighed by what its keys give`);
      const back = reader(values.product.output[0]);
      const joined = reader(back.output[0]);
      if (back.opType !== 'Transpose' || perm(back) !== '0,2,1,3' || joined.opType !== 'Reshape')
        unfit(`the heads of ${past.key} are joined in a way that is not known`);
      const heads = rowsBehind(joined.output[0]) / width;
      if (!Number.isInteger(heads / kvHeads)) unfit(`the heads of ${past.key} cannot be told`);
      return {
        ...{ past, heads, kvHeads, width },
        fresh: { key: key.input[1], value: value.input[1] },
        present: { key: key.output[0], value: value.output[0] },
        query: query.value,
        scale: query.scale * keys.scale * scores.scale,
        output: joined.output[0],
        replaced: [joined, key, value],
      };
    });
  if (sites.length === 0) unfit('it has no cache of keys and values');
  for (const mask of masks) checkMask(mask);
  return sites;

  /** Where new rows are appended to a past; one alone may have been joined before. */
  function appended(past: string): OnnxNode {
    const found = reader(past);
    if (found.opType !== 'Concat') unfit(`${past} is not appended to`);
    if (found.input.length === 1) return appended(found.output[0]);
    if (
      found.input.length !== 2 ||
      found.input[0] !== past ||
      ![2, -2].includes(attributeOf(found, 'axis', 0))
    )
      unfit(`${past} is not appended to along its positions`);
    return found;
  }

  /** From keys or values to the product with them. */
  function follow(from: string): { product: OnnxNode; at: number; turned: number; scale: number } {
    let [value, turned, scale] = [from, 0, 1];
    for (;;) {
      const next = reader(value);
      if (next.opType === 'MatMul') return { product: next, at: next.input.indexOf(value), turned, scale };
      if (next.opType === 'Transpose' && perm(next) === '0,1,3,2') turned++;
      else if (next.opType === 'Mul') scale *= factorOf(next, value);
      else if (!repeats.has(next.opType)) unfit(`${from} goes through ${next.opType}`);
      value = next.output[0];
    }
  }

  /** The factor that a product or a quotient with a number comes to. */
  function factorOf({ opType, input }: OnnxNode, value: string): number {
    if (opType === 'Div')
      return input[0] === value ? 1 / scalar(input[1]) : unfit('something is divided by scores');
    return scalar(input[0] === value ? input[1] : input[0]);
  }

  function unscaled(value: string): { value: string; scale: number } {
    const maker = makers.get(value);
    if (maker?.opType !== 'Mul' && maker?.opType !== 'Div') return { value, scale: 1 };
    const from = isScalar(maker.input[0]) ? maker.input[1] : maker.input[0];
    return isScalar(maker.input[from === maker.input[0] ? 1 : 0])
      ? { value: from, scale: factorOf(maker, from) }
      : { value, scale: 1 };
  }

  /** From scores to weights: a scale perhaps, a mask, softmax; in higher precision perhaps. */
  function softmaxOf(from: string): { weights: string; mask: string; scale: number } {
    let [value, scale, mask, soft] = [from, 1, '', false];
    for (;;) {
      const cleared = soft ? clearedOf(value) : undefined;
      if (cleared) {
        value = cleared;
        continue;
      }
      const next = reader(value);
      const { opType } = next;
      if (opType === 'MatMul' && soft && mask) return { weights: value, mask, scale };
      if (!mask && (opType === 'Mul' || opType === 'Div')) scale *= factorOf(next, value);
      else if (!mask && opType === 'Add') mask = next.input.find((input) => input !== value)!;
      else if (mask && !soft && opType === 'Softmax') soft = [3, -1].includes(attributeOf(next, 'axis', -1));
      else if (opType !== 'Cast' && opType !== 'Identity') unfit(`scores go through ${opType}`);
      value = next.output[0];
    }
  }

  /** Weights with 0 where they are no numbers, as those are of a row that is masked as a whole. */
  function clearedOf(weights: string): string | undefined {
    const [test, ...others] = read(weights).filter(({ opType }) => opType === 'IsNaN');
    const where = test && others.length === 0 ? reader(test.output[0]) : undefined;
    if (where?.opType !== 'Where' || where.input[2] !== weights || read(weights).length !== 2)
      return undefined;
    return scalar(where.input[1]) === 0 ? where.output[0] : undefined;
  }

  /** The rows of the matrix that joined heads are multiplied with. */
  function rowsBehind(value: string): number {
    const next = read(value).find(({ opType }) => opType !== 'Shape');
    if (!next) return unfit(`${value} is multiplied with nothing`);
    if (next.opType === 'MatMulNBits') return attributeOf(next, 'K', 0);
    const weight = next.input.slice(1).map((input) => stored.get(input))[0];
    if (weight && ['MatMul', 'FusedMatMul', 'MatMulInteger', 'Gemm'].includes(next.opType))
      return dimsOf(weight)[attributeOf(next, 'transB', 0)];
    if (!['DynamicQuantizeLinear', 'Reshape', 'Identity', 'Cast'].includes(next.opType))
      return unfit(`joined heads go through ${next.opType}`);
    return rowsBehind(next.output[0]);
  }

  function tensorOf(value: string): OnnxTensor | undefined {
    const maker = makers.get(value);
    if (maker?.opType !== 'Constant') return stored.get(value);
    return maker.attribute.find((each) => each.name === 'value')?.t as OnnxTensor | undefined;
  }

  function isScalar(value: string): boolean {
    const tensor = tensorOf(value);
    if (tensor) return dimsOf(tensor).reduce((product, dim) => product * dim, 1) === 1;
    return makers.get(value)?.opType === 'Sqrt' && isScalar(makers.get(value)!.input[0]);
  }

  function scalar(value: string): number {
    if (!isScalar(value)) return unfit(`${value} is no number`);
    const tensor = tensorOf(value);
    if (!tensor) return Math.sqrt(scalar(makers.get(value)!.input[0]));
    if (tensor.dataType !== 1 && tensor.dataType !== 10) return unfit(`${value} is no float`);
    const [inField] = (tensor.floatData as number[] | undefined) ?? [];
    if (inField !== undefined) return inField;
    const data = tensorData(tensor);
    return data instanceof Uint16Array ? fromFloat16(data)[0] : Number(data[0]);
  }

  /** That a mask says of each place whether it stands before, and is no padding, and nothing more. */
  function checkMask(mask: string): void {
    let comparisons = 0;
    const seen = new Set<string>();
    const open = [mask];
    for (let value = open.pop(); value !== undefined; value = open.pop()) {
      const maker = makers.get(value);
      if (seen.has(value)) continue;
      seen.add(value);
      if (!maker || maker.opType === 'Constant') {
        const size = dimsOf(tensorOf(value) ?? { name: '', dims: [], dataType: 0 }).reduce(
          (a, b) => a * b,
          1,
        );
        if (size > 1 && [1, 10].includes(tensorOf(value)!.dataType))
          unfit(`its mask has numbers of its own, ${value}`);
        continue;
      }
      const { opType, input } = maker;
      if (comparing.has(opType)) comparisons++;
      else if (!masking.has(opType)) unfit(`its mask goes through ${opType}`);
      // Shapes say how far a mask reaches, not what it is.
      if (!lengthsOnly.has(opType)) open.push(...(shaping.has(opType) ? input.slice(0, 1) : input));
    }
    if (comparisons !== 1) unfit(`its mask compares positions ${comparisons} times, not once`);
  }
}

const comparing = new Set(['LessOrEqual', 'Less', 'GreaterOrEqual', 'Greater']);
/** Operators of which the first input is the mask, and the others a shape. */
const shaping = new Set(['Expand', 'Reshape', 'Unsqueeze', 'Slice', 'Flatten']);
/** Operators of which no input is. */
const lengthsOnly = new Set(['Shape', 'ConstantOfShape']);
const masking = new Set([
  ...[...shaping, ...lengthsOnly, 'Where', 'And', 'Not', 'Gather', 'Cast', 'Range', 'Add', 'Mul', 'Concat'],
  'Identity',
]);

const perm = ({ attribute = [] }: OnnxNode): string =>
  ((attribute.find((each) => each.name === 'perm')?.ints as number[] | undefined) ?? []).map(Number).join();
