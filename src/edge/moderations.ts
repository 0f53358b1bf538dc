/** `POST /v1/moderations` */
import { parseModerationRequest } from '../api/moderations.ts';
import { readJson } from './body.ts';
import type { EdgeContext } from './context.ts';
import { Failure } from './failure.ts';

/** What is not judged has no score: until a model judges, the request is checked and refused. */
export async function moderations(c: EdgeContext): Promise<Response> {
  parseModerationRequest(await readJson(c.req.raw));
  throw new Failure('moderation_unavailable', 'No model that judges texts or images is here.');
}
