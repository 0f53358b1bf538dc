/** `wick start`: the service and the Worker in one terminal, with one log. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { styleText } from 'node:util';
import { Command } from 'commander';
import { bundleWorker, runWorker } from '../../edge/host.ts';

const main = fileURLToPath(new URL('../wick.js', import.meta.url));

/** Milliseconds: before the service is started again, how long it may take to end, and how often it is asked. */
const pause = { first: 1_000, longest: 30_000, ending: 10_000, asking: 100 };

export function startCommand(): Command {
  return new Command('start')
    .description('Start the service and the Worker, and show where to ask.')
    .option('--port <number>', 'port of the Worker (or PORT)', process.env.PORT || '8787')
    .option(
      '--service-port <number>',
      'port of the service (or WICK_SERVICE_PORT)',
      process.env.WICK_SERVICE_PORT || '8788',
    )
    .option('--host <address>', 'address at which the Worker listens', '127.0.0.1')
    .option('--json', 'write the log as one JSON object a line')
    .action(async (options: { port: string; servicePort: string; host: string; json?: boolean }) => {
      const port = parsePort(options.port, 'PORT');
      const servicePort = parsePort(options.servicePort, 'WICK_SERVICE_PORT');
      if (port === servicePort) throw new Error(`The Worker and the service cannot both have port ${port}.`);
      process.exitCode = await start({ port, servicePort, host: options.host, json: options.json ?? false });
    });
}

interface StartOptions {
  port: number;
  servicePort: number;
  host: string;
  json: boolean;
}

type Part = 'wick' | 'edge' | 'service';
type Log = (from: Part, line: string) => void;

/** Runs both until a signal ends them. Returns the exit code: 0 after SIGTERM and SIGHUP, 130 after Ctrl-C. */
async function start({ port, servicePort, host, json }: StartOptions): Promise<number> {
  await refuseTakenPort(port, host, 'The Worker', 'PORT');
  await refuseTakenPort(servicePort, '127.0.0.1', 'The service', 'WICK_SERVICE_PORT');
  const log = json ? jsonLog : textLog();
  const ending = new AbortController();
  const signal = untilSignal(ending);
  const serviceUrl = `http://127.0.0.1:${servicePort}`;
  const variables = {
    WICK_SERVICE_URL: serviceUrl,
    WICK_SECRET: process.env.WICK_SECRET || randomBytes(32).toString('hex'),
  };

  log('wick', 'Starting the service and the Worker.');
  const service = superviseService(
    { ...variables, WICK_SERVICE_PORT: String(servicePort) },
    serviceUrl,
    log,
    ending.signal,
  );
  try {
    const bundle = await bundleWorker();
    if (ending.signal.aborted) return await signal;
    const worker = await runWorker({ bundle, port, host, variables, log: (line) => log('edge', line) });
    try {
      const serviceIsReady = await service.ready;
      if (!ending.signal.aborted) {
        const url = `http://localhost:${port}`;
        log('wick', `Ready at ${url}${serviceIsReady ? '' : ', with the models of the edge alone'}`);
        log('wick', `Try: curl -N ${url}/text -d 'Once upon a time'`);
      }
      const code = await signal;
      log('wick', 'Ending.');
      return code;
    } finally {
      await worker.stop();
    }
  } finally {
    ending.abort();
    await service.ended;
  }
}

/**
 * Keeps a service running until the signal, starting it again whenever it ends, after ever longer pauses.
 * `ready` resolves with whether it answers, as soon as it does or has ended for the first time; `ended` when the last
 * process is gone.
 */
function superviseService(variables: Record<string, string>, url: string, log: Log, signal: AbortSignal) {
  const ready = Promise.withResolvers<boolean>();
  async function supervise(): Promise<void> {
    for (let wait = pause.first; !signal.aborted; wait = Math.min(2 * wait, pause.longest)) {
      const started = Date.now();
      const child = spawn(process.execPath, [main, 'serve'], {
        env: { ...process.env, ...variables },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      for (const stream of [child.stdout, child.stderr]) {
        createInterface(stream).on('line', (line) => log('service', line));
      }
      const gone = once(child, 'exit') as Promise<[number | null, string | null]>;
      const end = () => endProcess(child, gone);
      const kill = () => child.kill('SIGKILL');
      process.once('exit', kill);
      signal.addEventListener('abort', end, { once: true });
      untilHealthy(url, gone).then(ready.resolve);
      const [code, killer] = await gone.catch((error: Error) => [error.message, null] as const);
      process.removeListener('exit', kill);
      signal.removeEventListener('abort', end);
      if (signal.aborted) return;
      if (Date.now() - started > pause.longest) wait = pause.first;
      log(
        'wick',
        `The service ended (${killer ?? code}). The edge goes on with its own models; the service starts again in ${wait / 1000} s.`,
      );
      await sleep(wait, undefined, { signal }).catch(() => {});
    }
  }
  return { ready: ready.promise, ended: supervise() };
}

/** Asks the service for its health until it is well (true) or gone (false). */
async function untilHealthy(url: string, gone: Promise<unknown>): Promise<boolean> {
  let over = false;
  const end = () => {
    over = true;
  };
  gone.then(end, end);
  while (!over) {
    const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(1_000) }).catch(
      () => undefined,
    );
    if (response?.ok && !over) return true;
    await sleep(pause.asking);
  }
  return false;
}

/** Asks a process to end, and ends it if it does not. */
async function endProcess(child: ChildProcess, gone: Promise<unknown>): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), pause.ending);
  await gone.catch(() => {});
  clearTimeout(timer);
}

/** Resolves with the exit code when a signal asks for the end, or nobody reads the log any more. A second one ends at once. */
function untilSignal(ending: AbortController): Promise<number> {
  return new Promise((resolve) => {
    const end = (code: number) => () => {
      if (ending.signal.aborted) process.exit(code);
      ending.abort();
      resolve(code);
    };
    process.on('SIGINT', end(130)).on('SIGTERM', end(0)).on('SIGHUP', end(0));
    process.stdout.once('error', end(0));
  });
}

function parsePort(text: string, name: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new Error(`${name} is "${text}"; a port is a whole number from 1 to 65535.`);
}

/** @throws Error saying that a port is taken, and how to move it */
async function refuseTakenPort(port: number, host: string, who: string, variable: string): Promise<void> {
  const probe = createServer();
  try {
    probe.listen(port, host);
    await once(probe, 'listening');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = {
      EADDRINUSE: 'is taken by another program',
      EACCES: 'is not allowed to this user',
    };
    const reason = reasons[code ?? ''] ?? `cannot be used (${message})`;
    throw new Error(`${who} cannot start: port ${port} ${reason}. Set ${variable} to a free one.`);
  } finally {
    await new Promise((resolve) => probe.close(resolve));
  }
}

const jsonLog: Log = (from, message) => {
  console.log(JSON.stringify({ time: new Date().toISOString(), from, message }));
};

function textLog(): Log {
  const colours = { wick: 'yellow', edge: 'cyan', service: 'magenta' } as const;
  const coloured = process.stdout.isTTY && !process.env.NO_COLOR;
  return (from, line) => {
    const prefix = `${from.padEnd(7)} │`;
    console.log(`${coloured ? styleText(colours[from], prefix) : prefix} ${line}`);
  };
}
