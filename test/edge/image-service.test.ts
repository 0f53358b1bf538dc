import OpenAI from 'openai';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ServiceProcess, startService } from '../fixtures/service.ts';
import { shapesFolder, tinyImageModel } from '../fixtures/tiny-images.ts';
import { type Started, secret, startWorker, until } from './worker.ts';

let service: ServiceProcess;
let worker: Started;
let client: OpenAI;
beforeAll(async () => {
  service = await startService('--models', await tinyImageModel());
  worker = await startWorker({ WICK_SERVICE_URL: service.url, WICK_SECRET: secret });
  client = new OpenAI({ baseURL: new URL('/v1', worker.url).href, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  await worker?.stop();
  await service?.stop();
});

const call = (path: string, init: RequestInit = {}) => fetch(new URL(path, worker.url), init);
const asked = { prompt: 'a red square', seed: 5, steps: 3 };

test('an image is the same by every door, and its bytes for its seed', async () => {
  const { data } = await client.images.generate({ ...asked, size: '64x64' } as never);
  const whole = Buffer.from(data![0].b64_json!, 'base64');
  expect(await sharp(whole).metadata()).toMatchObject({ format: 'png', width: 64, height: 64 });

  const plain = await call('/image/a%20red%20square.png?seed=5&steps=3&size=64x64');
  expect(plain.status).toBe(200);
  expect(Buffer.from(await plain.arrayBuffer()).equals(whole)).toBe(true);

  const stream = await client.images.generate({
    ...{ ...asked, size: '64x64', stream: true, partial_images: 1 },
  } as OpenAI.ImageGenerateParamsStreaming);
  const events: OpenAI.ImageGenStreamEvent[] = [];
  for await (const event of stream) events.push(event);
  expect(events.map(({ type }) => type)).toEqual([
    'image_generation.partial_image',
    'image_generation.completed',
  ]);
  expect(Buffer.from(events[1].b64_json, 'base64').equals(whole)).toBe(true);

  // In a batch of others it is the same, too: seed 5 is the second from 4.
  const batch = await client.images.generate({ ...asked, seed: 4, n: 3, size: '64x64' } as never);
  expect(Buffer.from(batch.data![1].b64_json!, 'base64').equals(whole)).toBe(true);

  const job = await call('/v1/images/generations?async=1', {
    method: 'POST',
    body: JSON.stringify({ ...asked, size: '64x64' }),
  });
  expect(job.status).toBe(202);
  let state = (await job.json()) as { id: string; status: string; data?: { url: string }[] };
  await until('the job', async () => {
    state = (await (await call(`/v1/jobs/${state.id}`)).json()) as typeof state;
    return state.status === 'succeeded';
  });
  const kept = await fetch(state.data![0].url);
  expect(Buffer.from(await kept.arrayBuffer()).equals(whole)).toBe(true);
});

test('an edit keeps what its mask keeps', async () => {
  const folder = await shapesFolder();
  const image = await sharp(`${folder}/blue-square.png`).flatten({ background: 'white' }).png().toBuffer();
  const mask = await sharp({ create: { width: 64, height: 64, channels: 4, background: '#000000ff' } })
    .png()
    .toBuffer();
  const file = (bytes: Buffer, name: string) => new File([new Uint8Array(bytes)], name);
  const { data } = await client.images.edit({
    ...{ image: file(image, 'image.png'), mask: file(mask, 'mask.png'), prompt: 'a red square' },
    ...({ size: '64x64', steps: 3 } as object),
  });
  const pixels = (bytes: Buffer) => sharp(bytes).removeAlpha().resize(16, 16).raw().toBuffer();
  const [given, drawn] = await Promise.all([
    pixels(image),
    pixels(Buffer.from(data![0].b64_json!, 'base64')),
  ]);
  const error = drawn.reduce((sum, value, i) => sum + Math.abs(value - given[i]), 0) / given.length;
  expect(error).toBeLessThan(8);
});

test("the service's refusals come through, and the next request is served", async () => {
  const bomb = await sharp({ create: { width: 12_000, height: 12_000, channels: 3, background: 'white' } })
    .png()
    .toBuffer();
  const small = await sharp({ create: { width: 32, height: 32, channels: 3, background: 'white' } })
    .png()
    .toBuffer();
  const wrong: [image: Uint8Array, mask: Uint8Array | undefined, sentence: RegExp][] = [
    [Buffer.from('this is text'), undefined, /not a PNG, JPEG/],
    [bomb, undefined, /pixels/],
    [small.subarray(0, small.length / 2), undefined, /image/],
    [small, await sharp(small).resize(16, 16).toBuffer(), /mask.*size|size.*mask/i],
  ];
  for (const [image, mask, sentence] of wrong) {
    const form = new FormData();
    form.append('prompt', 'a');
    form.append('image', new File([new Uint8Array(image)], 'image.png'));
    if (mask) form.append('mask', new File([new Uint8Array(mask)], 'mask.png'));
    const response = await call('/v1/images/edits', { method: 'POST', body: form });
    const { error } = (await response.json()) as { error: { message: string } };
    expect(error.message).toMatch(sentence);
    expect(response.status).toBe(400);
  }
  const next = await call('/image/a.webp?seed=1&steps=1');
  expect((await sharp(Buffer.from(await next.arrayBuffer())).metadata()).format).toBe('webp');
});
