/** The service's routes: signed requests from the edge, events back. */
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { requestId } from 'hono/request-id';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { drawRequest, IMAGE_BYTES_LIMIT } from '../api/draw.ts';
import { BadRequest, Failure, parse } from '../api/errors.ts';
import { generateRequest, writeEvent } from '../api/events.ts';
import { signatureFault } from '../api/signature.ts';
import { taskRequest } from '../api/tasks.ts';
import type { ImageHost } from './image-host.ts';
import type { ModelHost } from './model-host.ts';

export interface ServiceOptions {
  secret: string;
  models: ReadonlyMap<string, ModelHost>;
  /** Models that draw; the first is the one drawn with unless another is named. */
  imageModels?: ReadonlyMap<string, ImageHost>;
  /** Whether the service takes no more requests, for it is about to end. */
  draining: () => boolean;
  log: (entry: LogEntry) => void;
}

/** One request as the log shows it: never what was asked or answered. */
export interface LogEntry {
  method: string;
  path: string;
  status: number;
  ms: number;
  /** The request's id, which the edge has given it. */
  id: string;
  model?: string;
  tokens?: number;
  images?: number;
}

const BODY_LIMIT = 8_000_000;
/** An image and a mask in base64, and two prompts in which every character is escaped. */
const DRAW_BODY_LIMIT = 2 * Math.ceil(IMAGE_BYTES_LIMIT / 3) * 4 + 100_000;

/** The service as a Hono app. */
export function createService({
  secret,
  models,
  imageModels = new Map(),
  draining,
  log,
}: ServiceOptions): Hono<{ Variables: { requestId: string } }> {
  const app = new Hono<{ Variables: { requestId: string } }>();
  app.use(requestId());
  const started = Date.now();

  app.get('/health', (c) => {
    const list = [
      ...[...models].map(([id, host]) => ({ id, kind: 'text', ...host.load() })),
      ...[...imageModels].map(([id, host]) => ({ id, kind: 'image', ...host.load() })),
    ];
    return c.json({
      status: draining() ? 'draining' : 'ok',
      uptime_s: Math.round((Date.now() - started) / 1000),
      models: list,
    });
  });

  const limit = (maxSize: number) =>
    bodyLimit({
      maxSize,
      onError: () => {
        throw new Failure('body_too_large', `The body is larger than ${maxSize} bytes.`);
      },
    });
  const [usual, drawing] = [limit(BODY_LIMIT), limit(DRAW_BODY_LIMIT)];
  app.use('/v1/*', (c, next) => (c.req.path === '/v1/draw' ? drawing(c, next) : usual(c, next)));
  app.use('/v1/*', async (c, next) => {
    const url = new URL(c.req.url);
    const body = new Uint8Array(await c.req.arrayBuffer());
    const fault = await signatureFault(
      { secret, method: c.req.method, path: url.pathname + url.search, body },
      c.req.raw.headers,
    );
    if (fault) throw new Failure('invalid_signature', fault);
    await next();
  });

  app.get('/v1/models', (c) => {
    const created = Math.floor(started / 1000);
    const entry = (id: string) => ({ id, object: 'model', created, owned_by: 'wick' });
    const texts = [...models].map(([id, { version }]) => ({ ...entry(id), kind: 'text', version }));
    const images = [...imageModels].map(([id, host], index) => {
      const { width, height } = host.info() ?? {};
      const { version } = host;
      return {
        ...entry(id),
        kind: 'image',
        size: [width, height],
        version,
        ...(index === 0 && { default: true }),
      };
    });
    return c.json({ object: 'list', data: [...texts, ...images] });
  });

  app.post('/v1/generate', async (c) => {
    refuseWhileDraining();
    const request = parse(generateRequest, readJson(await c.req.text()));
    const host = models.get(request.model);
    if (!host)
      throw noModel(request.model, [...models.keys()], imageModels.has(request.model) && 'draws images');
    const events = admitted(host.admit(request));
    let tokens = 0;
    return answer(
      events,
      (event) => {
        if (event.type === 'delta') tokens += event.tokens.length;
      },
      logAtEnd(c.get('requestId'), '/v1/generate', request.model, () => ({ tokens })),
    );
  });

  app.post('/v1/tasks', async (c) => {
    refuseWhileDraining();
    const { model, task } = parse(taskRequest, readJson(await c.req.text()));
    const host = models.get(model);
    if (!host) throw noModel(model, [...models.keys()], imageModels.has(model) && 'draws images');
    const over = logAtEnd(c.get('requestId'), '/v1/tasks', model, () => ({}));
    return answer(admitted(host.admit({ task })), () => {}, over);
  });

  app.post('/v1/draw', async (c) => {
    refuseWhileDraining();
    const request = parse(drawRequest, readJson(await c.req.text()));
    const host = imageModels.get(request.model);
    if (!host)
      throw noModel(request.model, [...imageModels.keys()], models.has(request.model) && 'writes text');
    const events = admitted(host.admit(request));
    let images = 0;
    return answer(
      events,
      (event) => {
        if (event.type === 'image') images++;
      },
      logAtEnd(c.get('requestId'), '/v1/draw', request.model, () => ({ images })),
    );
  });

  function refuseWhileDraining(): void {
    if (!draining()) return;
    throw new Failure('draining', 'The service is about to end and takes no more requests.', {
      retryAfter: 5,
    });
  }

  function logAtEnd(
    id: string,
    path: string,
    model: string,
    counts: () => Pick<LogEntry, 'tokens' | 'images'>,
  ): () => void {
    const began = performance.now();
    return () =>
      log({
        method: 'POST',
        path,
        status: 200,
        id,
        model,
        ms: Math.round(performance.now() - began),
        ...counts(),
      });
  }

  app.notFound((c) => {
    throw new Failure('not_found', `There is nothing at ${c.req.path.slice(0, 100)}.`);
  });
  app.onError((thrown, c) => {
    if (!(thrown instanceof Failure)) console.error('A request failed:', thrown);
    const { status, retryAfter, body } =
      thrown instanceof Failure
        ? thrown
        : new Failure('internal_error', 'Something went wrong in the service.');
    if (retryAfter) c.header('retry-after', String(retryAfter));
    log({ method: c.req.method, path: c.req.path.slice(0, 100), ms: 0, status, id: c.get('requestId') });
    return c.json({ ...body, request_id: c.get('requestId') }, status as ContentfulStatusCode);
  });
  return app;
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new BadRequest('The body is not JSON.', { code: 'invalid_json' });
  }
}

function noModel(model: string, known: readonly string[], instead: string | false): Failure {
  const name = `"${model.slice(0, 100)}"`;
  const there = known.length > 0 ? `There is: ${known.join(', ')}.` : 'There is none for this.';
  return new Failure(
    'model_not_found',
    instead ? `The model ${name} ${instead}. ${there}` : `There is no model ${name}. ${there}`,
    {
      param: 'model',
    },
  );
}

function admitted<T extends object>(answer: T | { retryAfter: number }): T {
  if (!('retryAfter' in answer)) return answer;
  throw new Failure('overloaded', `The service is busy. Try again in about ${answer.retryAfter} s.`, {
    retryAfter: answer.retryAfter,
  });
}

/** Events as lines, no faster than they are read. A reader that leaves ends what it asked for. */
function answer<T extends object>(
  events: AsyncGenerator<T, void>,
  sent: (event: T) => void,
  over: () => void,
): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await events.next();
        if (done) {
          over();
          controller.close();
          return;
        }
        sent(value);
        controller.enqueue(encoder.encode(writeEvent(value)));
      },
      async cancel() {
        over();
        await events.return();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, {
    headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' },
  });
}
