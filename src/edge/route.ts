/** A door of the Worker: who answers at it, and what is told of it in the reference. */
import type { Hono, MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';
import type { z } from 'zod';
import type { EdgeContext, EdgeEnv } from './context.ts';
import { Failure } from './failure.ts';
import { tellablePath } from './filtering/request-filter.ts';

/** What a body is, by its media type. */
export type Content = Readonly<Record<string, Media>>;

export interface Media {
  /** The name of the schema in the reference; a text or a file has none. */
  name?: string;
  schema?: z.ZodType;
  description?: string;
  example?: unknown;
}

export interface Route {
  method: 'get' | 'post' | 'delete';
  /** As Hono writes it: `/v1/models/:id{.+}`. */
  path: string;
  handler: (c: EdgeContext) => Response | Promise<Response>;
  group: 'Text' | 'Tokens' | 'Images' | 'Models' | 'For people';
  /** A few words. */
  summary: string;
  /** Markdown. */
  description?: string;
  /** What its parts of the path are, and the options of its query string. */
  parts?: Readonly<Record<string, string>>;
  query?: z.ZodObject;
  body?: Content;
  /** By status; failures are told for all routes alike. */
  answers: Readonly<Record<number, Content>>;
}

/** A body of JSON. */
export const json = (name: string, schema: z.ZodType, example?: unknown): Content => ({
  'application/json': { name, schema, ...(example !== undefined && { example }) },
});

/** A stream of server-sent events, the data of each of which fits the schema. */
export const events = (name: string, schema: z.ZodType, example?: string): Content => ({
  'text/event-stream': { name, schema, ...(example && { example }) },
});

const exposed = [
  'x-request-id',
  'x-wick-placement',
  'x-wick-fallback',
  'x-wick-seed',
  'x-wick-filtered',
  'retry-after',
];

/** Lets pages of any origin call, and read what is told in headers. */
const open = (methods: string[]): MiddlewareHandler =>
  cors({
    origin: '*',
    allowMethods: methods,
    exposeHeaders: [...exposed, 'location', 'server-timing'],
    maxAge: 86_400,
  });

/**
 * Adds routes to an app: each answers HEAD where it answers GET, OPTIONS with what its path takes, and any other
 * method with a 405.
 */
export function addRoutes(app: Hono<EdgeEnv>, routes: readonly Route[]): void {
  const opened = open([]);
  app.use((c, next) => (c.req.method === 'OPTIONS' ? next() : opened(c, next)));
  const paths = new Set(routes.map((route) => route.path));
  for (const path of paths) {
    const forPeople = routes.some((route) => route.path === path && route.group === 'For people');
    app.use(path, (c, next) => {
      c.set('forPeople', forPeople);
      return next();
    });
  }
  for (const { method, path, handler } of routes) app[method](path, handler);
  for (const path of paths) {
    const methods = methodsAt(routes, path);
    const allow = methods.join(', ');
    const told: MiddlewareHandler = (c, next) => {
      c.header('allow', allow);
      return next();
    };
    app.options(path, told, open(methods));
    app.all(path, told, (c) => {
      throw new Failure(
        'method_not_allowed',
        `${c.req.method} is not for ${tellablePath(c)}; it takes ${allow}.`,
      );
    });
  }
}

function methodsAt(routes: readonly Route[], path: string): string[] {
  const there = routes.filter((route) => route.path === path).map(({ method }) => method.toUpperCase());
  return [...there, ...(there.includes('GET') ? ['HEAD'] : []), 'OPTIONS'];
}
