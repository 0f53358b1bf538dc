/** The models of a service: found in folders, loaded when they are asked for, changed when their folders are. */
import { statSync } from 'node:fs';
import { basename } from 'node:path';
import type { Credentials } from './image-credentials.ts';
import { checkerFiles, findImageFolders } from './image-folder.ts';
import { createImageHost, type ImageHost } from './image-host.ts';
import { folderStamp, weightBytes } from './model-files.ts';
import { findModelFolders } from './model-folder.ts';
import { createModelHost, type Host, type ModelHost } from './model-host.ts';
import { createModelMemory } from './model-memory.ts';
import type { Provider } from './runtime.ts';

export interface ModelsOptions {
  /** Model folders, or folders of them. */
  models: string[];
  /** Models that are loaded at the start and stay; `true` for all. Others are loaded when they are asked for. */
  preload?: true | string[];
  /** Bytes of weights that may be loaded at a time. */
  memory?: number;
  provider: Provider;
  threads: number;
  variant: string;
  maxConcurrent: number;
  maxQueue: number;
  /** See `WorkerStart`. */
  cacheBytes?: number;
  draft?: string;
  /** The folder of a safety checker that looks at all images, whatever model draws them. */
  safetyChecker?: string;
  /** Whose signature drawn images get. */
  credentials?: Credentials;
  /** Milliseconds; see `HostOptions`. */
  readerPatience?: number;
  note: (text: string) => void;
  /** The modules of models' threads, where they are not to be the service's own. */
  textWorker?: URL;
  imageWorker?: URL;
}

export interface Models {
  readonly texts: ReadonlyMap<string, ModelHost>;
  readonly images: ReadonlyMap<string, ImageHost>;
  /** Loads those that are to be there from the start. Rejects if one cannot be loaded. */
  preload(): Promise<void>;
  reload(): Promise<void>;
  /** Whether there is work that is done or waits. */
  busy(): boolean;
  close(): Promise<void>;
}

/** @throws Error if there is no model, one that is to be preloaded is not there, or they do not fit in the memory */
export function createModels(options: ModelsOptions): Models {
  const { memory: budget = Infinity, preload, note, variant, safetyChecker } = options;
  const checker = safetyChecker === undefined ? undefined : checkerFiles(safetyChecker);
  const checkerBytes = checker ? statSync(checker.graph).size : 0;
  const texts = new Map<string, ModelHost>();
  const images = new Map<string, ImageHost>();
  const stamps = new Map<string, string>();
  const memory = createModelMemory(budget);
  /** Those whose folders are gone, while they still work. */
  const leaving = new Set<Host>();
  const first = find();
  if (first.length === 0)
    throw new Error(
      `No model is in ${options.models.join(', ')}: a model folder has a config.json and an onnx folder, or a model_index.json.`,
    );
  refuseUnknown();
  refuseLarge(first);
  for (const folder of first) add(folder);
  const hosts = (): [id: string, host: Host][] => [...texts, ...images];

  function find(): Folder[] {
    const of = (kind: Folder['kind'], folders: string[]) =>
      folders.map((path): Folder => {
        const id = basename(path);
        const pinned = preload === true || (preload?.includes(id) ?? false);
        const bytes = weightBytes(path, variant) + (kind === 'image' ? checkerBytes : 0);
        return { kind, path, id, pinned, bytes };
      });
    return [
      ...of('text', options.models.flatMap(findModelFolders)),
      ...of('image', options.models.flatMap(findImageFolders)),
    ];
  }

  function refuseUnknown(): void {
    const known = first.map(({ id }) => id);
    const unknown = preload === true ? undefined : preload?.find((id) => !known.includes(id));
    if (unknown !== undefined)
      throw new Error(`There is no model "${unknown}" to preload. There is: ${known.join(', ')}.`);
  }

  function refuseLarge(folders: readonly Folder[]): void {
    const pinned = folders.filter((folder) => folder.pinned).reduce((sum, { bytes }) => sum + bytes, 0);
    const largest = Math.max(0, ...folders.filter((folder) => !folder.pinned).map(({ bytes }) => bytes));
    if (pinned + largest <= budget) return;
    throw new Error(
      `The memory for models, ${budget} bytes, is too small: those that are preloaded take ${pinned}, and the largest other ${largest}.`,
    );
  }

  function add({ kind, id, path, pinned, bytes }: Folder): void {
    const own = { ...options, memory, pinned, bytes, onNote: note };
    if (kind === 'text') texts.set(id, createModelHost(path, { ...own, worker: options.textWorker }));
    else images.set(id, createImageHost(path, { ...own, worker: options.imageWorker }));
    stamps.set(id, folderStamp(path));
  }

  async function remove(id: string, host: Host): Promise<void> {
    note(`${id} is gone.`);
    for (const map of [texts, images, stamps]) map.delete(id);
    leaving.add(host);
    while (isBusy(host)) await new Promise((resolve) => setTimeout(resolve, 50));
    await host.close();
    leaving.delete(host);
  }

  async function renew(folder: Folder, host: Host): Promise<void> {
    const { id, path } = folder;
    const stamp = folderStamp(path);
    if (stamp === stamps.get(id)) return;
    stamps.set(id, stamp);
    if (host.state() === 'idle' && !isBusy(host)) {
      add(folder);
      await host.close();
      return;
    }
    try {
      await host.replace();
      note(`${id} is renewed.`);
    } catch (error) {
      note(`${id} stays as it was: ${(error as Error).message}`);
    }
  }

  async function reload(): Promise<void> {
    const found = find();
    refuseLarge(found);
    const gone = hosts().filter(([id]) => !found.some((folder) => folder.id === id));
    for (const [id, host] of gone) void remove(id, host);
    for (const folder of found) {
      const host = texts.get(folder.id) ?? images.get(folder.id);
      if (host) await renew(folder, host);
      else {
        add(folder);
        note(`${folder.id} is new.`);
        if (folder.pinned)
          void hostOf(folder.id)
            .want()
            .catch(() => {});
      }
    }
  }

  const hostOf = (id: string): Host => (texts.get(id) ?? images.get(id))!;

  return {
    texts,
    images,
    async preload() {
      await Promise.all(hosts().map(([, host]) => (host.pinned ? host.want() : undefined)));
    },
    reload,
    busy: () => [...hosts().map(([, host]) => host), ...leaving].some(isBusy),
    async close() {
      await Promise.all([...hosts().map(([, host]) => host), ...leaving].map((host) => host.close()));
    },
  };
}

interface Folder {
  kind: 'text' | 'image';
  id: string;
  path: string;
  pinned: boolean;
  bytes: number;
}

function isBusy(host: Host): boolean {
  const { running, queued } = host.load();
  return running + queued > 0;
}
