/**
 * Weights of a decoder's graph in 8 or 4 bits: products with stored matrices become onnxruntime's MatMulNBits, the
 * table of embeddings its GatherBlockQuantized
 * (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
 */
import type { OnnxModel, OnnxNode, OnnxTensor } from '../onnx.ts';
import { tensorData } from '../onnx.ts';
import { type Bits, type QuantizedRows, quantizeRows } from './block-quantization.ts';
import {
  attributeOf,
  declareContrib,
  dimsOf,
  dropUnused,
  headOf,
  intAttribute,
  storedTensor,
} from './model-edits.ts';

/** Bits of a weight; `full` leaves it as it is. */
export type Precision = Bits | 'full';

export interface QuantizeOptions {
  /** Of the matrices inside the layers. */
  bits: Bits;
  /** Of the product that gives the logits, to which small errors are dear. */
  head?: Precision;
  /** Of the table of embeddings. */
  embedding?: Precision;
  /** Weights that share a scale: 16, 32, 64, … */
  block?: number;
}

export interface QuantizeReport {
  /** Matrices that were quantised, and those left, by name. */
  quantized: string[];
  left: string[];
}

/** Products with less weights than this are not worth a kernel of their own. */
const SMALLEST = 4096;
/** Products computed in whole numbers of 8 bits, the fastest that processors have. */
const ACCURACY_LEVEL = 4;

/** A product of an activation with a stored matrix, as MatMulNBits takes it. */
interface Product {
  node: OnnxNode;
  weight: OnnxTensor;
  /** Whether the matrix is stored `[n, k]` and not `[k, n]`. */
  transposed: boolean;
  bias?: string;
}

/**
 * Quantises a model in place.
 * @throws Error if no product with a stored float32 matrix is in it
 */
export function quantizeModel(
  model: OnnxModel,
  { bits, head = bits, embedding = 'full', block = 32 }: QuantizeOptions,
): QuantizeReport {
  const { graph } = model;
  const stored = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  const turned = new Map(graph.node.flatMap((node) => turnedMatrix(node, stored)));
  const products = graph.node.flatMap((node) => productOf(node, stored, turned) ?? []);
  if (products.length === 0)
    throw new Error('The graph has no product with a stored float32 matrix: there is nothing to quantise.');
  const givesLogits = headOf(graph);
  const done = new Map<string, StoredRows>();
  const report: QuantizeReport = { quantized: [], left: [] };

  const rowsOf = (weight: OnnxTensor, transposed: boolean, precision: Bits): StoredRows => {
    const key = `${weight.name}:${transposed}:${precision}`;
    const known = done.get(key);
    if (known) return known;
    const rows = storeRows(weight, transposed, { bits: precision, block });
    graph.initializer.push(...rows.tensors);
    done.set(key, rows);
    report.quantized.push(weight.name);
    return rows;
  };

  for (const { node, weight, transposed, bias } of products) {
    const precision = node === givesLogits ? head : bits;
    if (precision === 'full') {
      report.left.push(weight.name);
      continue;
    }
    const { names, n, k } = rowsOf(weight, transposed, precision);
    node.opType = 'MatMulNBits';
    node.domain = 'com.microsoft';
    // Positions 3 and 4 are zero points and a permutation: a symmetric block has neither.
    node.input = [node.input[0], ...names, ...(bias ? ['', '', bias] : [])];
    node.attribute = Object.entries({
      K: k,
      N: n,
      bits: precision,
      block_size: block,
      accuracy_level: ACCURACY_LEVEL,
    }).map(([name, value]) => intAttribute(name, value));
  }
  if (embedding !== 'full') {
    for (const node of graph.node.filter((each) => isTable(each, stored))) {
      const weight = stored.get(node.input[0])!;
      const [, width] = dimsOf(weight);
      if (width % block !== 0) {
        report.left.push(weight.name);
        continue;
      }
      const { names, n, k } = rowsOf(weight, true, embedding);
      const table = `${node.name || node.output[0]}:table`;
      // The same bytes as for the product with the table, seen as one row a token.
      const shape = storedTensor(
        `${table}:shape`,
        BigInt64Array.of(BigInt(n), BigInt((k * embedding) / 8)),
        [2],
        'int64',
      );
      graph.initializer.push(shape);
      graph.node.splice(graph.node.indexOf(node), 0, {
        ...{
          name: `${table}:rows`,
          opType: 'Reshape',
          input: [names[0], shape.name],
          output: [table],
          attribute: [],
        },
      });
      node.opType = 'GatherBlockQuantized';
      node.domain = 'com.microsoft';
      node.input = [table, node.input[1], names[1]];
      node.attribute = Object.entries({
        bits: embedding,
        block_size: block,
        gather_axis: 0,
        quantize_axis: 1,
      }).map(([name, value]) => intAttribute(name, value));
    }
  }
  declareContrib(model);
  dropUnused(model);
  return report;
}

interface StoredRows {
  tensors: OnnxTensor[];
  /** Of the packed numbers and of their scales. */
  names: [packed: string, scales: string];
  n: number;
  k: number;
}

function storeRows(
  weight: OnnxTensor,
  transposed: boolean,
  options: { bits: Bits; block: number },
): StoredRows {
  const [a, b] = dimsOf(weight);
  const [n, k] = transposed ? [a, b] : [b, a];
  const data = tensorData(weight) as Float32Array;
  const rows: QuantizedRows = quantizeRows(transposed ? data : transpose(data, k, n), n, k, options);
  const names: StoredRows['names'] = [
    `${weight.name}_q${options.bits}`,
    `${weight.name}_q${options.bits}_scales`,
  ];
  const blob = (options.block * options.bits) / 8;
  return {
    tensors: [
      storedTensor(names[0], rows.packed, [n, rows.blocks, blob], 'uint8'),
      storedTensor(names[1], rows.scales, [n, rows.blocks], 'float32'),
    ],
    names,
    n,
    k,
  };
}

/** `[rows, columns]` as `[columns, rows]`. */
function transpose(data: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) out[column * rows + row] = data[row * columns + column];
  return out;
}

/** How an operator multiplies with a stored matrix, where it does so in a way that MatMulNBits can. */
function productOf(
  node: OnnxNode,
  stored: ReadonlyMap<string, OnnxTensor>,
  turned: ReadonlyMap<string, OnnxTensor>,
): Product | undefined {
  const name = node.input?.[1];
  const weight = stored.get(name) ?? turned.get(name);
  if (!weight || !isMatrix(weight) || stored.has(node.input[0])) return undefined;
  const turns = (by: number) => (by === 1) !== turned.has(name);
  const plain = (name: string, value: number) => attributeOf(node, name, value) === value;
  if (node.opType === 'MatMul') return { node, weight, transposed: turns(0) };
  if (node.opType === 'FusedMatMul' && plain('transA', 0) && plain('alpha', 1))
    return { node, weight, transposed: turns(attributeOf(node, 'transB', 0)) };
  if (node.opType === 'Gemm' && plain('transA', 0) && plain('alpha', 1) && plain('beta', 1)) {
    const bias = node.input[2];
    // A bias that is a row of its own size; any other would have to be broadcast.
    if (bias && dimsOf(stored.get(bias) ?? { name: '', dims: [], dataType: 0 }).length !== 1)
      return undefined;
    return { node, weight, transposed: turns(attributeOf(node, 'transB', 0)), bias: bias || undefined };
  }
  return undefined;
}

/** A stored matrix that is turned before it is multiplied with, as exporters write a table that is used at both ends. */
function turnedMatrix(
  { opType, input, output, attribute = [] }: OnnxNode,
  stored: ReadonlyMap<string, OnnxTensor>,
): (readonly [string, OnnxTensor])[] {
  const weight = opType === 'Transpose' && stored.get(input[0]);
  const order = attribute.find(({ name }) => name === 'perm')?.ints as number[] | undefined;
  return weight && isMatrix(weight) && Number(order?.[0] ?? 1) === 1 ? [[output[0], weight]] : [];
}

const isMatrix = (tensor: OnnxTensor): boolean => {
  const dims = dimsOf(tensor);
  return tensor.dataType === 1 && dims.length === 2 && dims[0] * dims[1] >= SMALLEST;
};

const isTable = (node: OnnxNode, stored: ReadonlyMap<string, OnnxTensor>): boolean => {
  const weight = stored.get(node.input?.[0]);
  return node.opType === 'Gather' && attributeOf(node, 'axis', 0) === 0 && !!weight && isMatrix(weight);
};
