/**
 * How much of the machine training uses: model operations (6 for each parameter and token) over the rate of a plain
 * MatMul, both measured in turns in the same run.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { countParameters, gptLoss, gptParameters } from '../../src/architecture/gpt.ts';
import { createRandom } from '../../src/data/random.ts';
import { Graph } from '../../src/graph/graph.ts';
import { toOnnx } from '../../src/graph/onnx.ts';
import { matmul } from '../../src/graph/operators/matmul.ts';
import { reduceMean } from '../../src/graph/operators/reduction.ts';
import { parseTrainingConfig, type TextTrainingConfig } from '../../src/training/config.ts';
import { optimizerStates, stepGraph } from '../../src/training/graphs.ts';
import { initialParameters } from '../../src/training/initialization.ts';
import { createSession, type Provider, Tensor } from '../../src/training/runtime.ts';
import type { BenchResult } from '../bench.ts';

type Task = Parameters<typeof stepGraph>[0];

const SIZE = 2048;
const CHAIN = 4;

export async function run({ args }: { args: string[] }): Promise<BenchResult> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: 'string', default: 'models/Llama-wick-3M/training.json' },
      optimizer: { type: 'string' },
      device: { type: 'string', default: 'cpu' },
      rounds: { type: 'string', default: '6' },
    },
  });
  const json = JSON.parse(readFileSync(values.config, 'utf8'));
  const config = parseTrainingConfig({
    ...json,
    ...(values.optimizer && { optimizer: values.optimizer }),
  });
  if (config.task !== 'text')
    throw new Error(`${values.config} trains on images; this benchmark is of text.`);
  const { model, batch_size: batch, sequence_length: seq } = config;
  const task: Task = {
    parameters: gptParameters(model),
    loss: (graph) => gptLoss(graph, model, { batch, seq }),
  };
  const flopsPerToken = 6 * countParameters(model);
  const provider = values.device as Provider;

  const multiply = await createSession(gemmGraph(), { provider });
  const matrix = () => {
    const random = createRandom(1);
    return new Tensor(
      'float32',
      Float32Array.from({ length: SIZE * SIZE }, () => (random() - 0.5) / Math.sqrt(SIZE)),
      [SIZE, SIZE],
    );
  };
  const factors = { a: matrix(), b: matrix() };
  const step = await createSession(stepGraph(task, config), { provider });
  const feeds = stepFeeds(task, config);

  const tokens = batch * seq;
  const rates: { gemm: number; model: number }[] = [];
  for (let round = 0; round <= Number(values.rounds); round++) {
    const gemm = (2 * CHAIN * SIZE ** 3) / (await seconds(() => multiply.run(factors)));
    const model = (flopsPerToken * tokens) / (await seconds(() => step.run(feeds)));
    // The first round warms up.
    if (round > 0) rates.push({ gemm, model });
  }
  const best = (of: 'gemm' | 'model') => Math.max(...rates.map((rate) => rate[of]));
  const ratio = best('model') / best('gemm');
  const giga = (rate: number) => Number((rate / 1e9).toFixed(1));
  return {
    rows: rates.map(({ gemm, model }, i) => ({
      round: i + 1,
      'MatMul GFLOP/s': giga(gemm),
      'training GFLOP/s': giga(model),
      'tokens/s': Math.round(model / flopsPerToken),
      ratio: (model / gemm).toFixed(2),
    })),
    summary: {
      flops_over_gemm: Number(ratio.toFixed(3)),
      model_gflops: giga(best('model')),
      gemm_gflops: giga(best('gemm')),
      tokens_per_second: Math.round(best('model') / flopsPerToken),
      parameters: flopsPerToken / 6,
      optimizer: config.optimizer,
      device: provider,
    },
  };
}

/** A chain of products, so that a provider with memory of its own does not pay a transfer for each. */
function gemmGraph(): Uint8Array {
  const graph = new Graph('gemm');
  const [a, b] = ['a', 'b'].map((name) => graph.input(name, 'float32', [SIZE, SIZE]));
  let product = a;
  for (let i = 0; i < CHAIN; i++) product = matmul(product, b);
  graph.output('mean', reduceMean(product));
  return toOnnx(graph);
}

function stepFeeds(task: Task, config: TextTrainingConfig): Record<string, Tensor> {
  const random = createRandom(2);
  const { batch_size: batch, sequence_length: seq, model } = config;
  const ids = () =>
    BigInt64Array.from({ length: batch * seq }, () => BigInt(Math.floor(random() * model.vocab_size)));
  const zeros = (shape: number[]) =>
    new Tensor('float32', new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
  const scalar = (value: number) => new Tensor('float32', Float32Array.of(value), []);
  const parameters = initialParameters(task.parameters, 1);
  return {
    ...Object.fromEntries(
      [...parameters.values()].map(({ name, data, shape }) => [name, new Tensor('float32', data, shape)]),
    ),
    ...Object.fromEntries(optimizerStates(task, config).map(({ name, shape }) => [name, zeros(shape)])),
    input_ids: new Tensor('int64', ids(), [batch, seq]),
    targets: new Tensor('int64', ids(), [batch, seq]),
    share: scalar(1),
    step: scalar(1),
  };
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}
