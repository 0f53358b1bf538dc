/** The pages, and the curl lines for who has no browser. */
import { serviceAccess } from './context.ts';
import { home } from './home.ts';
import { edgeModels } from './models.ts';
import type { Route } from './route.ts';

export const pageRoutes: readonly Route[] = [
  {
    method: 'get',
    path: '/',
    handler: (c) => home(c, edgeModels[0].id, serviceAccess(c) !== undefined),
    group: 'For people',
    summary: 'Lines for a terminal, or a page for a browser',
    answers: { 200: { 'text/plain': {}, 'text/html': {} } },
  },
];
