/** How much memory a running Worker's isolate holds, asked from outside. This file runs in Node, not in the Worker. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { RunningWorker } from './host.ts';

/** In bytes. An isolate may have 128 MB; `total` is the sum of the parts before it. */
export interface IsolateMemory {
  /** V8's heap as committed: what lives, what is garbage, and what is free in its pages. */
  heap: number;
  /** Objects of the runtime that belong to JavaScript's. */
  embedder: number;
  /** Bytes behind ArrayBuffers: tensors that JavaScript holds, garbage among them. */
  buffers: number;
  /** The linear memory of onnxruntime: weights, and what a step needs. V8 does not count it among the buffers. */
  wasm: number;
  total: number;
}

interface HeapUsage {
  totalSize: number;
  embedderHeapUsedSize: number;
  backingStorageSize: number;
}

/**
 * Measures an isolate by workerd's inspector (`Runtime.getHeapUsage`) and the Worker's own `/health`, which knows the
 * linear memory. Nothing is collected beforehand, so garbage counts: it is there.
 * @param worker run with `inspect`
 */
export async function measureIsolate(worker: RunningWorker): Promise<IsolateMemory> {
  const health = (await (await fetch(new URL('/health', worker.url))).json()) as {
    edge: { memory_bytes: number };
  };
  const usage = await heapUsage(await worker.inspectorUrl());
  const parts = {
    heap: usage.totalSize,
    embedder: usage.embedderHeapUsedSize,
    buffers: usage.backingStorageSize,
    wasm: health.edge.memory_bytes,
  };
  return { ...parts, total: parts.heap + parts.embedder + parts.buffers + parts.wasm };
}

async function heapUsage(inspector: URL): Promise<HeapUsage> {
  const targets = (await (await fetch(`http://${inspector.host}/json`)).json()) as {
    webSocketDebuggerUrl: string;
  }[];
  const socket = new WebSocket(targets[0].webSocketDebuggerUrl);
  try {
    await once(socket, 'open');
    socket.send(JSON.stringify({ id: 1, method: 'Runtime.getHeapUsage' }));
    for (;;) {
      const [{ data }] = (await once(socket, 'message')) as [MessageEvent<string>];
      const { id, result } = JSON.parse(data) as { id?: number; result: HeapUsage };
      if (id === 1) return result;
    }
  } finally {
    socket.close();
  }
}

/** The resident memory of this process's workerd children in bytes, for a cross-check; undefined but on Linux. */
export async function workerdResidentBytes(): Promise<number | undefined> {
  try {
    const children = await readFile(`/proc/self/task/${process.pid}/children`, 'utf8');
    const sizes = children
      .trim()
      .split(' ')
      .map(async (pid) => {
        const status = await readFile(`/proc/${pid}/status`, 'utf8');
        return /^Name:\s*workerd/m.test(status)
          ? Number(/^VmRSS:\s*(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024
          : 0;
      });
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  } catch {
    return undefined;
  }
}
