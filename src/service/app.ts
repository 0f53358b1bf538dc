/** The service's routes: signed requests from the edge, events back. */
import { timingSafeEqual } from 'node:crypto';
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { requestId } from 'hono/request-id';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { checkImageRequest, drawRequest, IMAGE_BYTES_LIMIT } from '../api/draw.ts';
import { BadRequest, Failure, parse } from '../api/errors.ts';
import { generateRequest, writeEvent } from '../api/events.ts';
import { signatureFault } from '../api/signature.ts';
import { taskRequest } from '../api/tasks.ts';
import { type Account, type LogEntry, openAccount } from './account.ts';
import type { ImageChecker } from './image-checker.ts';
import type { ImageHost } from './image-host.ts';
import type { Metrics } from './metrics.ts';
import type { ModelHost } from './model-host.ts';
import { CONTENT_TYPE } from './prometheus.ts';
import type { PromptCheck } from './prompt-check.ts';

export interface ServiceOptions {
  secret: string;
  models: ReadonlyMap<string, ModelHost>;
  /** Models that draw; the first is the one drawn with unless another is named. */
  imageModels?: ReadonlyMap<string, ImageHost>;
  /** Judges the prompts of images, though the edge has. */
  promptCheck?: Pick<PromptCheck, 'check'>;
  /** Looks at images that callers send. */
  imageChecker?: Pick<ImageChecker, 'isUnsafe'>;
  /** Whether the service takes no more requests, for it is about to end. */
  draining: () => boolean;
  metrics: Metrics;
  /** Who sends it as a bearer reads the metrics; without one, who signs as the edge does. */
  metricsToken?: string;
  log: (entry: LogEntry) => void;
}

const BODY_LIMIT = 8_000_000;
/** An image and a mask in base64, and two prompts in which every character is escaped. */
const DRAW_BODY_LIMIT = 2 * Math.ceil(IMAGE_BYTES_LIMIT / 3) * 4 + 100_000;

type Env = { Variables: { requestId: string; came: number } };

/** What the log and the metrics name; all other paths are whatever a stranger wrote. */
const routes = new Set([
  '/health',
  '/ready',
  '/metrics',
  '/v1/models',
  '/v1/generate',
  '/v1/tasks',
  '/v1/draw',
  '/v1/check-image',
]);

const takesImages = new Set(['/v1/draw', '/v1/check-image']);

/** The service as a Hono app. */
export function createService({
  secret,
  models,
  imageModels = new Map(),
  promptCheck,
  imageChecker,
  draining,
  metrics,
  metricsToken,
  log,
}: ServiceOptions): Hono<Env> {
  const app = new Hono<Env>();
  app.use(requestId());
  const started = Date.now();

  app.use(async (c, next) => {
    c.set('came', performance.now());
    await next();
    // One that streams is counted when its stream ends.
    const { path } = c.req;
    if (!c.res.ok || !c.req.path.startsWith('/v1/') || path === '/v1/models')
      metrics.request(routes.has(path) ? path : 'other', c.res.status);
  });

  app.get('/health', (c) => {
    const state = (host: ModelHost | ImageHost) => ({ state: host.state(), ...host.load() });
    const list = [
      ...[...models].map(([id, host]) => ({ id, kind: 'text', ...state(host) })),
      ...[...imageModels].map(([id, host]) => ({ id, kind: 'image', ...state(host) })),
    ];
    return c.json({
      status: draining() ? 'draining' : 'ok',
      uptime_s: Math.round((Date.now() - started) / 1000),
      models: list,
    });
  });

  app.get('/ready', (c) => {
    const reasons = [
      ...(draining() ? ['The service is about to end.'] : []),
      ...[...models, ...imageModels]
        .filter(([, host]) => host.pinned && host.state() !== 'loaded')
        .map(([id, host]) => (host.fault() ? `${id} cannot be loaded.` : `${id} is being loaded.`)),
    ];
    return c.json({ ready: reasons.length === 0, reasons }, reasons.length === 0 ? 200 : 503);
  });

  app.get('/metrics', async (c) => {
    const bearer = c.req.header('authorization');
    const known =
      metricsToken !== undefined && bearer !== undefined && same(bearer, `Bearer ${metricsToken}`);
    if (!known) await checkSignature(c.req.raw, '');
    return c.text(metrics.text(), 200, { 'content-type': CONTENT_TYPE });
  });

  const limit = (maxSize: number) =>
    bodyLimit({
      maxSize,
      onError: () => {
        throw new Failure('body_too_large', `The body is larger than ${maxSize} bytes.`);
      },
    });
  const [usual, drawing] = [limit(BODY_LIMIT), limit(DRAW_BODY_LIMIT)];
  app.use('/v1/*', (c, next) => (takesImages.has(c.req.path) ? drawing(c, next) : usual(c, next)));
  app.use('/v1/*', async (c, next) => {
    await checkSignature(c.req.raw, new Uint8Array(await c.req.arrayBuffer()));
    await next();
  });

  async function checkSignature({ url, method, headers }: Request, body: string | Uint8Array): Promise<void> {
    const { pathname, search } = new URL(url);
    const fault = await signatureFault({ secret, method, path: pathname + search, body }, headers);
    if (fault) throw new Failure('invalid_signature', fault);
  }

  app.get('/v1/models', (c) => {
    const created = Math.floor(started / 1000);
    const entry = (id: string) => ({ id, object: 'model', created, owned_by: 'wick' });
    const texts = [...models].map(([id, host]) => ({
      ...entry(id),
      kind: 'text',
      version: host.version,
      state: host.state(),
    }));
    const images = [...imageModels].map(([id, host], index) => {
      const info = host.info();
      return {
        ...entry(id),
        kind: 'image',
        ...(info && { size: [info.width, info.height] }),
        version: host.version,
        state: host.state(),
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
    const account = accountOf(c, request.model);
    return answer(admitted(host.admit(request, account.told)), account);
  });

  app.post('/v1/tasks', async (c) => {
    refuseWhileDraining();
    const { model, task } = parse(taskRequest, readJson(await c.req.text()));
    const host = models.get(model);
    if (!host) throw noModel(model, [...models.keys()], imageModels.has(model) && 'draws images');
    const account = accountOf(c, model);
    return answer(admitted(host.admit({ task }, account.told)), account);
  });

  app.post('/v1/draw', async (c) => {
    refuseWhileDraining();
    const request = parse(drawRequest, readJson(await c.req.text()));
    const host = imageModels.get(request.model);
    if (!host)
      throw noModel(request.model, [...imageModels.keys()], models.has(request.model) && 'writes text');
    const { prompt, parameters } = request;
    await promptCheck?.check({ prompt, negative_prompt: parameters.negative_prompt });
    const account = accountOf(c, request.model);
    return answer(admitted(host.admit(request, account.told)), account);
  });

  app.post('/v1/check-image', async (c) => {
    refuseWhileDraining();
    const { image } = parse(checkImageRequest, readJson(await c.req.text()));
    if (!imageChecker)
      throw new Failure(
        'moderation_unavailable',
        'Images are not judged here: the service has no safety checker (`wick serve --safety-checker DIR`).',
      );
    return c.json({ unsafe: await imageChecker.isUnsafe(image) });
  });

  function refuseWhileDraining(): void {
    if (!draining()) return;
    throw new Failure('draining', 'The service is about to end and takes no more requests.', {
      retryAfter: 5,
    });
  }

  const accountOf = (c: Context<Env>, model: string): Account =>
    openAccount({ path: c.req.path, model, id: c.get('requestId') }, metrics, log);

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
    const { code } = body.error;
    log({
      method: c.req.method,
      path: routes.has(c.req.path) ? c.req.path : 'other',
      status,
      ms: Math.round(performance.now() - c.get('came')),
      id: c.get('requestId'),
      ...(code && { error: code }),
    });
    return c.json({ ...body, request_id: c.get('requestId') }, status as ContentfulStatusCode);
  });
  return app;
}

/** Whether two texts are the same, in a time that does not tell how far they are. */
function same(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => Buffer.from(text));
  return x.length === y.length && timingSafeEqual(x, y);
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
function answer<T extends { type: string }>(events: AsyncGenerator<T, void>, account: Account): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await events.next();
        if (done) {
          account.end(false);
          controller.close();
          return;
        }
        controller.enqueue(encoder.encode(writeEvent(value)));
        if (value.type === 'done' || value.type === 'error') account.end(false);
      },
      async cancel() {
        account.end(true);
        await events.return();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, {
    headers: {
      'content-type': 'application/x-ndjson',
      'cache-control': 'no-store',
      // For nginx between edge and service, which would keep events back until they fill its buffer.
      'x-accel-buffering': 'no',
    },
  });
}
