#!/usr/bin/env node
// Starts the command on a Node that runs TypeScript.
import { fileURLToPath } from 'node:url';
import { runOnInstalledNode, runsTypeScript } from './installed-node.js';

const args = process.argv.slice(2);

if (runsTypeScript) {
  const { main } = await import('./main.ts');
  await main(args);
} else runOnInstalledNode([fileURLToPath(import.meta.url), ...args]);
