/** One graph of a pipeline: fed by what its inputs are called and made of, whoever exported it. */
import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-common';
import { fromFloat16, toFloat16 } from '../../graph/rewrites/float16.ts';

/** A tensor by its numbers; the graph's own type is made of them. */
export interface Numbers {
  data: Float32Array | readonly number[];
  dims: readonly number[];
}

export interface GraphRunner {
  /** Names of its inputs and outputs. */
  inputs: readonly string[];
  outputs: readonly string[];
  /** The dimensions that an input is declared with; symbols as strings. */
  dimsOf(input: string): readonly (number | string)[];
  /**
   * Runs the graph. Inputs are given by name; those it does not have are an error of the caller.
   * @returns float32 numbers of each output (bool as 0 and 1)
   */
  run(
    feeds: Readonly<Record<string, Numbers>>,
  ): Promise<Record<string, { data: Float32Array; dims: readonly number[] }>>;
  release(): Promise<void>;
}

/** @param name what the graph is called in errors */
export function graphRunner(session: InferenceSession, Tensor: TensorConstructor, name: string): GraphRunner {
  const metadata = new Map(session.inputMetadata.map((input) => [input.name, input]));
  const typeOf = (input: string) => {
    const found = metadata.get(input);
    if (!found)
      throw new Error(`The ${name} has no input "${input}"; it has ${[...metadata.keys()].join(', ')}.`);
    return found.isTensor ? found : { type: 'float32' as const, shape: [] };
  };
  return {
    inputs: session.inputNames,
    outputs: session.outputNames,
    dimsOf: (input) => typeOf(input).shape,
    async run(feeds) {
      const tensors = Object.entries(feeds).map(([input, { data, dims }]) => [
        input,
        tensorOf(Tensor, typeOf(input).type, data, dims),
      ]);
      const results = await session.run(Object.fromEntries(tensors));
      return Object.fromEntries(
        Object.entries(results).map(([output, tensor]) => [
          output,
          { data: numbersOf(tensor), dims: tensor.dims },
        ]),
      );
    },
    release: () => session.release(),
  };
}

function tensorOf(
  Tensor: TensorConstructor,
  type: string,
  data: Numbers['data'],
  dims: readonly number[],
): Tensor {
  const float = () => (data instanceof Float32Array ? data : Float32Array.from(data));
  if (type === 'float16') return new Tensor('float16', toFloat16(float()), dims);
  if (type === 'int64')
    return new Tensor(
      'int64',
      BigInt64Array.from(data, (value) => BigInt(Math.trunc(value))),
      dims,
    );
  if (type === 'int32') return new Tensor('int32', Int32Array.from(data), dims);
  return new Tensor('float32', float(), dims);
}

function numbersOf(tensor: Tensor): Float32Array {
  const { data } = tensor;
  if (data instanceof Float32Array) return data;
  if (data instanceof Uint16Array) return fromFloat16(data);
  return Float32Array.from(data as ArrayLike<number | bigint>, Number);
}
