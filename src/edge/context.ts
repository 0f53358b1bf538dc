/** What the Worker's handlers are given. */
import type { Context } from 'hono';
import type { ServiceAccess } from './service.ts';

/** The Worker's environment. */
export interface Bindings {
  /** Where the service listens. Without it the Worker has the models of the edge alone. */
  WICK_SERVICE_URL?: string;
  /** What the edge and the service sign with. */
  WICK_SECRET?: string;
}

export interface EdgeEnv {
  Bindings: Bindings;
  Variables: { requestId: string };
}

export type EdgeContext = Context<EdgeEnv>;

/** The service behind this Worker, or undefined if there is none. */
export function serviceAccess(c: EdgeContext): ServiceAccess | undefined {
  const { WICK_SERVICE_URL: url, WICK_SECRET: secret } = c.env;
  if (!url) return undefined;
  if (!secret)
    throw new Error('WICK_SERVICE_URL is set without WICK_SECRET, with which the edge signs what it asks.');
  return { url, secret };
}
