/**
 * `GET /image/PROMPT.EXT`, for people: one image under an address. With a seed it is the same each time, and kept by
 * caches; without one it is another each time, and kept by none.
 *
 * A caller who leaves is noticed here only at the end: the runtime tells of it at a write, and nothing can be written
 * before the image is whole, as an answer that broke off would look whole to caches. What was drawn for such a caller
 * is there for the next.
 */
import type { Cache } from '@cloudflare/workers-types';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { type ImageFormat, imageFormats } from '../../api/draw.ts';
import { formatOfEnding, type ImageRequest, parseImageQuery } from '../../api/images.ts';
import { type Caller, watchCaller } from '../caller.ts';
import { type EdgeContext, serviceAccess } from '../context.ts';
import { Failure, toFailure } from '../failure.ts';
import type { ServiceAccess, ServiceModel } from '../service.ts';
import { collectImages, type DrawnImage } from './collect.ts';
import { draw, imageModel } from './drawing.ts';
import { sha256 } from './hash.ts';

/** Seconds for which an image with a seed can be kept: it never changes under its address. */
const immutable = 'public, max-age=31536000, immutable';

/** Answers with an image, or with what is wrong: a sentence to people, and JSON to whoever accepts it. */
export async function image(c: EdgeContext): Promise<Response> {
  c.header('vary', 'accept');
  const caller = watchCaller(c);
  try {
    return await answer(c, caller);
  } catch (thrown) {
    const failure = toFailure(thrown, c.get('requestId'));
    if (/\bapplication\/json\b/i.test(c.req.header('accept') ?? '')) throw failure;
    if (failure.retryAfter) c.header('retry-after', String(failure.retryAfter));
    c.header('cache-control', 'no-store');
    for (const name of ['etag', 'x-wick-seed']) c.header(name, undefined);
    return c.text(`${failure.message}\n`, failure.status as ContentfulStatusCode);
  } finally {
    caller.finished();
  }
}

async function answer(c: EdgeContext, caller: Caller): Promise<Response> {
  const url = new URL(c.req.url);
  const { prompt, format } = nameOf(url.pathname, c.req.header('accept') ?? '');
  const request = parseImageQuery(prompt, format, url.searchParams);
  const access = serviceAccess(c);
  const model = await imageModel(access, request.model, caller.signal);
  c.header('content-type', imageFormats[format]);
  if (request.parameters.seed === undefined) {
    c.header('cache-control', 'no-store');
    if (c.req.method === 'HEAD') return c.body(null);
    const { seed, bytes } = await drawOne(access!, model, request, caller);
    c.header('x-wick-seed', String(seed));
    return c.body(bytes);
  }
  const hash = await hashOf(model, request);
  c.header('etag', `"${hash}"`);
  c.header('cache-control', immutable);
  c.header('x-wick-seed', String(request.parameters.seed));
  if (matches(c.req.header('if-none-match'), hash)) return c.body(null, 304);
  // The address in the cache is the hash, so that all ways of asking for one image find it.
  const key = new URL(`/image/${hash}`, url.origin).href;
  const cache = (caches as unknown as { default: Cache }).default;
  const kept = await cache.match(key);
  if (kept) {
    const size = kept.headers.get('content-length');
    if (size) c.header('content-length', size);
    if (c.req.method !== 'HEAD') return c.body(kept.body as unknown as ReadableStream<Uint8Array>);
    await kept.body?.cancel();
    return c.body(null);
  }
  if (c.req.method === 'HEAD') return c.body(null);
  const { bytes } = await drawOne(access!, model, request, caller);
  const copy = new Response(bytes, {
    headers: { 'content-type': imageFormats[format], 'cache-control': immutable },
  });
  c.executionCtx.waitUntil(cache.put(key, copy as unknown as Parameters<Cache['put']>[1]));
  return c.body(bytes);
}

/** The prompt and the format that a path asks for. */
function nameOf(path: string, accept: string): { prompt: string; format: ImageFormat } {
  let name: string;
  try {
    name = decodeURIComponent(path.slice('/image/'.length));
  } catch {
    throw new Failure(
      'invalid_encoding',
      'The address has a % that stands for nothing. With curl, write spaces as %20.',
    );
  }
  const [, before, ending] = /^(.*)\.([a-z]{3,4})$/is.exec(name) ?? [];
  const format = formatOfEnding[ending?.toLowerCase()];
  if (format) return { prompt: before, format };
  if (/^(gif|bmp|tiff?|svg|heic|jxl|ico|pdf|mp4|webm)$/i.test(ending ?? '')) {
    const known = Object.keys(formatOfEnding).join(', ');
    throw new Failure('invalid_value', `Images are not drawn as .${ending}; they are as one of: ${known}.`);
  }
  return { prompt: name, format: acceptedFormat(accept) };
}

/** Of several that are liked as much, the smaller file. */
const preference = ['webp', 'avif', 'png', 'jpeg'] as const;

/** The format that a caller names as most welcome; png to whoever takes anything. */
function acceptedFormat(accept: string): ImageFormat {
  let best: { format: ImageFormat; q: number } = { format: 'png', q: 0 };
  for (const format of preference) {
    const entry = accept
      .split(',')
      .find((each) => each.trim().toLowerCase().startsWith(imageFormats[format]));
    if (!entry) continue;
    const q = Number(/;\s*q=([\d.]+)/i.exec(entry)?.[1] ?? 1);
    if (q > best.q) best = { format, q };
  }
  return best.format;
}

async function drawOne(
  access: ServiceAccess,
  model: ServiceModel,
  { prompt, parameters }: ImageRequest,
  caller: Caller,
): Promise<DrawnImage> {
  let image: DrawnImage | undefined;
  const drawn = draw(access, { model: model.id, prompt, parameters }, caller.signal);
  for await (const event of collectImages(drawn)) if (event.type === 'image') image = event;
  if (!image) throw new Error('The drawing ended without its image.');
  return image;
}

/** A hash of all that an image comes of. */
async function hashOf(model: ServiceModel, { prompt, parameters }: ImageRequest): Promise<string> {
  const sorted = Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify([model.id, model.version ?? model.created, prompt, sorted]);
  return (await sha256(text)).slice(0, 32);
}

/** Whether an If-None-Match names this version. */
const matches = (header: string | undefined, hash: string): boolean =>
  (header ?? '').split(',').some((tag) => ['*', `"${hash}"`].includes(tag.trim().replace(/^W\//, '')));
