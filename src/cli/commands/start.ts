/** `wick start`: the service and the Worker in one terminal, with one log. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { bundleWorker, runWorker } from '../../edge/host.ts';
import { printJson, styled } from '../output.ts';
import { readPolicyFile } from '../policy-file.ts';

const wick = fileURLToPath(new URL('../wick.js', import.meta.url));
const models = fileURLToPath(new URL('../../../models', import.meta.url));

/** Milliseconds: before the service is started again, how long it may take to end, and how often it is asked. */
const pause = { first: 1_000, longest: 30_000, ending: 10_000, asking: 100 };

interface Options {
  port: number;
  servicePort: number;
  host: string;
  policy?: string;
  json?: boolean;
}

/** `wick start`: what `npm start` runs. */
export function startCommand(): Command {
  const { PORT, WICK_SERVICE_PORT } = process.env;
  return new Command('start')
    .description('Start the service and the Worker in one terminal, and show where to ask.')
    .option('--port <n>', 'port of the Worker (or PORT)', portOf, portOf(PORT || '8787', 'PORT'))
    .option(
      '--service-port <n>',
      'port of the service (or WICK_SERVICE_PORT)',
      portOf,
      portOf(WICK_SERVICE_PORT || '8788', 'WICK_SERVICE_PORT'),
    )
    .option('--host <address>', 'address at which the Worker listens', '127.0.0.1')
    .option(
      '--policy <file>',
      'what may go in and come out; by default keys, means of payment and identity numbers are masked',
    )
    .option('--json', 'write the log as one JSON object a line')
    .action(async (options: Options) => {
      process.exitCode = await start(options);
    });
}

type Part = 'wick' | 'edge' | 'service';
type Log = (from: Part, line: string) => void;
/** The environment that the Worker and the service share. */
type Variables = { WICK_SERVICE_URL: string; WICK_SECRET: string; WICK_POLICY?: string };

/** Runs both until a signal ends them. Returns the exit code: 0 after SIGTERM and SIGHUP, 130 after Ctrl-C. */
async function start({ port, servicePort, host, policy, json }: Options): Promise<number> {
  const WICK_POLICY = policy === undefined ? undefined : readPolicyFile(policy).text;
  if (port === servicePort) throw new Error(`The Worker and the service cannot both have port ${port}.`);
  await refuseTakenPort(port, host, 'The Worker', 'PORT');
  await refuseTakenPort(servicePort, '127.0.0.1', 'The service', 'WICK_SERVICE_PORT');
  const log = json ? jsonLog : textLog;
  const ending = new AbortController();
  const signal = untilSignal(ending);
  const variables = {
    WICK_SERVICE_URL: `http://127.0.0.1:${servicePort}`,
    WICK_SECRET: process.env.WICK_SECRET || randomBytes(32).toString('hex'),
    ...(WICK_POLICY !== undefined && { WICK_POLICY }),
  };

  log('wick', 'Starting the service and the Worker.');
  const address = ['--host', '127.0.0.1', '--port', String(servicePort)];
  const byPolicy = policy === undefined ? [] : ['--policy', policy];
  const serve = ['serve', '--models', models, '--preload', ...address, ...byPolicy];
  const service = superviseService(serve, variables, log, ending.signal);
  try {
    const bundle = await bundleWorker(ending.signal).catch((error) => {
      if (!ending.signal.aborted) throw error;
    });
    if (!bundle) return await signal;
    const worker = await runWorker({
      bundle,
      port,
      host,
      variables,
      log: (line) => log('edge', line),
    });
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
function superviseService(serve: string[], variables: Variables, log: Log, signal: AbortSignal) {
  const ready = Promise.withResolvers<boolean>();
  async function supervise(): Promise<void> {
    let wait = pause.first;
    for (let again = false; !signal.aborted; again = true) {
      const started = Date.now();
      const child = spawn(process.execPath, [wick, ...serve], {
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
      untilHealthy(variables.WICK_SERVICE_URL, gone).then((well) => {
        ready.resolve(well);
        if (well && again) log('wick', 'The service answers again.');
      });
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
      wait = Math.min(2 * wait, pause.longest);
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
    const response = await fetch(`${url}/health`, {
      signal: AbortSignal.timeout(1_000),
    }).catch(() => undefined);
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

/** Resolves with the exit code when a signal asks for the end. A second one ends at once. */
function untilSignal(ending: AbortController): Promise<number> {
  return new Promise((resolve) => {
    const end = (code: number) => () => {
      if (ending.signal.aborted) process.exit(code);
      ending.abort();
      resolve(code);
    };
    process.on('SIGINT', end(130)).on('SIGTERM', end(0)).on('SIGHUP', end(0));
  });
}

function portOf(text: string, variable?: unknown): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port;
  const sentence = 'A port is a whole number from 1 to 65535.';
  if (typeof variable === 'string') throw new Error(`${variable} is "${text}". ${sentence}`);
  throw new InvalidArgumentError(sentence);
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

const jsonLog: Log = (from, message) => printJson({ time: new Date().toISOString(), from, message });

const colours = { wick: 'yellow', edge: 'cyan', service: 'magenta' } as const;
const textLog: Log = (from, line) => console.log(`${styled(colours[from], `${from.padEnd(7)} │`)} ${line}`);
