/**
 * ONNX graphs as values. A `Graph` is built by applying operators to `Value`s; every application infers the
 * types and shapes of its results at once and throws a sentence where they do not fit. What a graph means is
 * what the ONNX operator specification says (https://onnx.ai/onnx/operators/).
 */
import { coefficientOf, type Dim, formatShape, type Shape, symbolsOf } from './shape.ts';

export type DType = 'float32' | 'float16' | 'int64' | 'int32' | 'bool' | 'uint8' | 'int8';
export type TensorData = Float32Array | Uint16Array | BigInt64Array | Int32Array | Uint8Array | Int8Array;

/** The JavaScript array that holds a tensor's elements (float16 as bits, bool as bytes of 0 and 1). */
export const arrayTypes = {
  float32: Float32Array,
  float16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  bool: Uint8Array,
  uint8: Uint8Array,
  int8: Int8Array,
} as const;

/** Element types by their number in the specification. */
export const elementTypes: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
};

export type Attribute =
  | { kind: 'int'; value: number }
  | { kind: 'float'; value: number }
  | { kind: 'string'; value: string }
  | { kind: 'ints'; value: readonly number[] }
  | { kind: 'floats'; value: readonly number[] };
export type Attributes = Readonly<Record<string, Attribute>>;

export const int = (value: number): Attribute => ({ kind: 'int', value });
export const float = (value: number): Attribute => ({ kind: 'float', value });
export const string = (value: string): Attribute => ({ kind: 'string', value });
export const ints = (value: readonly number[]): Attribute => ({
  kind: 'ints',
  value,
});

/** A number among an operator's attributes, or `fallback` where it is absent. */
export function numberOf(attributes: Attributes, name: string, fallback = 0): number {
  const attribute = attributes[name];
  return attribute?.kind === 'int' || attribute?.kind === 'float' ? attribute.value : fallback;
}

/** A list of numbers among an operator's attributes. */
export function numbersOf(attributes: Attributes, name: string): readonly number[] {
  const attribute = attributes[name];
  return attribute?.kind === 'ints' || attribute?.kind === 'floats' ? attribute.value : [];
}

/** A tensor in a graph: an input, a constant, or one result of a node. */
export interface Value {
  readonly graph: Graph;
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /** The node that computes it; absent for inputs and constants. */
  readonly node?: Node;
  /** Elements, for constants only. */
  readonly data?: TensorData;
}

export interface Node {
  readonly op: Operator;
  readonly name: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  readonly attributes: Attributes;
}

export interface Type {
  dtype: DType;
  shape: Shape;
}

/** What a gradient rule sees: the application, and the gradient of each result that has one. */
export interface GradientContext {
  node: Node;
  inputs: readonly (Value | undefined)[];
  outputs: readonly Value[];
  gradients: readonly (Value | undefined)[];
}

/** An ONNX operator: how its results' types follow from its inputs', and how gradients flow back. */
export interface Operator {
  readonly name: string;
  /** '' for the standard operators, 'com.microsoft' for onnxruntime's own. */
  readonly domain: string;
  infer(inputs: readonly (Value | undefined)[], attributes: Attributes): Type[];
  /** The gradient for each input (undefined: none flows there). Absent: the operator cannot be differentiated. */
  readonly gradient?: (context: GradientContext) => (Value | undefined)[];
}

/** The versions of the operator sets that every graph of ours declares. */
export const opsets: Readonly<Record<string, number>> = {
  '': 21,
  'com.microsoft': 1,
};

export class Graph {
  readonly name: string;
  readonly inputs: Value[] = [];
  readonly constants: Value[] = [];
  readonly nodes: Node[] = [];
  readonly outputs: { name: string; value: Value }[] = [];
  /** Gradient rules of results that several nodes compute together; see `composite`. */
  readonly composites = new Map<Value, Node>();
  readonly #names = new Set<string>();
  readonly #scalars = new Map<string, Value>();
  readonly #dimensions = new Map<string, Value>();

  constructor(name = 'wick') {
    this.name = name;
  }

  /** A tensor the caller feeds at every run. Symbols in its shape get their value from it. */
  input(name: string, dtype: DType, shape: Shape): Value {
    const value = { graph: this, name: this.#unique(name, true), dtype, shape };
    this.inputs.push(value);
    return value;
  }

  /**
   * A tensor stored in the graph.
   * @throws Error if the number of elements is not what the shape says.
   */
  constant(name: string, data: TensorData, shape: readonly number[], dtype: DType): Value {
    const count = shape.reduce((product, dim) => product * dim, 1);
    if (data.length !== count) {
      throw new Error(
        `The constant "${name}" of shape ${formatShape(shape)} needs ${count} elements, got ${data.length}.`,
      );
    }
    if (!(data instanceof arrayTypes[dtype])) {
      throw new Error(`The constant "${name}" of type ${dtype} needs a ${arrayTypes[dtype].name}.`);
    }
    const value = { graph: this, name: this.#unique(name), dtype, shape, data };
    this.constants.push(value);
    return value;
  }

  /** A constant of no dimensions, stored once however often it is asked for. */
  scalar(number: number, dtype: DType = 'float32'): Value {
    return this.#once(`${dtype}:${number}`, () =>
      this.constant('scalar', elements([number], dtype), [], dtype),
    );
  }

  /** An int64 constant of one dimension (axes, sizes), stored once however often it is asked for. */
  list(numbers: readonly number[]): Value {
    return this.#once(`list:${numbers.join()}`, () =>
      this.constant('list', elements(numbers, 'int64'), [numbers.length], 'int64'),
    );
  }

  /** Applies an operator; returns its results. */
  apply(operator: Operator, inputs: readonly (Value | undefined)[], attributes: Attributes = {}): Value[] {
    for (const value of inputs) {
      if (value && value.graph !== this) {
        throw new Error(`${operator.name} was given "${value.name}", a value of another graph.`);
      }
    }
    const types = operator.infer(inputs, attributes);
    const outputs: Value[] = [];
    const node: Node = {
      op: operator,
      name: this.#unique(operator.name),
      inputs,
      outputs,
      attributes,
    };
    for (const type of types) {
      outputs.push({
        graph: this,
        name: this.#unique(`${node.name}:out`),
        ...type,
        node,
      });
    }
    this.nodes.push(node);
    return outputs;
  }

  /**
   * Gives a value that several nodes compute a gradient rule as one piece: autodiff takes `rule` and does not look
   * inside. The rule returns one gradient for each of `inputs`.
   */
  composite(
    name: string,
    inputs: readonly Value[],
    output: Value,
    rule: (gradient: Value) => (Value | undefined)[],
  ): Value {
    const op: Operator = {
      name,
      domain: 'composite',
      infer: () => [output],
      gradient: ({ gradients }) => rule(gradients[0]!),
    };
    this.composites.set(output, {
      op,
      name,
      inputs,
      outputs: [output],
      attributes: {},
    });
    return output;
  }

  /** Names a value as a result of the graph. */
  output(name: string, value: Value): void {
    if (
      this.outputs.some((output) => output.name === name) ||
      this.inputs.some((input) => input.name === name)
    ) {
      throw new Error(`The graph has an input or output named "${name}" already.`);
    }
    this.outputs.push({ name, value });
  }

  /**
   * The input (and its axis) that tells a symbolic dimension's size at run time.
   * @throws Error if no input has the symbol as a dimension of its own.
   */
  source(symbol: string): { input: Value; axis: number } {
    for (const input of this.inputs) {
      const axis = input.shape.indexOf(symbol);
      if (axis >= 0) return { input, axis };
    }
    throw new Error(
      `No input of the graph has the dimension "${symbol}", so its size is not known at run time.`,
    );
  }

  /** Remembers what `make` builds for a dimension, so that its size is computed once. */
  dimension(dim: Dim, make: (symbols: string[], coefficient: number) => Value): Value {
    const key = String(dim);
    const known = this.#dimensions.get(key);
    if (known) return known;
    const value = make(symbolsOf(dim), coefficientOf(dim));
    this.#dimensions.set(key, value);
    return value;
  }

  #once(key: string, make: () => Value): Value {
    const known = this.#scalars.get(key);
    if (known) return known;
    const value = make();
    this.#scalars.set(key, value);
    return value;
  }

  #unique(name: string, exact = false): string {
    if (!this.#names.has(name)) {
      this.#names.add(name);
      return name;
    }
    if (exact) throw new Error(`The graph has a value named "${name}" already.`);
    for (let i = this.#names.size; ; i++) {
      const candidate = `${name}.${i}`;
      if (!this.#names.has(candidate)) {
        this.#names.add(candidate);
        return candidate;
      }
    }
  }
}

function elements(numbers: readonly number[], dtype: DType): TensorData {
  if (dtype === 'int64') return BigInt64Array.from(numbers, BigInt);
  if (dtype === 'float16') throw new Error('float16 constants are given as bits, not as numbers.');
  return arrayTypes[dtype].from(numbers as never) as TensorData;
}
