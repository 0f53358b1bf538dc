/** The service as a process: models loaded, a port opened, requests drained at the end. */
import type { Server } from 'node:http';
import { basename } from 'node:path';
import { serve as listen } from '@hono/node-server';
import { createService, type LogEntry } from './app.ts';
import type { Credentials } from './image-credentials.ts';
import { findImageFolders } from './image-folder.ts';
import { createImageHost, type ImageHost } from './image-host.ts';
import { findModelFolders, type Provider } from './model-folder.ts';
import { createModelHost, type ModelHost } from './model-host.ts';

export interface ServeOptions {
  /** Model folders, or folders of them. */
  models: string[];
  host: string;
  port: number;
  secret: string;
  provider: Provider;
  threads: number;
  variant: string;
  maxConcurrent: number;
  maxQueue: number;
  /** Whose signature drawn images get. */
  credentials?: Credentials;
  /** Milliseconds; see `HostOptions`. */
  readerPatience?: number;
  log: (entry: LogEntry) => void;
  note: (text: string) => void;
  /** The module of image models' threads, where it is not to be the service's own. */
  imageWorker?: URL;
}

export interface RunningService {
  port: number;
  /** Takes no more requests, waits for those that run (at most `timeout` milliseconds), and ends. */
  drain(timeout: number): Promise<void>;
}

/**
 * Starts the service.
 * @throws Error if no model is found or loads, the secret is too short, or the port is taken
 */
export async function startService(options: ServeOptions): Promise<RunningService> {
  const { secret, host, port, note, log } = options;
  if (secret.length < 16) {
    throw new Error(
      'The service needs WICK_SECRET, 16 characters or more, which it shares with the edge: WICK_SECRET=$(openssl rand -hex 32) makes one.',
    );
  }
  const folders = options.models.flatMap(findModelFolders);
  const imageFolders = options.models.flatMap(findImageFolders);
  if (folders.length + imageFolders.length === 0)
    throw new Error(
      `No model is in ${options.models.join(', ')}: a model folder has a config.json and an onnx folder, or a model_index.json.`,
    );
  const models = new Map<string, ModelHost>(
    folders.map((folder) => [basename(folder), createModelHost(folder, { ...options, onNote: note })]),
  );
  const imageModels = new Map<string, ImageHost>(
    imageFolders.map((folder) => [
      basename(folder),
      createImageHost(folder, { ...options, worker: options.imageWorker, onNote: note }),
    ]),
  );
  const hosts = [...models.values(), ...imageModels.values()];
  let draining = false;
  const closeModels = () => Promise.all(hosts.map((host) => host.close()));
  try {
    await Promise.all<unknown>(hosts.map((host) => host.ready));
    const app = createService({
      secret,
      models,
      imageModels,
      draining: () => draining,
      log,
    });
    const server = await new Promise<Server>((resolve, reject) => {
      const opened = listen({ fetch: app.fetch, hostname: host, port }, () => resolve(opened)) as Server;
      opened.on('error', (error: NodeJS.ErrnoException) =>
        reject(
          error.code === 'EADDRINUSE'
            ? new Error(
                `Port ${port} is taken by another program: --port or WICK_SERVICE_PORT chooses another.`,
              )
            : error,
        ),
      );
    });
    const address = server.address() as { port: number };
    const busy = () => hosts.some((host) => host.load().running + host.load().queued > 0);
    return {
      port: address.port,
      async drain(timeout) {
        draining = true;
        const end = performance.now() + timeout;
        while (busy() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
        // Answers that are complete here may still be on their way out.
        const closed = new Promise((resolve) => server.close(resolve));
        server.closeIdleConnections();
        await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 1000))]);
        server.closeAllConnections();
        await closeModels();
      },
    };
  } catch (error) {
    await closeModels();
    throw error;
  }
}
