/** Something in the place of the service that draws: its protocol over real HTTP, checked signatures, real image files. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import sharp from 'sharp';
import { type DrawEvent, type DrawRequest, drawRequest } from '../../src/api/draw.ts';
import { Failure } from '../../src/api/errors.ts';
import { writeEvent } from '../../src/api/events.ts';
import { signatureFault } from '../../src/api/signature.ts';
import { secret } from './worker.ts';

export interface DrawingService {
  url: string;
  /** What was asked for, in order. */
  drawings: DrawRequest[];
  /** Drawings that ended because their reader left. */
  left: number;
  /** Draws in another way for as long as it is set. */
  instead?: (request: DrawRequest, response: ServerResponse) => unknown;
  /** Milliseconds of a step. */
  pace: number;
  /** Stops listening, as a service does that is down; and listens again. */
  down(): Promise<void>;
  up(): Promise<void>;
}

const models = [
  { id: 'Story', object: 'model', created: 1, owned_by: 'wick', kind: 'text' },
  { id: 'Other', object: 'model', created: 3, owned_by: 'wick', kind: 'image', size: [64, 64] },
  {
    id: 'Easel',
    object: 'model',
    created: 2,
    owned_by: 'wick',
    kind: 'image',
    size: [64, 64],
    default: true,
  },
];

/** Starts it on a free port. */
export async function startDrawingService(): Promise<DrawingService> {
  let server: Server;
  let port = 0;
  const service: DrawingService = {
    url: '',
    drawings: [],
    left: 0,
    pace: 2,
    async down() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
    async up() {
      server = createServer((request, response) => {
        answer(service, request, response).catch((error) => {
          console.error(error);
          response.destroy();
        });
      });
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
      port = (server.address() as AddressInfo).port;
    },
  };
  await service.up();
  service.url = `http://127.0.0.1:${port}`;
  return service;
}

async function answer(
  service: DrawingService,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = Buffer.concat(await request.toArray());
  const { url: path = '', method = '' } = request;
  const headers = new Headers(request.headers as Record<string, string>);
  const fault = await signatureFault({ secret, method, path, body }, headers);
  if (path === '/health') return void response.end('{"status":"ok"}');
  if (fault) return refuse(response, 401, fault);
  if (path === '/v1/models') return void response.end(JSON.stringify({ object: 'list', data: models }));
  const { success, data: asked, error } = drawRequest.safeParse(JSON.parse(body.toString()));
  if (!success) return refuse(response, 400, error.message);
  service.drawings.push(asked);
  if (service.instead) return void (await service.instead(asked, response));
  let seen = false;
  for (const name of ['image', 'mask'] as const) {
    const file = asked[name];
    if (!file) continue;
    const metadata = await sharp(Buffer.from(file, 'base64'))
      .metadata()
      .catch(() => undefined);
    if (!metadata) return refuse(response, 400, `\`${name}\` is no image that can be read.`);
    seen = true;
  }
  await drawn(service, asked, response, seen);
}

/** Draws as the service does: a line that moves up, steps, previews, and at the end the images. */
async function drawn(
  service: DrawingService,
  { prompt, parameters }: DrawRequest,
  response: ServerResponse,
  edited: boolean,
): Promise<void> {
  const {
    n = 1,
    seed = 7,
    num_inference_steps: steps = 4,
    width = 64,
    height = 64,
    output_format: format = 'png',
    partial_images = 0,
  } = parameters;
  let gone = false;
  response.on('close', () => {
    if (response.writableFinished) return;
    gone = true;
    service.left++;
  });
  const send = async (event: DrawEvent) => {
    if (!response.write(writeEvent(event))) await once(response, 'drain').catch(() => {});
  };
  const file = async (seed: number) => {
    const background = {
      r: (seed * 37) % 256,
      g: (prompt.length * 11) % 256,
      b: edited ? 255 : 0,
    };
    const image = sharp({ create: { width, height, channels: 3, background } });
    return (await image.toFormat(format).toBuffer()).toString('base64');
  };
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  await send({ type: 'queued', place: 1, seconds: 1.5 });
  await send({ type: 'start', steps, n, seed, prompt_tokens: 5 });
  for (let index = 0; index < n; index++) {
    for (let step = 1; step <= steps; step++) {
      await new Promise((resolve) => setTimeout(resolve, service.pace));
      if (gone) return;
      await send({ type: 'progress', index, step, steps });
      if (step <= partial_images) {
        const b64_json = await file(seed + index + step);
        await send({ type: 'partial', index, partial: step - 1, b64_json, format, width, height });
      }
    }
    const b64_json = await file(seed + index);
    await send({ type: 'image', index, seed: seed + index, b64_json, format, width, height });
  }
  response.end(writeEvent({ type: 'done', images: n, seconds: 0.5 }));
}

/** Refuses as the service does. */
export function refuse(
  response: ServerResponse,
  status: number,
  message: string,
  retryAfter?: number,
  code: string | null = null,
): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    ...(retryAfter && { 'retry-after': String(retryAfter) }),
  });
  response.end(JSON.stringify(new Failure({ status, code }, message).body));
}
