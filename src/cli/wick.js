#!/usr/bin/env node
// Starts the command on a Node that runs TypeScript: this one, or the one that npm installed beside wick.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [major, minor] = process.versions.node.split('.').map(Number);

if (major > 22 || (major === 22 && minor >= 18)) {
  const { main } = await import('./main.ts');
  await main(process.argv.slice(2));
} else {
  const node = installedNode();
  if (!node) {
    console.error(
      `wick: Node ${process.versions.node} does not run TypeScript, and npm installed no newer one beside wick. Install Node 22.18 or later.`,
    );
    process.exit(1);
  }
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  // A terminal sends Ctrl-C to the whole group: the child ends by itself, and this process after it.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => signal !== 'SIGINT' && child.kill(signal));
  child.on('exit', (code, signal) =>
    process.exit(signal ? 128 + { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 }[signal] || 1 : code),
  );
}

function installedNode() {
  const require = createRequire(import.meta.url);
  const { platform, arch } = process;
  const system = platform === 'win32' ? 'win' : platform;
  for (const name of [`node-${system}-${arch}`, `node-bin-${system}-${arch}`]) {
    try {
      const path = join(
        dirname(require.resolve(`${name}/package.json`)),
        'bin',
        platform === 'win32' ? 'node.exe' : 'node',
      );
      if (existsSync(path)) return path;
    } catch {
      // Not installed: the next name.
    }
  }
  return undefined;
}
