/**
 * onnxruntime-web inside a Worker's isolate.
 *
 * A Worker may not compile WebAssembly from bytes: the module is imported, compiled beforehand, and only
 * instantiated here. The glue of onnxruntime-web takes bytes or a URL alone, so it is given a few bytes that stand
 * for the module, and while it starts `WebAssembly.instantiate` answers for them with an instance of the module.
 */

import wasmModule from 'onnxruntime-web/ort-wasm-simd-threaded.wasm';
import * as ort from 'onnxruntime-web/wasm';
import { withoutWeights } from '../generation/graph-without-weights.ts';

export const { Tensor } = ort;
/** Its name and version. */
export const runtime = `onnxruntime-web ${ort.env.versions.web}`;

/** The name by which a graph knows the file that its weights lie in: its own. */
const WEIGHTS = 'weights';

const standIn = new Uint8Array(8);
let memory: WebAssembly.Memory | undefined;
let starting: Promise<ort.InferenceSession> | undefined;

/** Bytes of the runtime's linear memory: weights, caches and scratch. 0 before the first session. */
export const runtimeMemoryBytes = (): number => memory?.buffer.byteLength ?? 0;

/**
 * Loads a model into this isolate, on one thread. Loads one at a time.
 * The session's `run` uses up what it is fed: the tensors' buffers are detached afterwards.
 * @param file the ONNX file's bytes. The weights are copied from them into the runtime's memory, once, and then they are
 * given up: `file` is detached, so that an isolate of 128 MB does not hold its weights twice.
 */
export async function createSession(file: ArrayBuffer): Promise<ort.InferenceSession> {
  await starting?.catch(() => {});
  starting = create(file);
  return starting;
}

async function create(file: ArrayBuffer): Promise<ort.InferenceSession> {
  Object.assign(ort.env.wasm, { numThreads: 1, proxy: false, wasmBinary: standIn });
  ort.env.logLevel = 'error';
  const instantiate = WebAssembly.instantiate;
  WebAssembly.instantiate = redirected(instantiate);
  try {
    const data = new Uint8Array(file);
    const session = await ort.InferenceSession.create(withoutWeights(data, WEIGHTS), {
      executionProviders: ['wasm'],
      externalData: [{ path: WEIGHTS, data }],
    });
    file.transfer(0);
    return usingUp(session);
  } finally {
    WebAssembly.instantiate = instantiate;
  }
}

/**
 * A step takes the whole cache of keys and values and gives a new one. V8 lets tens of megabytes of such buffers lie
 * before it collects; in an isolate they are given up at once.
 */
function usingUp(session: ort.InferenceSession): ort.InferenceSession {
  const run = session.run.bind(session) as (
    feeds: ort.InferenceSession.FeedsType,
    ...rest: unknown[]
  ) => Promise<never>;
  session.run = async (feeds: ort.InferenceSession.FeedsType, ...rest: unknown[]) => {
    try {
      return await run(feeds, ...rest);
    } finally {
      for (const { data } of Object.values(feeds) as ort.Tensor[])
        (data as Float32Array<ArrayBuffer>).buffer.transfer(0);
    }
  };
  return session;
}

function redirected(instantiate: typeof WebAssembly.instantiate): typeof WebAssembly.instantiate {
  const redirect = async (source: unknown, imports: WebAssembly.Imports = {}) => {
    if (!(source instanceof Uint8Array && source.byteLength === standIn.byteLength)) {
      return instantiate(source as BufferSource, imports);
    }
    memory = Object.values(imports)
      .flatMap((group) => Object.values(group))
      .find((value) => value instanceof WebAssembly.Memory);
    // Instantiated at once, not in a task of its own: a caller who leaves meanwhile must not leave it half done.
    return { module: wasmModule, instance: new WebAssembly.Instance(wasmModule, imports) };
  };
  return redirect as typeof WebAssembly.instantiate;
}
