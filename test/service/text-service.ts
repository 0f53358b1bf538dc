/** A service with tiny text models, in this process: real HTTP, real signatures, real threads. */
import { cpSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readEvents, type ServiceEvent } from '../../src/api/events.ts';
import { signRequest } from '../../src/api/signature.ts';
import type { LogEntry } from '../../src/service/account.ts';
import { type ServeOptions, startService } from '../../src/service/serve.ts';
import { temporaryFolder } from '../fixtures/tiny.ts';

const families = fileURLToPath(new URL('../fixtures/families', import.meta.url));
export const secret = 'a secret for tests alone';

export interface TextService {
  url: string;
  service: Awaited<ReturnType<typeof startService>>;
  log: LogEntry[];
  notes: string[];
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** A signed request; a text is its body as it is. */
  ask(method: 'GET' | 'POST', path: string, body?: unknown, signal?: AbortSignal): Promise<Response>;
  generate(model: string, text: string, parameters?: object): Promise<ServiceEvent[]>;
  states(): Promise<Record<string, string>>;
}

/** A folder with copies of tiny models, by the names that they are to have. */
export function modelsFolder(names: Readonly<Record<string, string>>): string {
  const folder = temporaryFolder();
  for (const [name, family] of Object.entries(names)) copyModel(family, join(folder, name));
  return folder;
}

export const copyModel = (family: string, to: string): void =>
  cpSync(join(families, basename(family)), to, { recursive: true });

export async function startTextService(
  models: string,
  options: Partial<ServeOptions> = {},
): Promise<TextService> {
  const [log, notes]: [LogEntry[], string[]] = [[], []];
  const service = await startService({
    models: [models],
    host: '127.0.0.1',
    port: 0,
    secret,
    provider: 'cpu',
    threads: 1,
    variant: '',
    maxConcurrent: 2,
    maxQueue: 20,
    log: (entry) => log.push(entry),
    note: (note) => notes.push(note),
    ...options,
  });
  const url = `http://127.0.0.1:${service.port}`;
  const ask: TextService['ask'] = async (method, path, body, signal) => {
    const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
    const headers = await signRequest({ secret, method, path, body: text });
    return fetch(url + path, { method, headers, body: text || undefined, signal });
  };
  return {
    url,
    service,
    log,
    notes,
    ask,
    fetch: (path, init) => fetch(url + path, init),
    async generate(model, text, parameters = {}) {
      const given = { max_tokens: 8, temperature: 0, ignore_eos: true, ...parameters };
      const response = await ask('POST', '/v1/generate', { model, input: { text }, parameters: given });
      if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
      const events: ServiceEvent[] = [];
      for await (const event of readEvents(response.body!)) events.push(event);
      return events;
    },
    async states() {
      const { models } = (await (await fetch(`${url}/health`)).json()) as {
        models: { id: string; state: string }[];
      };
      return Object.fromEntries(models.map(({ id, state }) => [id, state]));
    },
  };
}

export const tokensOf = (events: readonly ServiceEvent[]): number[] =>
  events.flatMap((event) => (event.type === 'delta' ? event.tokens : []));
