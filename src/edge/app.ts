/** The Worker as a Hono app: its routes, and what each of its answers has in common with the others. */
import { Hono } from 'hono';
import { requestId } from 'hono/request-id';
import { routePath } from 'hono/route';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { nearestName } from '../api/nearest-name.ts';
import { namedType } from './accept.ts';
import type { EdgeContext, EdgeEnv } from './context.ts';
import { Failure, toFailure } from './failure.ts';
import { tellablePath } from './filtering/request-filter.ts';
import { openPath } from './reference/openapi.ts';
import { addRoutes } from './route.ts';
import { routes } from './routes.ts';

export const app = new Hono<EdgeEnv>();

app.use(requestId());
app.use(async (c, next) => {
  const start = Date.now();
  c.set('came', start);
  await next();
  c.header('x-content-type-options', 'nosniff');
  // The log has no word of what is asked, also where a path holds it.
  const route = routePath(c, -1);
  const path = isOpen(route) ? openPath(route) : c.req.path;
  console.log(`${c.req.method} ${path} ${c.res.status} ${Date.now() - start} ms ${c.get('requestId')}`);
});
addRoutes(app, routes);

/** Whether a route's path is for the caller to write, in part or, where there is none, as a whole. */
const isOpen = (route: string): boolean => /[:*]/.test(route);

app.notFound((c) => refuse(c, toFailure(nothingAt(c), c.get('requestId'))));
app.onError((thrown, c) => refuse(c, toFailure(thrown, c.get('requestId'))));

/** Tells of a failure: in OpenAI's error object, and on the doors for people in a sentence, unless they accept JSON. */
function refuse(c: EdgeContext, failure: Failure): Response {
  // What was said of an answer is not true of a failure, which nobody is to keep.
  for (const name of ['etag', 'x-wick-seed']) c.header(name, undefined);
  c.header('cache-control', 'no-store');
  if (failure.retryAfter) c.header('retry-after', String(failure.retryAfter));
  const status = failure.status as ContentfulStatusCode;
  if (!c.get('forPeople')) return c.json(failure.body, status);
  c.header('vary', 'accept', { append: true });
  return namedType(c.req.header('accept'), ['application/json'])
    ? c.json(failure.body, status)
    : c.text(`${failure.message}\n`, status);
}

/** The 404 that names what is there and was perhaps meant. */
function nothingAt(c: EdgeContext): Failure {
  const { path } = c.req;
  const paths = [...new Set(routes.map((route) => openPath(route.path)))];
  const nearest = nearestName(path, paths);
  const hint = nearest ? `Did you mean ${nearest}?` : `There is: ${paths.join(', ')}.`;
  return new Failure('not_found', `There is nothing at ${tellablePath(c).slice(0, 100)}. ${hint}`);
}
