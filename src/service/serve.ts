/** The service as a process: models found, a port opened, requests drained at the end. */
import type { Server } from 'node:http';
import { serve as listen } from '@hono/node-server';
import type { Policy } from '../filtering/policy.ts';
import type { LogEntry } from './account.ts';
import { createService } from './app.ts';
import { createImageChecker } from './image-checker.ts';
import { createMetrics } from './metrics.ts';
import { createModels, type ModelsOptions } from './models.ts';
import { createPromptCheck } from './prompt-check.ts';

export interface ServeOptions extends ModelsOptions {
  host: string;
  port: number;
  secret: string;
  /** By which the prompts of images are judged; the default where there is none. */
  policy?: Policy;
  /** See `ServiceOptions`. */
  metricsToken?: string;
  log: (entry: LogEntry) => void;
}

export interface RunningService {
  port: number;
  /** Resolves when the preloaded models are there. Rejects if one of them cannot be loaded. */
  preloaded: Promise<void>;
  /** Takes in the model folders as they are now: new ones, changed ones, and that some are gone. */
  reload(): Promise<void>;
  /** Takes no more requests, waits for those that run (at most `timeout` milliseconds), and ends. */
  drain(timeout: number): Promise<void>;
}

/**
 * Starts the service. It listens before any model is loaded.
 * @throws Error if no model is found, they do not fit in the memory, the secret is too short, or the port is taken
 */
export async function startService(options: ServeOptions): Promise<RunningService> {
  const { secret, host, port, log } = options;
  if (secret.length < 16) {
    throw new Error(
      'The service needs WICK_SECRET, 16 characters or more, which it shares with the edge: WICK_SECRET=$(openssl rand -hex 32) makes one.',
    );
  }
  const { safetyChecker: folder, provider, threads } = options;
  const imageChecker = folder === undefined ? undefined : createImageChecker({ folder, provider, threads });
  const promptCheck = createPromptCheck(options.policy);
  const models = createModels(options);
  let draining = false;
  const app = createService({
    secret,
    metricsToken: options.metricsToken,
    models: models.texts,
    imageModels: models.images,
    promptCheck,
    imageChecker,
    metrics: createMetrics(models.texts, models.images),
    draining: () => draining,
    log,
  });
  const server = await open(app.fetch, host, port).catch(async (error) => {
    await models.close();
    throw error;
  });
  const preloaded = Promise.all([models.preload(), models.images.size > 0 && promptCheck.ready()]).then(
    () => {},
  );
  preloaded.catch(() => {});
  return {
    port: (server.address() as { port: number }).port,
    preloaded,
    reload: models.reload,
    async drain(timeout) {
      draining = true;
      const end = performance.now() + timeout;
      while (models.busy() && performance.now() < end)
        await new Promise((resolve) => setTimeout(resolve, 20));
      // Answers that are complete here may still be on their way out.
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 1000))]);
      server.closeAllConnections();
      await Promise.all([models.close(), imageChecker?.close()]);
    },
  };
}

function open(fetch: ReturnType<typeof createService>['fetch'], host: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = listen({ fetch, hostname: host, port }, () => resolve(server)) as Server;
    server.on('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new Error(
              `Port ${port} is taken by another program: --port or WICK_SERVICE_PORT chooses another.`,
            )
          : error,
      ),
    );
  });
}
