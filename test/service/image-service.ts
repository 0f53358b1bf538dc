/** A service with models that draw noise, for tests: real HTTP, real signatures, real threads. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DRAW_LINE_LIMIT, type DrawEvent, drawEvent } from '../../src/api/draw.ts';
import { readEventsOf } from '../../src/api/events.ts';
import { signRequest } from '../../src/api/signature.ts';
import type { LogEntry } from '../../src/service/account.ts';
import { startService } from '../../src/service/serve.ts';

export const secret = 'a secret for tests alone';

export interface DrawService {
  url: string;
  log: LogEntry[];
  notes: string[];
  ask(method: 'GET' | 'POST', path: string, body?: unknown, signal?: AbortSignal): Promise<Response>;
  /** The load of a model as /health shows it. */
  load(id: string): Promise<{ running: number; queued: number }>;
  stop(): Promise<void>;
}

/** @param names of image models: one with "fixed" in it draws 64x64 alone, others multiples of 8 */
export async function startDrawService(
  names: string[],
  { maxQueue = 8, texts = [] as string[] } = {},
): Promise<DrawService> {
  const folder = mkdtempSync(join(tmpdir(), 'wick-'));
  for (const name of names) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'model_index.json'), '{}');
  }
  const [log, notes]: [LogEntry[], string[]] = [[], []];
  const service = await startService({
    models: [folder, ...texts],
    preload: true,
    host: '127.0.0.1',
    port: 0,
    secret,
    provider: 'cpu',
    threads: 1,
    variant: '',
    maxConcurrent: 2,
    maxQueue,
    log: (entry) => log.push(entry),
    note: (note) => notes.push(note),
    imageWorker: new URL('./image-fake-worker.ts', import.meta.url),
  });
  try {
    await service.preloaded;
  } catch (error) {
    await service.drain(0);
    throw error;
  } finally {
    rmSync(folder, { recursive: true });
  }
  const url = `http://127.0.0.1:${service.port}`;
  return {
    url,
    log,
    notes,
    async ask(method, path, body, signal) {
      const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
      const headers = await signRequest({ secret, method, path, body: text });
      return fetch(url + path, { method, headers, body: text || undefined, signal });
    },
    async load(id) {
      const { models } = (await (await fetch(`${url}/health`)).json()) as {
        models: { id: string; running: number; queued: number }[];
      };
      return models.find((model) => model.id === id)!;
    },
    stop: () => service.drain(0),
  };
}

export const eventsOf = (response: Response): AsyncGenerator<DrawEvent> =>
  readEventsOf(drawEvent, response.body!, DRAW_LINE_LIMIT);

export async function allEventsOf(response: Response): Promise<DrawEvent[]> {
  const events: DrawEvent[] = [];
  for await (const event of eventsOf(response)) events.push(event);
  return events;
}

export const ofType = <T extends DrawEvent['type']>(events: readonly DrawEvent[], type: T) =>
  events.filter((event): event is Extract<DrawEvent, { type: T }> => event.type === type);
