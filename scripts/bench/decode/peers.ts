/** Peers of benchmarks, installed once in a folder of their own, away from the project's packages. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const LLAMA = 'node-llama-cpp@3.22.1';

export function installedPeers(folder: string): string {
  if (existsSync(join(folder, 'node_modules/node-llama-cpp'))) return folder;
  mkdirSync(folder, { recursive: true });
  if (!existsSync(join(folder, 'package.json')))
    writeFileSync(join(folder, 'package.json'), '{"private":true}');
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', LLAMA], { cwd: folder });
  return folder;
}

/** As much of node-llama-cpp as is used. */
export interface Llama {
  loadModel(options: object): Promise<{
    createContext(options: object): Promise<{
      getSequence(): {
        clearHistory(): Promise<void>;
        evaluate(tokens: number[], options: object): AsyncIterable<number>;
      };
    }>;
  }>;
}

/** llama.cpp on the processor, from where `installedPeers` put it. */
export async function loadLlama(folder: string, threads: number): Promise<Llama> {
  const entry = pathToFileURL(join(folder, 'node_modules/node-llama-cpp/dist/index.js')).href;
  const { getLlama } = (await import(entry)) as { getLlama: (options: object) => Promise<Llama> };
  return getLlama({ gpu: false, build: 'never', maxThreads: threads, logLevel: 'error' });
}
