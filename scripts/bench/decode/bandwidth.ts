/** How fast this machine's memory is read. */
import { Graph } from '../../../src/graph/graph.ts';
import { toOnnx } from '../../../src/graph/onnx.ts';
import { reduceSum } from '../../../src/graph/operators/reduction.ts';
import { createSession, Tensor } from '../../../src/training/runtime.ts';

const [ROWS, COLUMNS] = [64, 1 << 20];

/** Bytes a second, the best of some sums over 256 MB by all threads. */
export async function readBandwidth(threads: number): Promise<number> {
  const graph = new Graph('sum');
  graph.output('sum', reduceSum(graph.input('x', 'float32', [ROWS, COLUMNS]), [1], false));
  const session = await createSession(toOnnx(graph), { threads });
  const feeds = { x: new Tensor('float32', new Float32Array(ROWS * COLUMNS).fill(1), [ROWS, COLUMNS]) };
  let best = Infinity;
  for (let i = 0; i < 6; i++) {
    const began = performance.now();
    await session.run(feeds);
    best = Math.min(best, performance.now() - began);
  }
  await session.release();
  return (ROWS * COLUMNS * 4) / (best / 1000);
}
