/** Peers of benchmarks, installed once in a folder of their own, away from the project's packages. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const LLAMA = 'node-llama-cpp@3.22.1';

export function installedPeers(folder: string): string {
  if (existsSync(join(folder, 'node_modules/node-llama-cpp'))) return folder;
  mkdirSync(folder, { recursive: true });
  if (!existsSync(join(folder, 'package.json')))
    writeFileSync(join(folder, 'package.json'), '{"private":true}');
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', LLAMA], { cwd: folder });
  return folder;
}
