/**
 * `/image`, for people: one image from a prompt in the address or the body, as a file, as its address in JSON, or as
 * events while it is drawn. With a seed it is always the same, and kept by caches; without one it is another each time,
 * and kept by none, but for its own address with the seed that it was drawn from.
 *
 * A caller who waits for a file and leaves is noticed only at the end: the runtime tells of it at a write, and nothing
 * can be written before the image is whole, as an answer that broke off would look whole to caches. What was drawn for
 * such a caller is there for the next.
 */
import { type ImageFormat, imageFormats } from '../../api/draw.ts';
import { formatOfEnding, type ImageRequest, imageAddress, parseImageOptions } from '../../api/images.ts';
import { namedType, otherForms } from '../accept.ts';
import { readAsked } from '../asked.ts';
import { type Caller, watchCaller } from '../caller.ts';
import { type EdgeContext, serviceAccess } from '../context.ts';
import { Failure, toFailure } from '../failure.ts';
import { filterAsked } from '../filtering/filtered-body.ts';
import { openFilter } from '../filtering/request-filter.ts';
import { inOnePiece, serverSentEvent, streamed } from '../responses.ts';
import type { ServiceAccess, ServiceModel } from '../service.ts';
import { type CollectedEvent, collectImages } from './collect.ts';
import { draw, imageModel } from './drawing.ts';
import { immutable, keepImage, keptImage, versionOf } from './kept-image.ts';

/** `GET /image/PROMPT` */
export async function getImage(c: EdgeContext): Promise<Response> {
  const url = new URL(c.req.url);
  const { prompt: named, ending } = nameOf(url.pathname);
  const asked = { prompt: named, texts: url.searchParams, values: {} };
  const filter = openFilter(c);
  const { prompt, texts } = await filterAsked(c, filter, asked);
  return answer(c, parseImageOptions(prompt, { ending, accepted: acceptedFormat(c) }, texts));
}

/** `POST /image` */
export async function postImage(c: EdgeContext): Promise<Response> {
  const filter = openFilter(c);
  const asked = await readAsked(c.req.raw, 'a description of an image');
  const { prompt, texts, values } = await filterAsked(c, filter, asked);
  return answer(c, parseImageOptions(prompt, { accepted: acceptedFormat(c) }, texts, values));
}

/** What is being answered, and how. */
interface Order {
  access: ServiceAccess;
  model: ServiceModel;
  request: ImageRequest;
  caller: Caller;
  origin: string;
}

async function answer(c: EdgeContext, request: ImageRequest): Promise<Response> {
  c.header('vary', 'accept', { append: true });
  const caller = watchCaller(c);
  try {
    const access = serviceAccess(c);
    const model = await imageModel(access, request.model, caller.signal);
    const order: Order = { access: access!, model, request, caller, origin: new URL(c.req.url).origin };
    const form = namedType(c.req.header('accept'), [...Object.values(imageFormats), ...otherForms]);
    if (form === 'application/json') {
      if (c.req.method === 'HEAD') return finished(caller, c.json(null));
      return await inOnePiece(c, caller, addressOf(c, order));
    }
    if (form === 'text/event-stream' && c.req.method !== 'HEAD')
      return streamed(c, caller, sentEvents(c, order), 'text/event-stream; charset=utf-8');
    return finished(caller, await file(c, order));
  } catch (thrown) {
    caller.finished();
    throw thrown;
  }
}

function finished(caller: Caller, response: Response): Response {
  caller.finished();
  return response;
}

/** The image itself. */
async function file(c: EdgeContext, order: Order): Promise<Response> {
  const { model, request, origin } = order;
  const { seed, output_format } = request.parameters;
  c.header('content-type', imageFormats[output_format]);
  const head = c.req.method === 'HEAD';
  if (seed === undefined) {
    c.header('cache-control', 'no-store');
    if (head) return c.body(null);
    const { seed, bytes } = await drawOne(c, order);
    c.header('x-wick-seed', String(seed));
    return c.body(bytes);
  }
  const version = await versionOf(model, request, seed);
  c.header('etag', `"${version}"`);
  c.header('cache-control', immutable);
  c.header('x-wick-seed', String(seed));
  if (c.req.method !== 'POST' && matches(c.req.header('if-none-match'), version)) return c.body(null, 304);
  const kept = await keptImage(origin, version);
  if (kept) {
    const size = kept.headers.get('content-length');
    if (size) c.header('content-length', size);
    if (!head) return c.body(kept.body as ReadableStream<Uint8Array>);
    await kept.body?.cancel();
    return c.body(null);
  }
  if (head) return c.body(null);
  return c.body((await drawOne(c, order)).bytes);
}

/** What is told of an image in the place of its bytes. */
interface Told {
  model: string;
  url: string;
  seed: number;
  size?: string;
  format: ImageFormat;
}

function told({ model, request, origin }: Order, seed: number): Told {
  const { width, height, output_format } = request.parameters;
  const [w, h] = width === undefined ? (model.size ?? []) : [width, height];
  return {
    model: model.id,
    url: `${origin}${imageAddress(request, seed)}`,
    seed,
    ...(w !== undefined && { size: `${w}x${h}` }),
    format: output_format,
  };
}

/** Whether the image that is asked for need not be drawn. */
async function isKept({ model, request, origin }: Order): Promise<boolean> {
  const { seed } = request.parameters;
  const kept = seed !== undefined && (await keptImage(origin, await versionOf(model, request, seed)));
  if (kept) await kept.body?.cancel();
  return Boolean(kept);
}

async function addressOf(c: EdgeContext, order: Order): Promise<Told> {
  const { seed } = order.request.parameters;
  if (seed !== undefined && (await isKept(order))) return told(order, seed);
  return told(order, (await drawOne(c, order)).seed);
}

/** Events of how far it is, and at the end the image's address, or what went wrong. */
async function* sentEvents(c: EdgeContext, order: Order): AsyncGenerator<string> {
  const named = (name: string, value: object) => `event: ${name}\n${serverSentEvent(value)}`;
  try {
    const { seed } = order.request.parameters;
    if (seed !== undefined && (await isKept(order))) return yield named('image', told(order, seed));
    for await (const event of drawing(c, order)) {
      if (event.type === 'queued')
        yield named('progress', { status: 'queued', place: event.place, seconds: event.seconds });
      if (event.type === 'start') yield named('progress', { status: 'running', step: 0, steps: event.steps });
      if (event.type === 'progress')
        yield named('progress', { status: 'running', step: event.step, steps: event.steps });
      if (event.type === 'tick') yield ':\n\n';
      if (event.type === 'image') yield named('image', told(order, event.seed));
    }
  } catch (thrown) {
    yield named('error', toFailure(thrown, c.get('requestId')).body);
  }
}

async function drawOne(
  c: EdgeContext,
  order: Order,
): Promise<{ seed: number; bytes: Uint8Array<ArrayBuffer> }> {
  for await (const event of drawing(c, order)) if (event.type === 'image') return event;
  throw new Error('The drawing ended without its image.');
}

/** A drawing whose image is kept under the address that it has by its seed. */
async function* drawing(
  c: EdgeContext,
  { access, model, request, caller, origin }: Order,
): AsyncGenerator<CollectedEvent> {
  const { prompt, parameters } = request;
  for await (const event of collectImages(
    draw(access, { model: model.id, prompt, parameters }, caller.signal),
  )) {
    if (event.type === 'image') {
      const version = await versionOf(model, request, event.seed);
      c.executionCtx.waitUntil(
        keepImage(origin, version, event.bytes, imageFormats[parameters.output_format]),
      );
    }
    yield event;
  }
}

/** The prompt and the format that a path asks for. */
function nameOf(path: string): { prompt: string; ending?: ImageFormat } {
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
  if (format) return { prompt: before, ending: format };
  if (/^(gif|bmp|tiff?|svg|heic|jxl|ico|pdf|mp4|webm)$/i.test(ending ?? '')) {
    const known = Object.keys(formatOfEnding).join(', ');
    throw new Failure('invalid_value', `Images are not drawn as .${ending}; they are as one of: ${known}.`);
  }
  return { prompt: name };
}

/** Of several that are liked as much, the smaller file. */
const preference = ['webp', 'avif', 'png', 'jpeg'] as const;

/** The format that a caller names as most welcome; png to whoever takes anything. */
function acceptedFormat(c: EdgeContext): ImageFormat {
  const types = preference.map((format) => imageFormats[format]);
  const best = namedType(c.req.header('accept'), types);
  return best ? preference[types.indexOf(best)] : 'png';
}

/** Whether an If-None-Match names this version. */
const matches = (header: string | undefined, version: string): boolean =>
  (header ?? '').split(',').some((tag) => ['*', `"${version}"`].includes(tag.trim().replace(/^W\//, '')));
