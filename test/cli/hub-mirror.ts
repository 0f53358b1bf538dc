/** A mirror of the hub that holds what a test puts into it: its protocol over real HTTP. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const commit = '0123456789abcdef0123456789abcdef01234567';

export interface Mirror {
  url: string;
  /** What was asked for, each with its range. */
  asked: { path: string; range?: string; authorization?: string }[];
  /** Answers in another way where it says so. */
  instead?: (path: string, request: IncomingMessage, response: ServerResponse) => boolean;
  stop(): Promise<void>;
}

/** Files of more than this are told by their SHA-256, as large files are. */
const LARGE = 10_000;

export async function startMirror(name: string, files: Record<string, Buffer>): Promise<Mirror> {
  const entry = ([path, bytes]: [string, Buffer]) => {
    const oid = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
    const lfs = {
      oid: createHash('sha256').update(bytes).digest('hex'),
      size: bytes.length,
      pointerSize: 130,
    };
    return { type: 'file', path, size: bytes.length, oid, ...(bytes.length > LARGE && { lfs }) };
  };
  const json = (response: ServerResponse, status: number, body: unknown) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  const mirror: Mirror = { url: '', asked: [], stop: async () => {} };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://localhost');
    const path = decodeURIComponent(pathname);
    const { range, authorization } = request.headers;
    mirror.asked.push({ path, range, authorization });
    if (mirror.instead?.(path, request, response)) return;
    if (path.startsWith(`/api/models/${name}/revision/`)) {
      const revision = path.split('/').at(-1)!;
      if (!['main', commit].includes(revision)) return json(response, 404, { error: 'Invalid rev id' });
      return json(response, 200, { _id: '1', id: name, modelId: name, sha: commit, siblings: [] });
    }
    if (path === `/api/models/${name}/tree/${commit}`)
      return json(response, 200, Object.entries(files).map(entry));
    const file = files[path.replace(`/${name}/resolve/${commit}/`, '')];
    if (!file) return json(response, 404, { error: 'Repository not found' });
    send(response, file, range, path);
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  mirror.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  mirror.stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return mirror;
}

/** A file, or the range of it that is asked for. */
export function send(response: ServerResponse, file: Buffer, range: string | undefined, tag: string): void {
  const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  const end = Math.min(to === '' ? file.length : Number(to) + 1, file.length);
  const part = file.subarray(Number(from), end);
  response.writeHead(range ? 206 : 200, {
    etag: `"${tag}"`,
    'content-length': part.length,
    ...(range && { 'content-range': `bytes ${from}-${end - 1}/${file.length}` }),
  });
  response.end(part);
}
