/** A server with OpenAI's API, as a command asks it: its address and key, and its refusals as sentences. */
import { stripVTControlCharacters } from 'node:util';
import { type Command, Option } from 'commander';

export interface Server {
  /** What all paths stand under: `http://localhost:8787/v1/`. */
  base: URL;
  /** Sent, and never shown. */
  key: string | undefined;
}

export interface ServerOptions {
  url?: string;
  key?: string;
}

/** Bytes of a refusal that are read. */
const REFUSAL_BYTES = 64_000;

/** Adds `--url` and `--key` to a command. */
export const addServerOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--url <address>', "ask a server with OpenAI's API instead: http://host[:port][/v1]").env(
        'WICK_URL',
      ),
    )
    .addOption(new Option('--key <key>', "that server's key; safer in the environment").env('WICK_KEY'));

/**
 * The server that the options or the environment name, or undefined if the command is for this machine.
 * @throws Error if the address is none
 */
export function serverOf({ url, key }: ServerOptions): Server | undefined {
  if (!url?.trim()) return undefined;
  const base = URL.canParse(url) ? new URL(url) : undefined;
  if (!base || !/^https?:$/.test(base.protocol) || base.username || base.password || base.search)
    throw new Error('The address of --url is not right: it is like http://host:8787 or https://host/v1.');
  const path = base.pathname.replace(/\/+$/, '');
  base.pathname = `${path || '/v1'}/`;
  base.hash = '';
  const secret = key || process.env.WICK_KEY || undefined;
  if (secret && /[^\x21-\x7e]/.test(secret))
    throw new Error('The key has a character that no key has: it is printable ASCII without spaces.');
  return { base, key: secret };
}

/** @throws CommanderError if one of them was given: a server decides them itself */
export function refuseLocalOptions(command: Command, names: readonly string[]): void {
  const given = names.find((name) => command.getOptionValueSource(name) === 'cli');
  if (given) command.error(`error: --${given} is about a model on this machine, and --url asks another.`);
}

/**
 * Asks a server. The answer is one that says it is well, its body unread.
 * @param path under the base, like `chat/completions`
 * @param body JSON, or a form; without one it is a GET
 * @throws Error with a sentence: nobody answers, or what the server says against the request
 */
export async function askServer(
  server: Server,
  path: string,
  body?: object | FormData,
  signal?: AbortSignal,
): Promise<Response> {
  const form = body instanceof FormData;
  const response = await fetch(new URL(path, server.base), {
    method: body ? 'POST' : 'GET',
    headers: {
      ...(server.key && { authorization: `Bearer ${server.key}` }),
      ...(body && !form && { 'content-type': 'application/json' }),
    },
    body: form ? body : body && JSON.stringify(body),
    // A key is for whom it was given to, and a POST that is sent on becomes a GET.
    redirect: 'manual',
    signal,
  }).catch((thrown: Error) => {
    signal?.throwIfAborted();
    throw new Error(`${server.base.host} cannot be asked: ${reasonOf(thrown)}.`, { cause: thrown });
  });
  if (response.ok) return response;
  const { status, headers } = response;
  if (status >= 300 && status < 400) {
    await response.body?.cancel();
    const place = printable(headers.get('location') ?? 'nowhere').slice(0, 200);
    throw new Error(`${server.base.host} sends on to ${place}: give that address.`);
  }
  const said = messageOf(await beginning(response)) ?? (response.statusText || 'it says nothing more');
  const wait = headers.get('retry-after');
  const again = wait && /^\d{1,6}$/.test(wait) ? ` Ask again in ${wait} s.` : '';
  throw new Error(`${server.base.host} answers ${status}: ${sentence(server, said)}${again}`);
}

/** Reads an answer of JSON. @throws Error if it is none, or an error object in an answer's place */
export async function jsonOf(server: Server, response: Response): Promise<object> {
  const value: unknown = await response.json().catch((thrown: Error) => {
    if (thrown.name === 'AbortError') throw thrown;
    throw new Error(
      `${server.base.host} answers what is not JSON; is ${server.base.href} the right address?`,
    );
  });
  if (typeof value !== 'object' || value === null)
    throw new Error(`${server.base.host} answers JSON that is no object.`);
  if ('error' in value && value.error) throw failureOf(server, value);
  return value;
}

/** What an error object says, as an error. */
export const failureOf = (server: Server, value: object): Error =>
  new Error(
    `${server.base.host} fails: ${sentence(server, messageOf(JSON.stringify(value)) ?? 'it does not say why')}`,
  );

/** Text without what a terminal would obey. */
export const printable = (text: string): string =>
  stripVTControlCharacters(text).replace(/[\p{Cc}--[\n\t]]/gv, '');

/** One line that ends in a full stop, and never says the key. */
function sentence({ key }: Server, text: string): string {
  const line = printable(text).replace(/\s+/g, ' ').trim().slice(0, 1000);
  return (key ? line.replaceAll(key, '…') : line).replace(/[^.!?…]$/, '$&.');
}

/** The message in a refusal, in the forms that servers have for it; undefined where there is none to read. */
function messageOf(text: string): string | undefined {
  try {
    const { error, message, detail } = JSON.parse(text) as Record<string, unknown>;
    const said = [(error as { message?: unknown } | undefined)?.message, error, message, detail];
    return said.find((each) => typeof each === 'string');
  } catch {
    return /^\s*</.test(text) ? undefined : text.trim() || undefined;
  }
}

async function beginning(response: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of response.body ?? []) {
    pieces.push(piece);
    size += piece.byteLength;
    if (size > REFUSAL_BYTES) break;
  }
  return Buffer.concat(pieces).toString('utf8');
}

/** Why a request could not be made: fetch keeps it in the cause. */
export function reasonOf(thrown: Error): string {
  const cause = thrown.cause as (Error & { code?: string }) | undefined;
  const reasons: Record<string, string> = {
    ECONNREFUSED: 'nothing listens there',
    ENOTFOUND: 'the host is not known',
    EAI_AGAIN: 'the host is not known',
    ECONNRESET: 'the connection broke',
    UND_ERR_SOCKET: 'the connection broke',
    UND_ERR_HEADERS_TIMEOUT: 'it does not answer',
    UND_ERR_BODY_TIMEOUT: 'it has stopped answering',
    UND_ERR_CONNECT_TIMEOUT: 'it does not answer',
  };
  return reasons[cause?.code ?? ''] ?? (cause?.message || thrown.message || 'no reason is told');
}
