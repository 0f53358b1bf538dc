/** The routes of images, and the page that draws. */
import type { Hono } from 'hono';
import type { EdgeEnv } from '../context.ts';
import page from '../draw.html';
import { showPage } from '../page.ts';
import { imageFile } from './files.ts';
import { edits, generations } from './generations.ts';
import { image } from './image.ts';
import { cancelJob, readJob } from './jobs.ts';

/** What each path takes. */
export const imageRoutes = {
  '/draw': 'GET, HEAD, OPTIONS',
  '/image/:prompt{.+}': 'GET, HEAD, OPTIONS',
  '/v1/images/generations': 'POST, OPTIONS',
  '/v1/images/edits': 'POST, OPTIONS',
  '/v1/images/files/:name': 'GET, HEAD, OPTIONS',
  '/v1/jobs/:id': 'GET, HEAD, DELETE, OPTIONS',
} as const;

/** Adds the routes of images to the Worker's. */
export function addImageRoutes(app: Hono<EdgeEnv>): void {
  app.get('/draw', (c) => showPage(c, page, {}, { images: true }));
  app.get('/image/:prompt{.+}', image);
  app.post('/v1/images/generations', generations);
  app.post('/v1/images/edits', edits);
  app.get('/v1/images/files/:name', imageFile);
  app.get('/v1/jobs/:id', readJob);
  app.delete('/v1/jobs/:id', cancelJob);
}
