// node scripts/node.js SCRIPT …: runs a script on a Node that runs TypeScript, whichever Node this is.
import { pathToFileURL } from 'node:url';
import { runOnInstalledNode, runsTypeScript } from '../src/cli/installed-node.js';

const [script, ...args] = process.argv.slice(2);

if (runsTypeScript) {
  process.argv = [process.argv[0], script, ...args];
  await import(pathToFileURL(script).href);
} else runOnInstalledNode([script, ...args]);
