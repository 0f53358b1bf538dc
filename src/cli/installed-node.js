// A Node that runs TypeScript: this one, or the one that npm installed beside wick.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const [major, minor] = process.versions.node.split('.').map(Number);

/** Whether this Node runs TypeScript without being told to: 22.18 and later do. */
export const runsTypeScript = major > 22 || (major === 22 && minor >= 18);

/**
 * Runs a script on the Node that npm installed, in the place of this process: its signals and its exit code are ours.
 * Ends with a sentence and code 1 if there is none.
 * @param {readonly string[]} args the script and its arguments
 */
export function runOnInstalledNode(args) {
  const node = installedNode();
  if (!node) {
    console.error(
      `wick: Node ${process.versions.node} does not run TypeScript, and npm installed no newer one beside wick. Install Node 22.18 or later.`,
    );
    process.exit(1);
  }
  // First on the path, so that what the script starts by the name of node is the same one.
  const path = `${dirname(node)}${process.platform === 'win32' ? ';' : ':'}${process.env.PATH ?? ''}`;
  const child = spawn(node, args, { stdio: 'inherit', env: { ...process.env, PATH: path } });
  // A terminal sends Ctrl-C to the whole group, so the child has it already, and a second one would cut its ending short.
  const atTerminal = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => (signal === 'SIGINT' && atTerminal) || child.kill(signal));
  }
  child.on('error', (error) => {
    console.error(
      `wick: the Node that npm installed, ${node}, does not start here: ${error.message}. Install Node 22.18 or later.`,
    );
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    const numbers = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };
    process.exit(signal ? 128 + (numbers[signal] ?? 0) : (code ?? 1));
  });
}

function installedNode() {
  const require = createRequire(import.meta.url);
  const { platform, arch } = process;
  const system = platform === 'win32' ? 'win' : platform;
  const file = platform === 'win32' ? 'node.exe' : 'node';
  for (const name of [`node-${system}-${arch}`, `node-bin-${system}-${arch}`]) {
    try {
      const path = join(dirname(require.resolve(`${name}/package.json`)), 'bin', file);
      if (existsSync(path)) return path;
    } catch {
      // Not installed: the next name.
    }
  }
  return undefined;
}
