/** A service with models that draw noise, for tests: real HTTP, real signatures, real threads. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DRAW_LINE_LIMIT, type DrawEvent, drawEvent } from '../../src/api/draw.ts';
import { readEventsOf } from '../../src/api/events.ts';
import type { LogEntry } from '../../src/service/account.ts';
import { startTextService } from './text-service.ts';

export { secret } from './text-service.ts';

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
  const { url, service, log, notes, ask } = await startTextService(folder, {
    models: [folder, ...texts],
    preload: true,
    maxQueue,
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
  return {
    url,
    log,
    notes,
    ask,
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
