/** ONNX files: a graph of ours written as one, and any file read and written again. */
import {
  type Attribute,
  arrayTypes,
  type DType,
  elementTypes,
  type Graph,
  opsets,
  type TensorData,
  type Value,
} from './graph.ts';
import { ModelProto } from './onnx-schema.ts';
import type { Shape } from './shape.ts';

/** An ONNX file as plain objects, in the specification's messages and camel-cased field names. */
export interface OnnxModel {
  irVersion: number;
  producerName?: string;
  opsetImport: { domain: string; version: number }[];
  metadataProps?: { key: string; value: string }[];
  graph: OnnxGraph;
  [field: string]: unknown;
}
export interface OnnxGraph {
  name: string;
  node: OnnxNode[];
  initializer: OnnxTensor[];
  input: OnnxValueInfo[];
  output: OnnxValueInfo[];
  [field: string]: unknown;
}
export interface OnnxNode {
  name: string;
  opType: string;
  domain?: string;
  input: string[];
  output: string[];
  attribute: { name: string; type: number; [field: string]: unknown }[];
}
export interface OnnxTensor {
  name: string;
  dims: number[];
  dataType: number;
  rawData?: Uint8Array;
  [field: string]: unknown;
}
export interface OnnxValueInfo {
  name: string;
  type: {
    tensorType: {
      elemType: number;
      shape: { dim: { dimValue?: number; dimParam?: string }[] };
    };
  };
}

/**
 * Reads an ONNX file.
 * @throws Error if the bytes are not one.
 */
export function readOnnx(bytes: Uint8Array): OnnxModel {
  let model: OnnxModel;
  try {
    model = ModelProto.toObject(ModelProto.decode(bytes), {
      arrays: false,
      longs: undefined,
    }) as OnnxModel;
  } catch (error) {
    throw new Error(`These ${bytes.length} bytes are not an ONNX model: ${(error as Error).message}.`);
  }
  if (!model.graph || !model.opsetImport) {
    throw new Error(
      `These ${bytes.length} bytes are not an ONNX model: they hold no graph or no operator-set version.`,
    );
  }
  return model;
}

/** Writes an ONNX file. A model that was read is written with the same content. */
export function writeOnnx(model: OnnxModel): Uint8Array {
  return ModelProto.encode(model).finish();
}

/** A graph as an ONNX file's bytes. Nodes that no output depends on are left out. */
export function toOnnx(graph: Graph, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  return writeOnnx(toModel(graph, metadata));
}

/** A graph as an ONNX model of plain objects. */
export function toModel(graph: Graph, metadata: Readonly<Record<string, string>> = {}): OnnxModel {
  const needed = reachable(graph);
  const nodes = graph.nodes.filter((node) => node.outputs.some((output) => needed.has(output)));
  const names = new Map<Value, string>();
  const aliases: OnnxNode[] = [];
  for (const { name, value } of graph.outputs) {
    // A result carries its public name itself, unless it has one already or is an input or a constant.
    if (value.node && !names.has(value)) names.set(value, name);
    else
      aliases.push({
        name: `${name}:alias`,
        opType: 'Identity',
        input: [nameOf(value)],
        output: [name],
        attribute: [],
      });
  }
  function nameOf(value: Value): string {
    return names.get(value) ?? value.name;
  }
  const domains = new Set(nodes.map((node) => node.op.domain));
  return {
    irVersion: 10,
    producerName: 'wick',
    opsetImport: Object.entries(opsets)
      .filter(([domain]) => domain === '' || domains.has(domain))
      .map(([domain, version]) => ({ domain, version })),
    metadataProps: Object.entries(metadata).map(([key, value]) => ({
      key,
      value,
    })),
    graph: {
      name: graph.name,
      node: [
        ...nodes.map((node) => ({
          name: node.name,
          opType: node.op.name,
          domain: node.op.domain || undefined,
          input: trimmed(node.inputs.map((input) => (input ? nameOf(input) : ''))),
          output: node.outputs.map(nameOf),
          attribute: Object.entries(node.attributes).map(([name, attribute]) => ({
            name,
            ...encode(attribute),
          })),
        })),
        ...aliases,
      ],
      initializer: graph.constants.filter((value) => needed.has(value)).map(tensor),
      input: graph.inputs.map((value) => valueInfo(value.name, value)),
      output: graph.outputs.map(({ name, value }) => valueInfo(name, value)),
    },
  };
}

/** The elements of a stored tensor, as the array of its type. */
export function tensorData(tensor: OnnxTensor): TensorData {
  const dtype = (Object.keys(elementTypes) as DType[]).find((name) => elementTypes[name] === tensor.dataType);
  if (!dtype || !tensor.rawData) {
    throw new Error(
      `The tensor "${tensor.name}" has element type ${tensor.dataType} or a storage that wick does not read.`,
    );
  }
  const array = arrayTypes[dtype];
  // A copy, since the bytes may lie anywhere in a larger buffer.
  const bytes = Uint8Array.from(tensor.rawData);
  return new array(bytes.buffer, 0, bytes.length / array.BYTES_PER_ELEMENT);
}

function reachable(graph: Graph): Set<Value> {
  const needed = new Set<Value>();
  const open = graph.outputs.map((output) => output.value);
  for (let value = open.pop(); value; value = open.pop()) {
    if (needed.has(value)) continue;
    needed.add(value);
    for (const input of value.node?.inputs ?? []) if (input) open.push(input);
  }
  return needed;
}

function trimmed(names: string[]): string[] {
  while (names.at(-1) === '') names.pop();
  return names;
}

function encode(attribute: Attribute): {
  type: number;
  [field: string]: unknown;
} {
  switch (attribute.kind) {
    case 'float':
      return { type: 1, f: attribute.value };
    case 'int':
      return { type: 2, i: attribute.value };
    case 'string':
      return { type: 3, s: new TextEncoder().encode(attribute.value) };
    case 'floats':
      return { type: 6, floats: [...attribute.value] };
    case 'ints':
      return { type: 7, ints: [...attribute.value] };
  }
}

function tensor(value: Value): OnnxTensor {
  const data = value.data!;
  return {
    name: value.name,
    dims: value.shape as number[],
    dataType: elementTypes[value.dtype],
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

function valueInfo(name: string, { dtype, shape }: { dtype: DType; shape: Shape }): OnnxValueInfo {
  const dim = shape.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return {
    name,
    type: { tensorType: { elemType: elementTypes[dtype], shape: { dim } } },
  };
}
