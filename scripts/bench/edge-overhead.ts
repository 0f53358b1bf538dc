/**
 * What the Worker adds to calling the service straight: milliseconds to the first token and to each token. A relay
 * before the service notes when a request passes and when each token does, so that the time that the model takes counts
 * in neither: what is compared is how long a request is on its way to the service, and each token from it, with the
 * Worker between and without, measured in turns. Miniflare's own Worker, which stands before ours on this machine and
 * nowhere else, is gone round; what its filter adds, which holds pieces back, `edge-filter` tells.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { signRequest } from '../../src/api/signature.ts';
import { bundleWorker, runWorker } from '../../src/edge/host.ts';
import type { BenchResult } from '../bench.ts';
import { allowing } from './edge/allowing.ts';

const model = 'Llama-wick-3M';
const folder = fileURLToPath(new URL(`../../models/${model}`, import.meta.url));
const wick = fileURLToPath(new URL('../../src/cli/wick.js', import.meta.url));
const secret = 'a secret for this benchmark alone';
const prompt = 'Once upon a time';

/** Milliseconds of one answer: its request's way, and each token's. */
interface Ways {
  request: number;
  tokens: number[];
}

export async function run({ args }: { args: string[] }): Promise<BenchResult> {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '300' },
      tokens: { type: 'string', default: '24' },
    },
  });
  const [rounds, tokens] = [Number(values.rounds), Number(values.tokens)];
  const service = await startService();
  const relay = await startRelay(service.port);
  const worker = await runWorker({
    bundle: await bundleWorker(),
    port: 0,
    variables: { WICK_SERVICE_URL: relay.url, WICK_SECRET: secret, WICK_POLICY: allowing },
    direct: true,
    log: () => {},
  });
  try {
    const wish = { max_tokens: tokens, temperature: 0, logit_bias: { 2: -100 } };
    const straight = async (): Promise<Ways> => {
      const body = JSON.stringify({ model, input: { text: prompt }, parameters: wish });
      const began = performance.now();
      const headers = await signRequest({ secret, method: 'POST', path: '/v1/generate', body });
      return timed(relay, began, '"type":"delta"', `${relay.url}/v1/generate`, body, headers);
    };
    const body = JSON.stringify({ model, prompt, stream: true, placement: 'service', ...wish });
    const address = new URL('/v1/completions', await worker.directUrl()).href;
    const through = (): Promise<Ways> =>
      timed(relay, performance.now(), '"finish_reason":null', address, body);
    // The first rounds warm up, both by as much.
    for (let round = 0; round < 30; round++) for (const way of [straight, through]) await way();
    const all: { straight: Ways[]; through: Ways[] } = { straight: [], through: [] };
    for (let round = 0; round < rounds; round++) {
      all.straight.push(await straight());
      all.through.push(await through());
    }
    const first = ({ request, tokens }: Ways) => request + tokens[0];
    const rest = (list: Ways[]) => list.flatMap(({ tokens }) => tokens.slice(1));
    const ways = {
      'request to the service': [all.straight.map((w) => w.request), all.through.map((w) => w.request)],
      'first token, request included': [all.straight.map(first), all.through.map(first)],
      'each further token': [rest(all.straight), rest(all.through)],
    };
    const added = Object.entries(ways).map(([way, [without, with_]]) => ({
      way,
      without: quantile(without, 0.5),
      p50: quantile(with_, 0.5) - quantile(without, 0.5),
      p99: quantile(with_, 0.99) - quantile(without, 0.99),
      samples: with_.length,
    }));
    const [, firstToken, token] = added;
    return {
      rows: added.map(({ way, without, p50, p99, samples }) => ({
        way,
        'straight p50, ms': round(without),
        'added p50, ms': round(p50),
        'added p99, ms': round(p99),
        samples,
      })),
      summary: {
        first_token_added_p50_ms: round(firstToken.p50),
        first_token_added_p99_ms: round(firstToken.p99),
        token_added_p50_ms: round(token.p50),
        token_added_p99_ms: round(token.p99),
        rounds,
        tokens,
        model,
      },
    };
  } finally {
    await worker.stop();
    relay.server.close();
    service.child.kill('SIGTERM');
  }
}

/** Asks for an answer, and measures how long it is on its way. */
async function timed(
  relay: Relay,
  began: number,
  mark: string,
  url: string,
  body: string,
  headers: Record<string, string> = {},
): Promise<Ways> {
  relay.passed = { request: 0, tokens: [] };
  const response = await fetch(url, {
    method: 'POST',
    body,
    headers: { ...headers, 'content-type': 'application/json' },
  });
  if (!response.ok || !response.body)
    throw new Error(`It answered ${response.status}: ${await response.text()}`);
  const came: number[] = [];
  const seen = counter(mark);
  for await (const piece of response.body) {
    const now = performance.now();
    for (let i = seen(Buffer.from(piece)); i > 0; i--) came.push(now);
  }
  const { request, tokens } = relay.passed;
  if (came.length !== tokens.length)
    throw new Error(`${tokens.length} pieces of text left the service, and ${came.length} came.`);
  return { request: request - began, tokens: tokens.map((left, i) => came[i] - left) };
}

interface Relay {
  url: string;
  server: Server;
  /** When the last request passed, and each of its tokens. */
  passed: { request: number; tokens: number[] };
}

/** Hands all bytes on, and notes when those pass that matter. One request is under way at a time. */
async function startRelay(port: number): Promise<Relay> {
  const server = createServer((inner) => {
    const outer = connect(port, '127.0.0.1');
    for (const socket of [inner, outer]) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
    }
    const asked = counter('POST /v1/generate');
    const told = counter('"type":"delta"');
    inner.on('data', (bytes) => {
      if (asked(bytes) > 0) relay.passed.request = performance.now();
    });
    outer.on('data', (bytes) => {
      const now = performance.now();
      for (let i = told(bytes); i > 0; i--) relay.passed.tokens.push(now);
    });
    inner.pipe(outer);
    outer.pipe(inner);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const relay: Relay = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    passed: { request: 0, tokens: [] },
  };
  return relay;
}

/** Counts a mark in bytes that come in pieces, also where one is cut. */
function counter(mark: string): (bytes: Uint8Array) => number {
  let rest = '';
  return (bytes) => {
    const text = rest + Buffer.from(bytes).toString('latin1');
    const parts = text.split(mark);
    rest = parts.at(-1)!.slice(-(mark.length - 1));
    return parts.length - 1;
  };
}

/** `wick serve` as a process of its own. */
async function startService(): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, [wick, 'serve', '--port', '0', '--models', folder, '--preload'], {
    env: { ...process.env, WICK_SECRET: secret },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  process.once('exit', () => child.kill('SIGKILL'));
  const lines = createInterface(child.stdout!);
  let port: number | undefined;
  for await (const line of lines) {
    port ??= Number(/listens at http:\S+:(\d+)/.exec(line)?.[1]) || undefined;
    if (port && line.includes('The preloaded models are there')) break;
  }
  if (!port) throw new Error('The service did not start.');
  // Its log is read on, and not looked at.
  child.stdout!.resume();
  await sleep(100);
  return { child, port };
}

const quantile = (list: readonly number[], q: number): number =>
  [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(q * list.length))];
const round = (value: number): number => Math.round(value * 100) / 100;
