/** Images that are kept for a while, and the signed addresses under which they can be had. */
import type { R2Bucket } from '@cloudflare/workers-types';
import { type ImageFormat, imageFormats } from '../../api/draw.ts';
import type { Bindings, EdgeContext } from '../context.ts';
import { Failure } from '../failure.ts';
import { hex } from './hash.ts';

/** A new name that nobody can guess. */
export const newName = (): string => crypto.randomUUID().replaceAll('-', '');

/** Seconds for which images and ended jobs can be had. */
export const imageLife = (env: Bindings): number => Number(env.WICK_IMAGE_LIFE) || 3600;

/** Where an image of a group lies. */
const keyOf = (group: string, index: number, format: string): string => `${group}/${index}.${format}`;

/** Where what a job begins from lies: no address leads there. */
export const inputKey = (group: string, name: 'image' | 'mask'): string => `${group}/input-${name}`;

/** Keeps an image. */
export async function putImage(
  bucket: R2Bucket,
  group: string,
  { index, format, bytes }: { index: number; format: string; bytes: Uint8Array },
): Promise<void> {
  const contentType = imageFormats[format as ImageFormat] ?? 'application/octet-stream';
  await bucket.put(keyOf(group, index, format), bytes, { httpMetadata: { contentType } });
}

/** Deletes all files of a group. */
export async function deleteGroup(bucket: R2Bucket, group: string): Promise<void> {
  const { objects } = await bucket.list({ prefix: `${group}/` });
  if (objects.length > 0) await bucket.delete(objects.map(({ key }) => key));
}

/** The address of an image, good until a time in Unix seconds. */
export async function imageUrl(
  origin: string,
  secret: string,
  group: string,
  { index, format }: { index: number; format: string },
  expires: number,
): Promise<string> {
  const name = `${group}-${index}.${format}`;
  const signature = await crypto.subtle.sign('HMAC', await keyFor(secret), signedText(name, expires));
  return `${origin}/v1/images/files/${name}?expires=${expires}&signature=${hex(signature)}`;
}

/**
 * `GET /v1/images/files/:name`
 * @throws Failure 403 without a signature that fits, 410 after its time, 404 if there is nothing
 */
export async function imageFile(c: EdgeContext): Promise<Response> {
  const name = c.req.param('name')!;
  const { expires = '', signature = '' } = c.req.query();
  if (!(await isSigned(c.env.WICK_SECRET, name, expires, signature))) {
    throw new Failure(
      'invalid_address',
      'The signature does not fit this address. Addresses of images cannot be changed.',
    );
  }
  const left = Math.floor(Number(expires) - Date.now() / 1000);
  if (left <= 0) {
    throw new Failure('expired', 'This image could be had for a while, which is over. Draw it again.');
  }
  const [, group, index, format] = /^([0-9a-f]{32})-(\d{1,2})\.(\w+)$/.exec(name)!;
  const file = await c.env.IMAGES.get(keyOf(group, Number(index), format));
  if (!file) throw new Failure('not_found', 'This image is not kept any more.');
  c.header('etag', file.httpEtag);
  c.header('cache-control', `public, max-age=${left}, immutable`);
  // The page that shows an image is not told by it what to run.
  c.header('content-security-policy', "default-src 'none'");
  if (c.req.header('if-none-match') === file.httpEtag) {
    await file.body.cancel();
    return c.body(null, 304);
  }
  c.header('content-type', file.httpMetadata?.contentType ?? 'application/octet-stream');
  c.header('content-length', String(file.size));
  return c.body(file.body as unknown as ReadableStream<Uint8Array>);
}

const encoder = new TextEncoder();

/** No request between edge and service is signed over a text like this. */
const signedText = (name: string, expires: number | string) => encoder.encode(`image\n${name}\n${expires}`);

const keyFor = (secret: string): Promise<CryptoKey> =>
  crypto.subtle.importKey('raw', encoder.encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, [
    'sign',
    'verify',
  ]);

async function isSigned(
  secret: string | undefined,
  name: string,
  expires: string,
  signature: string,
): Promise<boolean> {
  if (!secret || !/^\d{1,12}$/.test(expires) || !/^[0-9a-f]{64}$/.test(signature)) return false;
  const bytes = Uint8Array.from(signature.match(/../g)!, (pair) => Number.parseInt(pair, 16));
  return crypto.subtle.verify('HMAC', await keyFor(secret), bytes, signedText(name, expires));
}
