/** Responses that were kept: read, listed, deleted. */
import { z } from 'zod';
import { BadRequest, parse } from '../../api/errors.ts';
import type { EdgeContext } from '../context.ts';
import { forgetResponse, readResponse } from './store.ts';

/** `GET /v1/responses/:id` */
export async function readKept(c: EdgeContext): Promise<Response> {
  refuseQuery(c, ['stream', 'starting_after']);
  const { response } = await readResponse(c, c.req.param('id')!);
  c.header('cache-control', 'no-store');
  return c.json(response);
}

/** `DELETE /v1/responses/:id` */
export async function deleteKept(c: EdgeContext): Promise<Response> {
  const id = c.req.param('id')!;
  await forgetResponse(c, id);
  return c.json({ id, object: 'response', deleted: true });
}

export const inputItemsOptions = z.strictObject({
  /** How many items. */
  limit: z.coerce.number('expected a number from 1 to 100').int().min(1).max(100).optional(),
  order: z.enum(['asc', 'desc']).optional(),
  /** The id of the item behind which the list goes on. */
  after: z.string().max(128).optional(),
});

/** `GET /v1/responses/:id/input_items` */
export async function inputItems(c: EdgeContext): Promise<Response> {
  const { limit = 20, order = 'desc', after } = parse(inputItemsOptions, c.req.query());
  const { input } = await readResponse(c, c.req.param('id')!);
  const all = order === 'asc' ? input : input.toReversed();
  const last = after === undefined ? -1 : all.findIndex(({ id }) => id === after);
  if (after !== undefined && last < 0)
    throw new BadRequest('`after` is the id of no item of this response.', { param: 'after' });
  const data = all.slice(last + 1, last + 1 + limit);
  c.header('cache-control', 'no-store');
  return c.json({
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: last + 1 + limit < all.length,
  });
}

/** `POST /v1/responses/:id/cancel`: what runs ends when its caller leaves, and what has ended cannot be cancelled. */
export async function cancelKept(c: EdgeContext): Promise<Response> {
  await readResponse(c, c.req.param('id')!);
  throw new BadRequest(
    'Only a response that was made with `background` can be cancelled, and wick makes none in the background.',
    { param: 'background', code: 'unsupported_parameter' },
  );
}

function refuseQuery(c: EdgeContext, names: readonly string[]): void {
  const name = names.find((each) => c.req.query(each) !== undefined && c.req.query(each) !== 'false');
  if (name === undefined) return;
  throw new BadRequest(`\`${name}\` is for responses in the background, which wick does not make.`, {
    param: name,
    code: 'unsupported_parameter',
  });
}
