import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type DrawingService, refuse, startDrawingService } from './drawing-service.ts';
import { type Started, secret, startWorker, until } from './worker.ts';

let service: DrawingService;
let worker: Started;
beforeAll(async () => {
  service = await startDrawingService();
  worker = await startWorker({ WICK_SERVICE_URL: service.url, WICK_SECRET: secret });
});
afterAll(async () => {
  // A path with a prompt is logged without it.
  expect(worker.log.join('\n')).toMatch(/GET \/image\/\{prompt\} 200/);
  expect(worker.log.join('\n')).not.toMatch(/apple/);
  await worker?.stop();
  await service?.down();
});
afterEach(() => {
  service.instead = undefined;
  service.pace = 2;
});

const get = (path: string, init: RequestInit = {}) => fetch(new URL(path, worker.url), init);
const formatOf = async (response: Response) =>
  (await sharp(Buffer.from(await response.arrayBuffer())).metadata()).format;

test('the ending is the format, and without one what the caller likes best', async () => {
  const endings = { png: 'png', webp: 'webp', jpeg: 'jpeg', jpg: 'jpeg', JPG: 'jpeg', avif: 'heif' };
  for (const [ending, format] of Object.entries(endings)) {
    const response = await get(`/image/red%20apple.${ending}?size=64x64`);
    expect(response.status).toBe(200);
    expect(await formatOf(response)).toBe(format);
    expect(service.drawings.at(-1)!.prompt).toBe('red apple');
  }
  const liked: [accept: string, format: string][] = [
    ['*/*', 'png'],
    ['text/html', 'png'],
    ['image/avif;q=0.4, image/jpeg;q=0.9, */*;q=0.1', 'jpeg'],
    ['image/avif,image/webp,image/png,*/*', 'webp'],
  ];
  for (const [accept, format] of liked) {
    const response = await get('/image/apple?size=64x64', { headers: { accept } });
    expect(response.headers.get('content-type')).toBe(`image/${format}`);
    expect(response.headers.get('vary')?.toLowerCase()).toContain('accept');
    expect(await formatOf(response)).toBe(format);
  }
});

test('with a seed it is drawn once, and kept by every cache', async () => {
  const before = service.drawings.length;
  const path = '/image/a%20cat.png?seed=1&size=64x64';
  const first = await get(path);
  expect(first.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
  expect(first.headers.get('x-wick-seed')).toBe('1');
  const etag = first.headers.get('etag')!;
  expect(etag).toMatch(/^"[0-9a-f]{32}"$/);
  const bytes = Buffer.from(await first.arrayBuffer());
  expect(service.drawings.length).toBe(before + 1);
  await until('the image in the cache', async () => {
    const count = service.drawings.length;
    const again = await get(path);
    expect(again.headers.get('etag')).toBe(etag);
    expect(Buffer.from(await again.arrayBuffer()).equals(bytes)).toBe(true);
    return service.drawings.length === count;
  });
  const drawn = service.drawings.length;
  for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
    const known = await get(path, { headers: { 'if-none-match': tag } });
    expect(known.status).toBe(304);
    expect(await known.text()).toBe('');
  }
  // The same by another spelling, and by HEAD.
  const spelled = await get('/image/a cat.PNG?size=64x64&seed=0001');
  expect(spelled.headers.get('etag')).toBe(etag);
  await spelled.arrayBuffer();
  const head = await get(path, { method: 'HEAD' });
  expect(head.headers.get('content-length')).toBe(String(bytes.byteLength));
  expect(service.drawings.length).toBe(drawn);
  const other = await get(path.replace('seed=1', 'seed=2'));
  expect(other.headers.get('etag')).not.toBe(etag);
  expect(Buffer.from(await other.arrayBuffer()).equals(bytes)).toBe(false);
});

test('without a seed it is drawn each time, and kept by none', async () => {
  const before = service.drawings.length;
  for (let i = 0; i < 2; i++) {
    const response = await get('/image/a%20dog.webp?size=64x64');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('x-wick-seed')).toBe('7');
    expect(response.headers.has('etag')).toBe(false);
    await response.arrayBuffer();
  }
  expect(service.drawings.length).toBe(before + 2);
  const head = await get('/image/a%20dog.webp', { method: 'HEAD' });
  expect(head.status).toBe(200);
  expect(service.drawings.length).toBe(before + 2);
});

test('options and any words go on to the service', async () => {
  const options = 'seed=3&size=128x64&steps=5&guidance=2.5&negative=rain%20%26%20snow&scheduler=heun';
  const words = 'a "dog" & a/cat? v1.5 — 猫 100% 🐈';
  const response = await get(
    `/image/${encodeURIComponent(words)}.jpeg?${options}&compression=40&model=Other`,
  );
  expect(response.status).toBe(200);
  expect(service.drawings.at(-1)).toEqual({
    model: 'Other',
    prompt: words,
    parameters: {
      ...{ n: 1, seed: 3, width: 128, height: 64, num_inference_steps: 5, guidance_scale: 2.5 },
      ...{ negative_prompt: 'rain & snow', scheduler: 'heun' },
      ...{ output_format: 'jpeg', output_compression: 40 },
    },
  });
});

const wrong: [path: string, status: number, sentence: RegExp][] = [
  ['/image/100%.png', 400, /% that stands for nothing/],
  ['/image/%ff.png', 400, /% that stands for nothing/],
  ['/image/.png', 400, /description of an image/],
  ['/image/%20', 400, /description of an image/],
  [`/image/${'x'.repeat(5000)}.png`, 400, /4000 characters/],
  ['/image/a.gif', 400, /not drawn as \.gif.*png/],
  ['/image/a.png?colour=red', 400, /`colour`/],
  ['/image/a.png?n=3', 400, /`n`/],
  ['/image/a.png?seed=1.5', 400, /`seed`/],
  ['/image/a.png?seed=', 400, /`seed`/],
  ['/image/a.png?seed=99999999999999999999', 400, /`seed`/],
  ['/image/a.png?steps=0', 400, /`steps` .*1 to 200/],
  ['/image/a.png?steps=10000', 400, /`steps` .*1 to 200/],
  ['/image/a.png?size=1x1', 400, /`size` .*64 to 2048/],
  ['/image/a.png?size=100000x100000', 400, /`size` .*64 to 2048/],
  ['/image/a.png?compression=40', 400, /`compression` is for webp/],
  ['/image/a.png?scheduler=magic', 400, /`scheduler`/],
  ['/image/a.png?model=nobody', 404, /"nobody"/],
];
test.each(wrong)('%.60s is refused in a sentence', async (path, status, sentence) => {
  const before = service.drawings.length;
  const response = await get(path);
  expect(response.status).toBe(status);
  expect(response.headers.get('content-type')).toContain('text/plain');
  expect(response.headers.get('cache-control')).toBe('no-store');
  expect(await response.text()).toMatch(sentence);
  const json = await get(path, { headers: { accept: 'application/json' } });
  expect(json.status).toBe(status);
  expect(((await json.json()) as { error: { message: string } }).error.message).toMatch(sentence);
  expect(service.drawings.length).toBe(before);
});

test('a failure is never kept: the same address draws when the service can again', async () => {
  const path = '/image/a%20bird.png?seed=1&size=64x64';
  service.instead = (_, response) => refuse(response, 503, 'The line is full.', 9, 'overloaded');
  const busy = await get(path);
  expect(busy.status).toBe(503);
  expect(busy.headers.get('retry-after')).toBe('9');
  expect(busy.headers.get('cache-control')).toBe('no-store');
  expect(busy.headers.has('etag')).toBe(false);
  expect(await busy.text()).toBe('The line is full.\n');
  service.instead = (_, response) => {
    response.write(
      '{"type":"start","steps":1,"n":1,"seed":1}\n{"type":"image","index":0,"seed":1,"b64_json":"iVBO',
    );
    setTimeout(() => response.destroy(), 20);
  };
  const cut = await get(path);
  expect(cut.status).toBe(503);
  expect(await cut.text()).toMatch(/broke off/);
  service.instead = undefined;
  await service.down();
  const down = await get(path);
  expect(down.status).toBe(503);
  expect(Number(down.headers.get('retry-after'))).toBeGreaterThan(0);
  await service.up();
  const up = await get(path);
  expect(up.status).toBe(200);
  expect(await formatOf(up)).toBe('png');
});

test('what was drawn for a caller who left is there for the next', async () => {
  service.pace = 50;
  const path = '/image/a%20ship.png?seed=5&steps=20&size=64x64';
  const count = service.drawings.length;
  const leaving = new AbortController();
  get(path, { signal: leaving.signal }).catch(() => {});
  await until('the drawing', () => service.drawings.length > count);
  leaving.abort();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const next = await get(path);
  expect(await formatOf(next)).toBe('png');
  expect(service.drawings.length).toBe(count + 1);
});

test('a description in the body is drawn as one in the address', async () => {
  const bytesOf = async (response: Promise<Response>) => Buffer.from(await (await response).arrayBuffer());
  const wanted = await bytesOf(get('/image/a%20duck.png?seed=9&size=64x64'));
  const body = JSON.stringify({ prompt: 'a duck', seed: 9, size: '64x64' });
  const ways = [
    get('/image?seed=9&size=64x64', { method: 'POST', body: 'a duck' }),
    get('/image', { method: 'POST', body, headers: { 'content-type': 'application/json' } }),
    get('/image', {
      method: 'POST',
      body: new URLSearchParams({ prompt: 'a duck', seed: '9', size: '64x64' }),
    }),
  ];
  for (const way of ways) expect((await bytesOf(way)).equals(wanted)).toBe(true);
  const webp = await get('/image?format=webp&size=64x64', { method: 'POST', body: 'a duck' });
  expect(await formatOf(webp)).toBe('webp');
  for (const [path, sentence] of [
    ['/image?seed=1', /no body/],
    ['/image?magic=1', /`magic`/],
    ['/image?format=gif', /`format`/],
  ] as const) {
    const refused = await get(path, {
      method: 'POST',
      body: path.includes('=1') && !path.includes('magic') ? '' : 'a',
    });
    expect(refused.status).toBe(400);
    expect(await refused.text()).toMatch(sentence);
  }
});

test('who accepts JSON is given the address, at which the image is had without drawing it again', async () => {
  const before = service.drawings.length;
  const asked = await get('/image/a%20fox?size=64x64&steps=3', { headers: { accept: 'application/json' } });
  const told = (await asked.json()) as { url: string };
  expect(told).toEqual({
    model: 'Easel',
    url: `${worker.url.origin}/image/a%20fox.png?seed=7&size=64x64&steps=3`,
    seed: 7,
    size: '64x64',
    format: 'png',
  });
  await until('the image in the cache', async () => {
    const count = service.drawings.length;
    expect(await formatOf(await fetch(told.url))).toBe('png');
    return service.drawings.length === count;
  });
  const drawn = service.drawings.length;
  const again = await fetch(told.url, { headers: { accept: 'application/json' } });
  expect(await again.json()).toEqual(told);
  expect(service.drawings.length).toBe(drawn);
  expect(drawn).toBeGreaterThan(before);
  service.instead = (_, response) => refuse(response, 503, 'The line is full.', 9, 'overloaded');
  const busy = await get('/image/a%20new%20fox', { headers: { accept: 'application/json' } });
  expect(busy.status).toBe(503);
  expect(await busy.json()).toMatchObject({ error: { code: 'overloaded' } });
});

test('who accepts events is told how far it is, and then the address', async () => {
  const headers = { accept: 'text/event-stream' };
  const response = await get('/image?size=64x64&steps=3', { method: 'POST', body: 'a hen', headers });
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  const named = (text: string) =>
    [...text.matchAll(/^event: (\w+)\ndata: (.*)$/gm)].map(([, name, data]) => [name, JSON.parse(data)]);
  const events = named(await response.text());
  expect(events[0]).toEqual(['progress', { status: 'queued', place: 1, seconds: 1.5 }]);
  expect(events.filter(([, data]) => data.status === 'running').map(([, data]) => data.step)).toEqual([
    0, 1, 2, 3,
  ]);
  expect(events.at(-1)).toEqual(['image', expect.objectContaining({ seed: 7, size: '64x64' })]);
  service.instead = (_, response) => response.destroy();
  const broken = await get('/image/a%20broken%20hen', { headers });
  expect(named(await broken.text())).toEqual([
    ['error', expect.objectContaining({ error: expect.objectContaining({ param: null }) })],
  ]);
});

test('what the policy masks is in no drawing, address, tag or answer', async () => {
  const card = '4111 1111 1111 1111';
  const masked = '*'.repeat(card.length);
  const asked = (prompt: string, accept: string) =>
    get(`/image/${encodeURIComponent(prompt)}.png?seed=3&size=64x64&negative=${encodeURIComponent(card)}`, {
      headers: { accept },
    });
  const image = await asked(`a card ${card}`, 'image/png');
  expect(image.status).toBe(200);
  const { prompt, parameters } = service.drawings.at(-1)!;
  expect([prompt, parameters.negative_prompt]).toEqual([`a card ${masked}`, masked]);
  expect(image.headers.get('x-wick-filtered')).toBe('card;action=mask;count=2');
  expect(image.headers.get('etag')).toBe((await asked(`a card ${masked}`, 'image/png')).headers.get('etag'));
  const { url } = (await (await asked(`a card ${card}`, 'application/json')).json()) as { url: string };
  expect(decodeURIComponent(url)).toContain(`/image/a card ${masked}.png?`);
  const posted = await get('/image', {
    method: 'POST',
    body: `a card ${card}`,
    headers: { accept: 'text/event-stream' },
  });
  expect(await posted.text()).not.toMatch(/4111/);
  expect(service.drawings.at(-1)!.prompt).toBe(`a card ${masked}`);
});
