/** What a device can do at most: how fast it multiplies, and how fast it reads and writes its memory. */
import { createRandom } from '../../../src/data/random.ts';
import { Graph, type Value } from '../../../src/graph/graph.ts';
import { toOnnx } from '../../../src/graph/onnx.ts';
import { add } from '../../../src/graph/operators/elementwise.ts';
import { matmul } from '../../../src/graph/operators/matmul.ts';
import { reduceMean } from '../../../src/graph/operators/reduction.ts';
import { createSession, type Provider, Tensor } from '../../../src/training/runtime.ts';

/** Operations, or turns through memory, in a run: what goes to the device and back hardly counts beside them. */
const CHAIN = 8;

/** Floating-point operations a second in products of square matrices in float32. */
export async function multiplyRate(provider: Provider, size: number, rounds: number): Promise<number> {
  const graph = new Graph('gemm');
  const [a, b] = ['a', 'b'].map((name) => graph.input(name, 'float32', [size, size]));
  let product: Value = a;
  for (let i = 0; i < CHAIN; i++) product = matmul(product, b);
  graph.output('mean', reduceMean(product));
  const random = createRandom(1);
  const matrix = () => Float32Array.from({ length: size * size }, () => (random() - 0.5) / Math.sqrt(size));
  const feeds = {
    a: new Tensor('float32', matrix(), [size, size]),
    b: new Tensor('float32', matrix(), [size, size]),
  };
  const session = await createSession(toOnnx(graph), { provider });
  const seconds = await fastest(rounds, () => session.run(feeds));
  await session.release();
  return (2 * CHAIN * size ** 3) / seconds;
}

/** Bytes a second, read and written, in sums of vectors that fit in no cache. */
export async function memoryRate(provider: Provider, megabytes: number, rounds: number): Promise<number> {
  const graph = new Graph('memory');
  const length = Math.round((megabytes * 1e6) / 4);
  const shift = graph.input('shift', 'float32', [1]);
  let vector: Value = graph.constant('vector', new Float32Array(length), [length], 'float32');
  for (let i = 0; i < CHAIN; i++) vector = add(vector, shift);
  graph.output('mean', reduceMean(vector));
  const feeds = { shift: new Tensor('float32', Float32Array.of(1), [1]) };
  const session = await createSession(toOnnx(graph), { provider });
  const seconds = await fastest(rounds, () => session.run(feeds));
  await session.release();
  return ((2 * CHAIN + 1) * 4 * length) / seconds;
}

/** Seconds of the fastest round; one more comes before them to warm up. */
export async function fastest(rounds: number, work: () => Promise<unknown>): Promise<number> {
  await work();
  let best = Infinity;
  for (let i = 0; i < rounds; i++) {
    const began = performance.now();
    await work();
    best = Math.min(best, performance.now() - began);
  }
  return best / 1000;
}
