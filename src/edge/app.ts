/** The Worker's routes. */
import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { requestId } from 'hono/request-id';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { type EdgeContext, type EdgeEnv, serviceAccess } from './context.ts';
import { Failure, toFailure } from './failure.ts';
import { home } from './home.ts';
import { addImageRoutes, imageRoutes } from './images/routes.ts';
import { isolateLoad } from './isolate.ts';
import { edgeModels } from './models.ts';
import { runtimeMemoryBytes } from './onnxruntime.ts';
import { chatCompletions, completions } from './openai.ts';
import { listModels, unknownModel } from './placement.ts';
import { serviceIsUp } from './service.ts';
import { text } from './text.ts';

/** What each path takes: the methods to name where another one comes. */
const routes = {
  '/': 'GET, HEAD, OPTIONS',
  '/health': 'GET, HEAD, OPTIONS',
  '/text': 'POST, OPTIONS',
  '/v1/models': 'GET, HEAD, OPTIONS',
  '/v1/models/:id{.+}': 'GET, HEAD, OPTIONS',
  '/v1/completions': 'POST, OPTIONS',
  '/v1/chat/completions': 'POST, OPTIONS',
  ...imageRoutes,
} as const;

export const app = new Hono<EdgeEnv>();

app.use(requestId());
app.use(async (c, next) => {
  const start = Date.now();
  await next();
  c.header('x-content-type-options', 'nosniff');
  console.log(
    `${c.req.method} ${c.req.path.slice(0, 200)} ${c.res.status} ${Date.now() - start} ms ${c.get('requestId')}`,
  );
});
app.use(
  cors({
    origin: '*',
    allowMethods: ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS'],
    exposeHeaders: [
      'x-request-id',
      'x-wick-placement',
      'x-wick-fallback',
      'x-wick-seed',
      'retry-after',
      'location',
    ],
    maxAge: 86_400,
  }),
);
app.get('/', (c) => home(c, edgeModels[0].id, serviceAccess(c) !== undefined));
app.get('/health', health);
app.post('/text', text);
app.get('/v1/models', async (c) => {
  return c.json({ object: 'list', data: await listModels(serviceAccess(c), c.req.raw.signal) });
});
app.get('/v1/models/:id{.+}', async (c) => {
  const models = await listModels(serviceAccess(c), c.req.raw.signal);
  const id = c.req.param('id');
  const model = models.find((each) => each.id === id);
  if (!model) throw unknownModel(id, models);
  return c.json(model);
});
app.post('/v1/completions', completions);
app.post('/v1/chat/completions', chatCompletions);
addImageRoutes(app);

for (const [path, allowed] of Object.entries(routes)) {
  app.all(path, (c) => {
    c.header('allow', allowed);
    throw new Failure(405, `${c.req.method} is not for ${c.req.path}; it takes ${allowed}.`, {
      code: 'method_not_allowed',
    });
  });
}
app.notFound((c) => {
  return refuse(
    c,
    new Failure(
      404,
      `There is nothing at ${c.req.path.slice(0, 100)}. There is: ${Object.keys(routes).join(', ')}.`,
    ),
  );
});
app.onError((thrown, c) => refuse(c, toFailure(thrown, c.get('requestId'))));

function refuse(c: EdgeContext, failure: Failure): Response {
  if (failure.retryAfter) c.header('retry-after', String(failure.retryAfter));
  return c.json(failure.body, failure.status as ContentfulStatusCode);
}

async function health(c: EdgeContext): Promise<Response> {
  const access = serviceAccess(c);
  const service = !access ? 'none' : (await serviceIsUp(access)) ? 'ok' : 'down';
  return c.json({
    status: 'ok',
    edge: { ...isolateLoad(), memory_bytes: runtimeMemoryBytes() },
    service: { status: service },
  });
}
