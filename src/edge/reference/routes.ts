/** The reference: what the Worker's routes take and answer, for programs. */
import type { EdgeContext } from '../context.ts';
import type { Route } from '../route.ts';
import { describeRoutes } from './openapi.ts';

/** @param routes all that the Worker has, these among them */
export function referenceRoutes(routes: () => readonly Route[]): readonly Route[] {
  const description = (c: EdgeContext): Response => {
    c.header('cache-control', 'no-cache');
    return c.json(describeRoutes(routes(), new URL(c.req.url).origin));
  };
  return [
    {
      method: 'get',
      path: '/openapi.json',
      handler: description,
      group: 'For people',
      summary: 'This description, for programs',
      description: 'OpenAPI 3.1.',
      answers: { 200: { 'application/json': {} } },
    },
  ];
}
