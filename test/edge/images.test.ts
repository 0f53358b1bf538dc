import type { ServerResponse } from 'node:http';
import OpenAI from 'openai';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type DrawingService, refuse, startDrawingService } from './drawing-service.ts';
import { type Started, secret, startWorker, until } from './worker.ts';

let service: DrawingService;
let worker: Started;
let client: OpenAI;
beforeAll(async () => {
  service = await startDrawingService();
  worker = await startWorker({ WICK_SERVICE_URL: service.url, WICK_SECRET: secret });
  client = new OpenAI({ baseURL: new URL('/v1', worker.url).href, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  await worker?.stop();
  await service?.down();
});
afterEach(() => {
  service.instead = undefined;
  service.pace = 2;
});

const call = (path: string, init: RequestInit = {}) => fetch(new URL(path, worker.url), init);
const post = (body: unknown, init: RequestInit = {}, path = '/v1/images/generations') =>
  call(path, { method: 'POST', body: JSON.stringify(body), ...init });
async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const value of values) list.push(value);
  return list;
}
const pngOf = async (base64: string) => sharp(Buffer.from(base64, 'base64')).metadata();

test("the official client's images are real ones, and all of the answer is told", async () => {
  const answer = await client.images.generate({ prompt: 'a red apple', n: 2, size: '128x64' });
  expect(answer).toMatchObject({
    created: expect.any(Number),
    model: 'Easel',
    output_format: 'png',
    size: '128x64',
    data: [{ seed: 7 }, { seed: 8 }],
    usage: { input_tokens: 5, output_tokens: 0, total_tokens: 5, images: 2, steps: 8, seconds: 0.5 },
  });
  for (const { b64_json } of answer.data!) {
    expect(await pngOf(b64_json!)).toMatchObject({ format: 'png', width: 128, height: 64 });
  }
  expect(service.drawings.at(-1)).toEqual({
    model: 'Easel',
    prompt: 'a red apple',
    parameters: { n: 2, width: 128, height: 64, output_format: 'png' },
  });
});

test('what the policy masks is not drawn from, whole, edited or as a job', async () => {
  const prompt = 'a card 4111 1111 1111 1111';
  const masked = `a card ${'*'.repeat(19)}`;
  const wickOf = async (response: Response) => ((await response.json()) as { wick: object }).wick;
  const wick = { filtered: [{ type: 'card', direction: 'input', action: 'mask', count: 1 }] };
  expect(await wickOf(await post({ prompt, size: '64x64' }))).toEqual(wick);
  const form = new FormData();
  const square = sharp({ create: { width: 64, height: 64, channels: 3, background: 'red' } }).png();
  form.set('image', new Blob([await square.toBuffer()]), 'a.png');
  form.set('prompt', prompt);
  expect((await call('/v1/images/edits', { method: 'POST', body: form })).status).toBe(200);
  const before = service.drawings.length;
  const job = await post({ prompt, size: '64x64' }, {}, '/v1/images/generations?async=1');
  expect([job.status, job.headers.get('x-wick-filtered')]).toEqual([202, 'card;action=mask;count=1']);
  expect(await wickOf(job)).toEqual(wick);
  await until('the drawing of the job', () => service.drawings.length > before);
  expect(await wickOf(await call(job.headers.get('location')!))).toEqual(wick);
  expect(service.drawings.slice(-3).map((drawing) => drawing.prompt)).toEqual([masked, masked, masked]);
});

interface Answer {
  data?: { b64_json?: string; url?: string; seed: number }[];
  expires_at?: number;
  error?: { message: string; param: string | null; code: string | null };
}
const jsonOf = async (response: Response) => (await response.json()) as Answer;

test('all formats come as they are called, and all parameters go on', async () => {
  for (const output_format of ['webp', 'jpeg', 'avif'] as const) {
    const { data } = await jsonOf(await post({ prompt: 'a', output_format, size: '64x64' }));
    const { format } = await pngOf(data![0].b64_json!);
    expect(format).toBe(output_format === 'avif' ? 'heif' : output_format);
  }
  await post({
    ...{ model: 'Other', prompt: 'a', n: 1, size: 'auto', output_format: 'webp', output_compression: 40 },
    ...{ user: 'me', quality: 'auto', seed: 5, negative_prompt: 'rain', steps: 3, guidance_scale: 2.5 },
    scheduler: 'ddim',
  });
  expect(service.drawings.at(-1)).toEqual({
    model: 'Other',
    prompt: 'a',
    parameters: {
      ...{ n: 1, output_format: 'webp', output_compression: 40, seed: 5, negative_prompt: 'rain' },
      ...{ num_inference_steps: 3, guidance_scale: 2.5, scheduler: 'ddim' },
    },
  });
});

test('a large image goes through, and so do ten', async () => {
  const noise = await sharp({
    create: { width: 1600, height: 1600, channels: 3, noise: { type: 'gaussian', mean: 128, sigma: 60 } },
  } as never)
    .png()
    .toBuffer();
  expect(noise.byteLength).toBeGreaterThan(5_000_000);
  const line = JSON.stringify({
    ...{ type: 'image', index: 0, seed: 1, b64_json: noise.toString('base64') },
    ...{ format: 'png', width: 1600, height: 1600 },
  });
  service.instead = async (_, response) => {
    response.write('{"type":"start","steps":1,"n":10,"seed":1}\n');
    for (let index = 0; index < 10; index++) {
      if (!response.write(`${line.replace('"index":0', `"index":${index}`)}\n`))
        await new Promise((resolve) => response.once('drain', resolve));
    }
    response.end('{"type":"done","images":10,"seconds":1}\n');
  };
  const { data } = await jsonOf(await post({ prompt: 'a', n: 10, size: '1600x1600' }));
  expect(data).toHaveLength(10);
  for (const { b64_json } of data!) expect(Buffer.from(b64_json!, 'base64').equals(noise)).toBe(true);
});

test("the official client's stream has previews, and then the images", async () => {
  const stream = await client.images.generate({
    prompt: 'a red apple',
    n: 2,
    size: '64x64' as never,
    stream: true,
    partial_images: 2,
  });
  const events = await all<OpenAI.ImageGenStreamEvent | OpenAI.ImageEditStreamEvent>(stream);
  expect(events.map(({ type }) => type)).toEqual(
    [1, 2].flatMap(() => [
      'image_generation.partial_image',
      'image_generation.partial_image',
      'image_generation.completed',
    ]),
  );
  const common = { created_at: expect.any(Number), size: '64x64', quality: 'auto', background: 'auto' };
  expect(events[1]).toEqual({
    ...common,
    type: 'image_generation.partial_image',
    image_index: 0,
    partial_image_index: 1,
    output_format: 'png',
    b64_json: expect.any(String),
  });
  expect(events[5]).toMatchObject({
    ...common,
    image_index: 1,
    seed: 8,
    usage: { total_tokens: 5, images: 1, steps: 4 },
  });
  for (const event of events)
    expect(await pngOf((event as { b64_json: string }).b64_json)).toMatchObject({ width: 64 });
});

test('a stream tells of its progress to whoever asks, and its events have their names', async () => {
  const body = { prompt: 'a', steps: 2, stream: true };
  const plain = await (await post(body)).text();
  expect(plain).not.toContain('progress');
  const response = await post({ ...body, stream_options: { include_progress: true } });
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  const events = (await response.text())
    .split('\n\n')
    .filter((event) => event.startsWith('event: '))
    .map((event) => {
      const [, name, data] = /^event: (.+)\ndata: (.+)$/.exec(event)!;
      const value = JSON.parse(data) as { type: string; status?: string; step?: number };
      expect(value.type).toBe(name);
      return value;
    });
  expect(events).toMatchObject([
    { type: 'image_generation.progress', status: 'queued', place: 1, seconds: 1.5 },
    { status: 'running', step: 0, steps: 2, n: 1, seed: 7 },
    { status: 'running', image_index: 0, step: 1, steps: 2 },
    { status: 'running', step: 2 },
    { type: 'image_generation.completed' },
  ]);
});

const picture = async (colour = 'red') =>
  sharp({ create: { width: 80, height: 80, channels: 3, background: colour } })
    .png()
    .toBuffer();
const fileOf = async (name = 'picture.png') =>
  new File([new Uint8Array(await picture())], name, { type: 'image/png' });
const edit = async (parts: Record<string, string | File>, query = '') => {
  const body = new FormData();
  for (const [name, value] of Object.entries(parts)) body.append(name, value);
  return call(`/v1/images/edits${query}`, { method: 'POST', body });
};

test("the official client's edits go on with image, mask and fields", async () => {
  const answer = await client.images.edit({
    image: await fileOf(),
    mask: await fileOf(),
    prompt: 'a green apple',
    n: 2,
    ...({ strength: 0.4, seed: 3 } as object),
  });
  expect(answer.data).toHaveLength(2);
  const { image, mask, ...rest } = service.drawings.at(-1)!;
  expect(Buffer.from(image!, 'base64').equals(await picture())).toBe(true);
  expect(mask).toBe(image);
  expect(rest).toEqual({
    model: 'Easel',
    prompt: 'a green apple',
    parameters: { n: 2, strength: 0.4, seed: 3, output_format: 'png' },
  });
  const stream = await client.images.edit({
    image: [await fileOf()],
    prompt: 'a green apple',
    stream: true,
    partial_images: 1,
  });
  const events = await all<OpenAI.ImageGenStreamEvent | OpenAI.ImageEditStreamEvent>(stream);
  expect(events.map(({ type }) => type)).toEqual(['image_edit.partial_image', 'image_edit.completed']);
});

test('a form that is not right is told so', async () => {
  const image = await fileOf();
  const large = new File([new Uint8Array(4_000_001)], 'large.png');
  const wrong: [parts: Record<string, string | File>, status: number, sentence: RegExp][] = [
    [{ prompt: 'a' }, 400, /`image` is missing/],
    [{ prompt: 'a', image: 'a cat' }, 400, /`image` has to be a file/],
    [{ prompt: 'a', image, mask: 'a cat' }, 400, /`mask` has to be a file/],
    [{ prompt: 'a', image, 'image[]': image }, 400, /more than once/],
    [{ prompt: image, image }, 400, /`prompt` is a file/],
    [{ prompt: 'a', image: new File([], 'none.png') }, 400, /empty/],
    [{ image }, 400, /prompt/],
    [{ prompt: 'a', image, n: 'two' }, 400, /`n` .*number/],
    [{ prompt: 'a', image, colour: 'red' }, 400, /`colour`/],
    [{ prompt: 'a', image: large }, 413, /`image` is larger than 4000000 bytes/],
    [{ prompt: 'a', image: large, mask: large, 'image[]': large }, 413, /The body is larger/],
    [{ prompt: 'a', image: new File(['<html>'], 'page.png') }, 400, /`image` is no image/],
  ];
  for (const [parts, status, sentence] of wrong) {
    const response = await edit(parts);
    const { error } = await jsonOf(response);
    expect(error?.message).toMatch(sentence);
    expect(response.status).toBe(status);
  }
  const json = await post(
    { prompt: 'a' },
    { headers: { 'content-type': 'application/json' } },
    '/v1/images/edits',
  );
  expect(json.status).toBe(415);
  expect((await jsonOf(json)).error?.message).toContain('multipart/form-data');
  const none = await call('/v1/images/edits', {
    method: 'POST',
    body: 'abc',
    headers: { 'content-type': 'multipart/form-data; boundary=x' },
  });
  expect(none.status).toBe(400);
  const form = new FormData();
  form.append('prompt', 'a');
  const generation = await call('/v1/images/generations', { method: 'POST', body: form });
  expect(generation.status).toBe(415);
});

const wrong: [body: unknown, status: number, sentence: RegExp][] = [
  [{ prompt: 'x'.repeat(100_000) }, 400, /`prompt` .*4000 characters/],
  [{ prompt: 'x'.repeat(2_000_000) }, 413, /larger than 1000000 bytes/],
  [{ prompt: 'a', n: 1000 }, 400, /`n` .*1 to 10/],
  [{ prompt: 'a', size: '1x1' }, 400, /`size` .*64 to 2048/],
  [{ prompt: 'a', size: '100000x100000' }, 400, /`size` .*64 to 2048/],
  [{ prompt: 'a', steps: 0 }, 400, /`steps` .*1 to 200/],
  [{ prompt: 'a', steps: 10_000 }, 400, /`steps` .*1 to 200/],
  [{ prompt: 'a', colour: 'red' }, 400, /`colour`/],
  [{ prompt: 'a', quality: 'hd' }, 400, /`quality`/],
  [{ prompt: 'a', model: 'nobody' }, 404, /"nobody".*Other, Easel/],
  [{ prompt: 'a', model: 'Story' }, 400, /writes and does not draw.*Other, Easel/],
  [{}, 400, /`prompt`/],
  [[], 400, /JSON object/],
];
test.each(wrong)('%.80j is refused', async (body, status, sentence) => {
  const before = service.drawings.length;
  const response = await post(body);
  expect(response.status).toBe(status);
  expect((await jsonOf(response)).error?.message).toMatch(sentence);
  expect(service.drawings.length).toBe(before);
});

test('what is no JSON, and other methods, are refused', async () => {
  const text = await call('/v1/images/generations', { method: 'POST', body: 'a red apple' });
  expect(text.status).toBe(415);
  expect((await jsonOf(text)).error?.message).toContain('content-type');
  const method = await call('/v1/images/generations');
  expect(method.status).toBe(405);
  expect(method.headers.get('allow')).toBe('POST, OPTIONS');
});

test('a model that draws is listed as one, and does not write', async () => {
  const { data } = (await (await call('/v1/models')).json()) as { data: { id: string; wick: object }[] };
  expect(data.find(({ id }) => id === 'Easel')?.wick).toEqual({
    placements: ['service'],
    revisions: {},
    kind: 'image',
    size: [64, 64],
  });
  const response = await post({ model: 'Easel', prompt: 'a' }, {}, '/v1/completions');
  expect(response.status).toBe(400);
  expect((await jsonOf(response)).error?.message).toContain('draws and does not write');
});

test('an image by its address is there for a while, and only under that address', async () => {
  const answer = await jsonOf(await post({ prompt: 'a', response_format: 'url', n: 2, size: '64x64' }));
  expect(answer.data).toHaveLength(2);
  const url = new URL(answer.data![1].url!);
  expect(Number(url.searchParams.get('expires'))).toBe(answer.expires_at);
  const response = await fetch(url);
  expect(response.status).toBe(200);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'content-type': 'image/png',
    'x-content-type-options': 'nosniff',
    'cache-control': expect.stringMatching(/^public, max-age=\d+, immutable$/),
    etag: expect.any(String),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  expect(await sharp(bytes).metadata()).toMatchObject({ format: 'png', width: 64 });
  const head = await fetch(url, { method: 'HEAD' });
  expect(head.headers.get('content-length')).toBe(String(bytes.byteLength));
  const again = await fetch(url, { headers: { 'if-none-match': response.headers.get('etag')! } });
  expect(again.status).toBe(304);

  const changed = (change: (url: URL) => void) => {
    const other = new URL(url);
    change(other);
    return fetch(other);
  };
  const later = await changed(({ searchParams }) => searchParams.set('expires', '99999999999'));
  expect(later.status).toBe(403);
  expect((await changed(({ searchParams }) => searchParams.set('signature', '0'.repeat(64)))).status).toBe(
    403,
  );
  expect((await changed(({ searchParams }) => searchParams.delete('signature'))).status).toBe(403);
  const other = await changed((address) => {
    address.pathname = address.pathname.replace('-1.png', '-0.png');
  });
  expect(other.status).toBe(403);
  expect((await call('/v1/images/files/..%2F..%2Fsecret')).status).toBe(403);
});

test('a service that is busy or down is a 503 that says when to come again', async () => {
  service.instead = (_, response) => refuse(response, 503, 'The line is full.', 17, 'overloaded');
  const busy = await post({ prompt: 'a' });
  expect(busy.status).toBe(503);
  expect(busy.headers.get('retry-after')).toBe('17');
  expect((await jsonOf(busy)).error).toMatchObject({ message: 'The line is full.', code: 'overloaded' });
  await service.down();
  try {
    for (const body of [
      { prompt: 'a' },
      { prompt: 'a', stream: true },
      { prompt: 'a', response_format: 'url' },
    ]) {
      const down = await post(body);
      expect(down.status).toBe(503);
      expect(Number(down.headers.get('retry-after'))).toBeGreaterThan(0);
      expect((await jsonOf(down)).error).toMatchObject({ code: 'service_unavailable' });
    }
  } finally {
    await service.up();
  }
});

const first =
  '{"type":"start","steps":1,"n":2,"seed":1}\n{"type":"image","index":0,"seed":1,"b64_json":"iVBORw0KGgo=","format":"png","width":64,"height":64}\n';
const oops = { message: 'Out of memory.', type: 'server_error', param: null, code: 'failed' };
const failing: [what: string, start: string, end: (response: ServerResponse) => unknown][] = [
  ['cuts its stream', first, (response) => response.destroy()],
  ['ends its stream early', first, (response) => response.end()],
  ['sends no events', first, (response) => response.end('<html>oops</html>\n')],
  [
    'cuts an image',
    `${first}{"type":"image","index":1,"seed":2,"b64_json":"iVBORw0K`,
    (response) => response.end(),
  ],
  [
    'breaks a line in an image',
    `${first}{"type":"image","index":1,"b64_json":"iVBO\n`,
    (response) => response.end(),
  ],
  [
    'sends an image of nothing',
    `${first}{"b64_json":"iVBO","type":"image","index":1}\n`,
    (response) => response.end(),
  ],
  [
    'says that it failed',
    first,
    (response) => response.end(`${JSON.stringify({ type: 'error', status: 500, error: oops })}\n`),
  ],
];
test.each(failing)('a service that %s is no clean end', async (_, start, end) => {
  service.instead = (_, response) => {
    response.write(start);
    setTimeout(end, 50, response);
  };
  await expect(
    client.images.generate({ prompt: 'a', n: 2, stream: true }).then((stream) => all(stream)),
  ).rejects.toThrow();
  const text = await (await post({ prompt: 'a', n: 2 })).text();
  expect(text).toContain('"error":{"message":');
  expect(text).not.toContain('usage');
  const url = await jsonOf(await post({ prompt: 'a', n: 2, response_format: 'url' }));
  expect(url.error?.message).toBeTruthy();
  expect(url.data).toBeUndefined();
});

test('an error before anything is drawn is one by its status', async () => {
  service.instead = async (_, response) => {
    response.write('{"type":"start","steps":1,"n":1,"seed":1}\n');
    await new Promise((resolve) => setTimeout(resolve, 400));
    response.end(`${JSON.stringify({ type: 'error', status: 500, error: oops })}\n`);
  };
  await expect(client.images.generate({ prompt: 'a' })).rejects.toMatchObject({
    status: 500,
    error: { message: 'Out of memory.' },
  });
});

test('a caller who leaves ends the drawing', async () => {
  service.pace = 50;
  const { left, drawings } = service;
  const before = drawings.length;
  let ended = left;
  const leave = async (path: string, body?: object) => {
    const leaving = new AbortController();
    const init = { signal: leaving.signal };
    const asked = body ? post(body, init, path) : call(path, init);
    asked.catch(() => {});
    const count = drawings.length;
    await until('the drawing', () => drawings.length > count);
    leaving.abort();
    await until(`the end of the drawing of ${path} ${JSON.stringify(body)}`, () => service.left > ended);
    ended = service.left;
  };
  const long = { prompt: 'a', steps: 200, n: 10 };
  await leave('/v1/images/generations', long);
  await leave('/v1/images/generations', { ...long, stream: true });
  await leave('/v1/images/generations', { ...long, response_format: 'url' });
  expect(drawings.length).toBe(before + 3);
  expect(service.left).toBe(left + 3);
});

test('nothing of the secret is logged', () => {
  expect(worker.log.join('\n')).not.toContain(secret);
});
