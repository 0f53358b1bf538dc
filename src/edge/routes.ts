/** All doors of the Worker, in the order in which the reference shows them. A new one is an entry here. */
import { imageRoutes } from './images/routes.ts';
import { modelRoutes } from './model-routes.ts';
import { responseRoutes } from './openai-responses/routes.ts';
import { pageRoutes } from './page-routes.ts';
import { referenceRoutes } from './reference/routes.ts';
import type { Route } from './route.ts';
import { taskRoutes } from './task-routes.ts';
import { textRoutes } from './text-routes.ts';

export const routes: readonly Route[] = [
  ...textRoutes,
  ...responseRoutes,
  ...taskRoutes,
  ...imageRoutes,
  ...modelRoutes,
  ...pageRoutes,
  ...referenceRoutes(() => routes),
];
