/** Images that caches keep: each under a hash of all that it comes of, so that every way of asking for it finds it. */
import type { Cache } from '@cloudflare/workers-types';
import type { ImageRequest } from '../../api/images.ts';
import type { ServiceModel } from '../service.ts';
import { sha256 } from './hash.ts';

/** An image with a seed never changes under its address. */
export const immutable = 'public, max-age=31536000, immutable';

/** The hash of an image that is drawn from a seed. */
export async function versionOf(
  model: ServiceModel,
  { prompt, parameters }: ImageRequest,
  seed: number,
): Promise<string> {
  const sorted = Object.entries({ ...parameters, seed }).sort(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify([model.id, model.version ?? model.created, prompt, sorted]);
  return (await sha256(text)).slice(0, 32);
}

const cache = () => (caches as unknown as { default: Cache }).default;
const keyOf = (origin: string, version: string) => new URL(`/image/${version}`, origin).href;

/** The image of a version, where this place has it. */
export async function keptImage(origin: string, version: string): Promise<Response | undefined> {
  return (await cache().match(keyOf(origin, version))) as unknown as Response | undefined;
}

export async function keepImage(
  origin: string,
  version: string,
  bytes: Uint8Array<ArrayBuffer>,
  type: string,
): Promise<void> {
  const copy = new Response(bytes, { headers: { 'content-type': type, 'cache-control': immutable } });
  await cache().put(keyOf(origin, version), copy as unknown as Parameters<Cache['put']>[1]);
}
