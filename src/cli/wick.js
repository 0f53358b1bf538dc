#!/usr/bin/env node
// Starts the command on a Node that runs TypeScript.
import { fileURLToPath } from 'node:url';
import { concealKey } from './conceal-key.js';
import { runOnInstalledNode, runsTypeScript } from './installed-node.js';

const args = concealKey(process.argv.slice(2));

if (runsTypeScript) {
  const { main } = await import('./main.ts');
  await main(args);
} else runOnInstalledNode([fileURLToPath(import.meta.url), ...args]);
