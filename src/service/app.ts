/** The service's routes: signed requests from the edge, events back. */
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { BadRequest, errorObject, parse } from '../api/errors.ts';
import { generateRequest, writeEvent } from '../api/events.ts';
import { signatureFault } from '../api/signature.ts';
import type { EventStream, ModelHost } from './model-host.ts';

export interface ServiceOptions {
  secret: string;
  models: ReadonlyMap<string, ModelHost>;
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
  model?: string;
  tokens?: number;
}

const BODY_LIMIT = 8_000_000;

/** A sealed refusal: the error object with its status. */
class Refusal extends Error {
  readonly status: number;
  readonly details: { param?: string; code?: string; retryAfter?: number };

  constructor(
    status: number,
    message: string,
    details: { param?: string; code?: string; retryAfter?: number } = {},
  ) {
    super(message);
    this.status = status;
    this.details = details;
  }
}

/** The service as a Hono app. */
export function createService({ secret, models, draining, log }: ServiceOptions): Hono {
  const app = new Hono();
  const started = Date.now();

  app.get('/health', (c) => {
    const list = [...models].map(([id, host]) => ({ id, ...host.load() }));
    return c.json({
      status: draining() ? 'draining' : 'ok',
      uptime_s: Math.round((Date.now() - started) / 1000),
      models: list,
    });
  });

  app.use(
    '/v1/*',
    bodyLimit({
      maxSize: BODY_LIMIT,
      onError: () => {
        throw new Refusal(413, `The body is larger than ${BODY_LIMIT} bytes.`);
      },
    }),
  );
  app.use('/v1/*', async (c, next) => {
    const url = new URL(c.req.url);
    const body = new Uint8Array(await c.req.arrayBuffer());
    const fault = await signatureFault(
      { secret, method: c.req.method, path: url.pathname + url.search, body },
      c.req.raw.headers,
    );
    if (fault) throw new Refusal(401, fault, { code: 'invalid_signature' });
    await next();
  });

  app.get('/v1/models', (c) => {
    const created = Math.floor(started / 1000);
    return c.json({
      object: 'list',
      data: [...models.keys()].map((id) => ({
        id,
        object: 'model',
        created,
        owned_by: 'wick',
      })),
    });
  });

  app.post('/v1/generate', async (c) => {
    const began = performance.now();
    if (draining())
      throw new Refusal(503, 'The service is about to end and takes no more requests.', {
        code: 'draining',
        retryAfter: 5,
      });
    const request = parse(generateRequest, readJson(await c.req.text()));
    const host = models.get(request.model);
    if (!host) {
      throw new Refusal(
        404,
        `There is no model "${request.model.slice(0, 100)}". There is: ${[...models.keys()].join(', ')}.`,
        {
          param: 'model',
          code: 'model_not_found',
        },
      );
    }
    const admitted = host.admit(request);
    if ('retryAfter' in admitted) {
      throw new Refusal(503, `The service is busy. Try again in about ${admitted.retryAfter} s.`, {
        code: 'overloaded',
        ...admitted,
      });
    }
    const entry = {
      method: 'POST',
      path: '/v1/generate',
      status: 200,
      model: request.model,
    };
    return new Response(
      eventBody(admitted, (tokens) => log({ ...entry, ms: Math.round(performance.now() - began), tokens })),
      {
        headers: {
          'content-type': 'application/x-ndjson',
          'cache-control': 'no-store',
        },
      },
    );
  });

  app.notFound((c) => c.json(errorObject(404, `There is nothing at ${c.req.path.slice(0, 100)}.`), 404));
  app.onError((error, c) => {
    const began = {
      method: c.req.method,
      path: c.req.path.slice(0, 100),
      ms: 0,
    };
    if (error instanceof Refusal) {
      const { param, code, retryAfter } = error.details;
      if (retryAfter) c.header('retry-after', String(retryAfter));
      log({ ...began, status: error.status });
      return c.json(
        errorObject(error.status, error.message, { param, code }),
        error.status as ContentfulStatusCode,
      );
    }
    if (error instanceof BadRequest) {
      log({ ...began, status: 400 });
      return c.json(errorObject(400, error.message, error), 400);
    }
    console.error('A request failed:', error);
    log({ ...began, status: 500 });
    return c.json(
      errorObject(500, 'Something went wrong in the service.', {
        code: 'internal_error',
      }),
      500,
    );
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

/** Events as lines, no faster than they are read. A reader that leaves ends the generation. */
function eventBody(events: EventStream, over: (tokens: number) => void): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let tokens = 0;
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await events.next();
        if (done) {
          over(tokens);
          controller.close();
          return;
        }
        if (value.type === 'delta') tokens += value.tokens.length;
        controller.enqueue(encoder.encode(writeEvent(value)));
      },
      async cancel() {
        over(tokens);
        await events.return();
      },
    },
    { highWaterMark: 0 },
  );
}
