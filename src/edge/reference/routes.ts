/** The reference: what the Worker's routes take and answer, for programs and as a page. */
import explorer from 'openapi-explorer/dist/browser/openapi-explorer.min.js';
import type { EdgeContext } from '../context.ts';
import { edgeModels } from '../models.ts';
import { showPage } from '../page.ts';
import type { Route } from '../route.ts';
import page from './docs.html';
import { describeRoutes } from './openapi.ts';

/** @param routes all that the Worker has, these among them */
export function referenceRoutes(routes: () => readonly Route[]): readonly Route[] {
  const description = (c: EdgeContext): Response => {
    c.header('cache-control', 'no-cache');
    return c.json(describeRoutes(routes(), new URL(c.req.url).origin, edgeModels[0].id));
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
    {
      method: 'get',
      path: '/docs',
      handler: (c) => showPage(c, page, {}, { inlineStyles: true }),
      group: 'For people',
      summary: 'This description, as a page',
      answers: { 200: { 'text/html': {} } },
    },
    {
      method: 'get',
      path: '/docs/openapi-explorer.js',
      handler: (c) => {
        c.header('cache-control', 'public, max-age=3600');
        return c.body(explorer, 200, { 'content-type': 'text/javascript; charset=utf-8' });
      },
      group: 'For people',
      summary: 'What the page runs',
      answers: { 200: { 'text/javascript': {} } },
    },
  ];
}
