/**
 * Hosts the Worker on this machine, for `wick start`, the tests and the benchmark: wrangler bundles it just as it
 * would for deploying, and a real workerd runs the bundle. Needs no network. This file runs in Node, not in the Worker.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const wrangler = join(
  dirname(createRequire(import.meta.url).resolve('wrangler/package.json')),
  'bin/wrangler.js',
);

/**
 * Miniflare copies all that it is told, a Worker's models too, for each certificate that the environment adds: for the
 * hundred or more of a system more than a second. The Worker here speaks to a service on this machine, without TLS.
 */
const { Log, LogLevel, Miniflare } = await withoutCertificates(() => import('miniflare'));

const moduleTypes = { '.js': 'ESModule', '.wasm': 'CompiledWasm', '.onnx': 'Data', '.html': 'Text' } as const;

export interface WorkerModule {
  type: (typeof moduleTypes)[keyof typeof moduleTypes];
  path: string;
  contents: Buffer<ArrayBuffer> | string;
}

export interface WorkerBundle {
  /** The entry first. */
  modules: WorkerModule[];
  compatibilityDate: string;
  compatibilityFlags: string[];
  /** What the Worker keeps things in: buckets, queues, durable objects. */
  storage: Pick<WorkerConfig, 'r2Buckets' | 'queueProducers' | 'queueConsumers' | 'durableObjects'>;
}

type WorkerConfig = ReturnType<typeof import('wrangler').unstable_getMiniflareWorkerOptions>['workerOptions'];

/**
 * Bundles the Worker that wrangler.toml describes.
 * @throws Error with what wrangler said, or when the signal aborts
 */
export async function bundleWorker(signal?: AbortSignal): Promise<WorkerBundle> {
  const folder = await mkdtemp(join(tmpdir(), 'wick-worker-'));
  try {
    await promisify(execFile)(process.execPath, [wrangler, 'deploy', '--dry-run', '--outdir', folder], {
      cwd: root,
      signal,
      env: {
        ...process.env,
        CI: '1',
        NO_COLOR: '1',
        WRANGLER_HIDE_BANNER: 'true',
        WRANGLER_LOG_PATH: folder,
        WRANGLER_SEND_METRICS: 'false',
        WRANGLER_SEND_ERROR_REPORTS: 'false',
      },
    }).catch(({ stdout = '', stderr = '' }: { stdout?: string; stderr?: string }) => {
      throw new Error(`wrangler could not bundle the Worker: ${(stderr || stdout).trim()}`);
    });
    const names = (await readdir(folder)).filter((name) => extname(name) in moduleTypes);
    names.sort((a, b) => Number(b === 'worker.js') - Number(a === 'worker.js'));
    const modules = names.map(async (path): Promise<WorkerModule> => {
      // The Worker's code is all in one file: any other script is one that it hands to browsers.
      const type =
        extname(path) === '.js' && path !== 'worker.js'
          ? 'Data'
          : moduleTypes[extname(path) as keyof typeof moduleTypes];
      const contents = await readFile(join(folder, path));
      return {
        type,
        path,
        contents: type === 'ESModule' || type === 'Text' ? contents.toString() : contents,
      };
    });
    const { unstable_getMiniflareWorkerOptions, unstable_readConfig } = await keepingSignals(
      () => import('wrangler'),
    );
    const config = unstable_readConfig({ config: join(root, 'wrangler.toml') }, { hideWarnings: true });
    const { r2Buckets, queueProducers, queueConsumers, durableObjects } =
      unstable_getMiniflareWorkerOptions(config).workerOptions;
    return {
      modules: await Promise.all(modules),
      compatibilityDate: config.compatibility_date!,
      compatibilityFlags: config.compatibility_flags,
      storage: { r2Buckets, queueProducers, queueConsumers, durableObjects },
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export interface WorkerOptions {
  bundle: WorkerBundle;
  /** 0 for any free port. */
  port: number;
  host?: string;
  /** What the Worker finds in its environment. */
  variables: Record<string, string>;
  /** Gets each line that the Worker or workerd writes. */
  log: (line: string) => void;
  /** Opens workerd's inspector on a free port. */
  inspect?: boolean;
  /** Also listens where requests come to the Worker straight, without Miniflare's own Worker before it. */
  direct?: boolean;
}

export interface RunningWorker {
  url: URL;
  /** Where the Worker of `direct` listens. */
  directUrl: () => Promise<URL>;
  /** Where the inspector of `inspect` listens. */
  inspectorUrl: () => Promise<URL>;
  /** The durable objects of a binding, as the Worker itself sees them. */
  objects: InstanceType<typeof Miniflare>['getDurableObjectNamespace'];
  stop: () => Promise<void>;
}

/** Runs a bundle on workerd. Resolves when it takes requests. */
export async function runWorker(options: WorkerOptions): Promise<RunningWorker> {
  const forward = (stream: Readable) => createInterface(stream).on('line', options.log);
  const { storage, ...bundle } = options.bundle;
  const miniflare = await keepingSignals(async () => {
    const instance = new Miniflare({
      name: 'wick',
      ...bundle,
      ...storage,
      bindings: options.variables,
      host: options.host ?? '127.0.0.1',
      port: options.port,
      unsafeDirectSockets: options.direct ? [{ host: '127.0.0.1', port: 0 }] : undefined,
      inspectorPort: options.inspect ? 0 : undefined,
      cf: false,
      stripCfConnectingIp: false,
      log: new Log(LogLevel.NONE),
      handleRuntimeStdio: (stdout: Readable, stderr: Readable) => [stdout, stderr].forEach(forward),
    });
    try {
      await instance.ready;
      return instance;
    } catch (error) {
      await instance.dispose();
      throw error;
    }
  });
  return {
    url: await miniflare.ready,
    directUrl: () => miniflare.unsafeGetDirectURL(),
    inspectorUrl: () => miniflare.getInspectorURL(),
    objects: (binding) => miniflare.getDurableObjectNamespace(binding),
    stop: () => miniflare.dispose(),
  };
}

/** Does something as if no certificates were added to Node's own. */
async function withoutCertificates<T>(task: () => Promise<T>): Promise<T> {
  const file = process.env.NODE_EXTRA_CA_CERTS;
  delete process.env.NODE_EXTRA_CA_CERTS;
  try {
    return await task();
  } finally {
    if (file !== undefined) process.env.NODE_EXTRA_CA_CERTS = file;
  }
}

/**
 * Does something and takes away what it has put to the process's signals: wrangler and Miniflare end the whole process
 * at one, which is for its owner to do. (What Miniflare does at the process's exit, it goes on doing.)
 */
async function keepingSignals<T>(task: () => Promise<T>): Promise<T> {
  const signals = ['SIGINT', 'SIGTERM'] as const;
  const before = new Set(signals.flatMap((signal) => process.listeners(signal)));
  try {
    return await task();
  } finally {
    for (const signal of signals) {
      for (const listener of process.listeners(signal)) {
        if (!before.has(listener)) process.removeListener(signal, listener);
      }
    }
  }
}
