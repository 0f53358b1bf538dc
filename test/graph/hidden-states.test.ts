import { readFileSync } from 'node:fs';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { expect, it } from 'vitest';
import { type OnnxModel, readOnnx, writeOnnx } from '../../src/graph/onnx.ts';
import { exposeHiddenStates, withHiddenStates } from '../../src/graph/rewrites/hidden-states.ts';

const file = readFileSync('models/Llama-wick-3M/onnx/model.onnx');

/** The shipped model as one publishes it who thinks of the logits alone. */
function published(): OnnxModel {
  const model = readOnnx(file);
  const renamed = (names: string[] = []) =>
    names.map((name) => (name === 'last_hidden_state' ? 'norm:out' : name));
  for (const node of model.graph.node) {
    node.input = renamed(node.input);
    node.output = renamed(node.output);
  }
  model.graph.output = model.graph.output.filter(({ name }) => name !== 'last_hidden_state');
  return model;
}

async function run(bytes: Uint8Array, outputs: string[]) {
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 3 });
  const ids = Array.from({ length: 24 }, (_, i) => BigInt(300 + 7 * i));
  const int64 = (values: bigint[]) => new Tensor('int64', BigInt64Array.from(values), [1, 24]);
  const feeds: Record<string, Tensor> = {
    input_ids: int64(ids),
    attention_mask: int64(ids.map(() => 1n)),
    position_ids: int64(ids.map((_, i) => BigInt(i))),
  };
  for (const name of session.inputNames.filter((each) => each.startsWith('past')))
    feeds[name] = new Tensor('float32', new Float32Array(0), [1, 2, 0, 64]);
  const results = await session.run(feeds, outputs);
  return outputs.map((name) => results[name]);
}

it('a graph that gives logits alone is made to give its hidden states, and its logits stay bit by bit', async () => {
  const bare = writeOnnx(published());
  const changed = withHiddenStates(bare)!;
  const [logits] = await run(bare, ['logits']);
  const [same, states] = await run(changed, ['logits', 'last_hidden_state']);
  const [shippedLogits, shippedStates] = await run(file, ['logits', 'last_hidden_state']);
  expect(same.data).toEqual(logits.data);
  expect(shippedLogits.data).toEqual(logits.data);
  expect(states.dims).toEqual([1, 24, 256]);
  expect(states.data).toEqual(shippedStates.data);
  // The logits are these states times the table, whatever the graph says of itself.
  const table = readOnnx(file).graph.initializer.find(({ name }) => name === 'model.embed_tokens.weight')!;
  const weights = new Float32Array(Uint8Array.from(table.rawData!).buffer);
  const row = (states.data as Float32Array).subarray(23 * 256);
  for (const token of [0, 17, 4095]) {
    const product = row.reduce((sum, value, i) => sum + value * weights[token * 256 + i], 0);
    expect((logits.data as Float32Array)[23 * 4096 + token]).toBeCloseTo(product, 3);
  }
});

it('a product in eight bits, with a bias and a change of type behind it, is seen through', () => {
  const model = published();
  const head = model.graph.node.at(-1)!;
  const node = (opType: string, input: string[], output: string[]) => ({
    ...{ name: `${opType}:${output[0]}`, opType, input, output, attribute: [] },
  });
  const [hidden, table] = head.input;
  model.graph.node.splice(
    -1,
    1,
    node('DynamicQuantizeLinear', [hidden], ['q', 's', 'z']),
    node('MatMulInteger', ['q', table, 'z'], ['i']),
    node('Cast', ['i'], ['f']),
    node('Mul', ['f', 's'], ['m']),
    node('Add', [table, 'm'], ['logits']),
  );
  expect(exposeHiddenStates(model)).toBe(true);
  expect(model.graph.node.at(-5)!.input).toEqual(['last_hidden_state']);
});

it('what cannot be given it is left as it is', () => {
  const none = published();
  none.graph.node.at(-1)!.opType = 'Softmax';
  const before = writeOnnx(none);
  expect(exposeHiddenStates(none)).toBe(false);
  expect(Buffer.compare(writeOnnx(none), before)).toBe(0);
  const elsewhere = published();
  elsewhere.graph.initializer[0].dataLocation = 1;
  expect(withHiddenStates(writeOnnx(elsewhere))).toBeUndefined();
  expect(withHiddenStates(file)).toBeUndefined();
});
