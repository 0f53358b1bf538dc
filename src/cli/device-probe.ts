/** Tries a provider in a process of its own, which a broken driver may take down: `node device-probe.ts webgpu`. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { Graph } from '../graph/graph.ts';
import { toOnnx } from '../graph/onnx.ts';
import { matmul } from '../graph/operators/matmul.ts';
import { loadRuntime, type Provider } from '../service/runtime.ts';

/** Drivers that compute on the processor, and their libraries. */
const drivers = { SwiftShader: 'libvk_swiftshader', lavapipe: 'libvulkan_lvp' };

const provider = process.argv[2] as Provider;
const graph = new Graph();
const a = graph.input('a', 'float32', [2, 2]);
graph.output('product', matmul(a, a));
const ort = await loadRuntime();
const session = await ort.InferenceSession.create(toOnnx(graph), { executionProviders: [provider] });
const given = new ort.Tensor('float32', Float32Array.of(1, 2, 3, 4), [2, 2]);
const { product } = await session.run({ a: given });
if (String(product.data) !== '7,10,15,22') throw new Error(`It multiplies wrongly: ${product.data}.`);
process.stdout.write(
  `${JSON.stringify({ software: provider === 'webgpu' ? softwareAdapter() : undefined })}\n`,
);
process.exit(0);

/**
 * The name of what computes in a GPU's place, or undefined for a GPU. onnxruntime does not tell which adapter it has
 * taken; but on Linux a GPU is a device file, which whoever uses it holds open.
 */
function softwareAdapter(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const open = readdirSync('/proc/self/fd').map(targetOf);
  if (open.some((path) => /^\/dev\/(dri\/|nvidia|dxg|kfd|mali|kgsl)/.test(path))) return undefined;
  const libraries = readFileSync('/proc/self/maps', 'utf8');
  return Object.entries(drivers).find(([, name]) => libraries.includes(name))?.[0] ?? 'a software adapter';
}

function targetOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return '';
  }
}
