import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readEvents } from '../../src/api/events.ts';
import { allEventsOf, type DrawService, eventsOf, ofType, startDrawService } from './image-service.ts';

const model = 'draw-fixed';
const free = 'draw-free';
const text = 'Llama-wick-3M';
const request = (prompt: string, parameters: object = {}, more: object = {}) => ({
  model,
  prompt,
  parameters: { seed: 7, ...parameters },
  ...more,
});

let service: DrawService;
beforeAll(async () => {
  service = await startDrawService([model, free], { maxQueue: 8, texts: [`models/${text}`] });
});
afterAll(() => service.stop());

const draw = async (body: object) => allEventsOf(await service.ask('POST', '/v1/draw', body));

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 3000; i++) {
    if (await condition()) return;
    await sleep(10);
  }
  throw new Error('It never came to be.');
}
const untilIdle = () =>
  until(async () => {
    const { running, queued } = await service.load(model);
    return running + queued === 0;
  });

describe('a drawing', () => {
  it('is told from start to done', async () => {
    const events = await draw(request('a circle', { num_inference_steps: 5 }));
    expect(events.map(({ type }) => type)).toEqual([
      'start',
      ...Array.from({ length: events.length - 3 }, () => 'progress'),
      'image',
      'done',
    ]);
    expect(events[0]).toEqual({ type: 'start', steps: 5, n: 1, seed: 7 });
    expect(ofType(events, 'progress').at(-1)).toEqual({ type: 'progress', index: 0, step: 5, steps: 5 });
    expect(ofType(events, 'image')[0]).toMatchObject({
      index: 0,
      seed: 7,
      format: 'png',
      width: 64,
      height: 64,
    });
    expect(events.at(-1)).toMatchObject({ type: 'done', images: 1, seconds: expect.any(Number) });
  });

  it('draws image i of n from seed + i, the same each time', async () => {
    const three = ofType(await draw(request('x', { n: 3, seed: 2 ** 32 - 2 })), 'image');
    expect(three.map(({ index, seed }) => [index, seed])).toEqual([
      [0, 2 ** 32 - 2],
      [1, 2 ** 32 - 1],
      [2, 0],
    ]);
    const [again] = ofType(await draw(request('x', { seed: 2 ** 32 - 1 })), 'image');
    expect(again.b64_json).toBe(three[1].b64_json);
    expect(again.b64_json).not.toBe(three[0].b64_json);
  });

  it('takes a seed where none is given, and tells it', async () => {
    const events = await draw({ model, prompt: 'x', parameters: {} });
    const [start, image] = [ofType(events, 'start')[0], ofType(events, 'image')[0]];
    expect(start).toMatchObject({ steps: 4, n: 1 });
    expect(image.seed).toBe(start.seed);
  });

  it.each(['png', 'webp', 'jpeg', 'avif'])(
    'comes as %s of the wanted size, with previews',
    async (format) => {
      const parameters = {
        output_format: format,
        output_compression: 60,
        width: 512,
        height: 256,
        partial_images: 3,
      };
      const events = await draw(request('<slow> & sure', { ...parameters, num_inference_steps: 8 }));
      const [image] = ofType(events, 'image');
      const file = Buffer.from(image.b64_json, 'base64');
      const metadata = await sharp(file).metadata();
      expect(metadata).toMatchObject({
        width: 512,
        height: 256,
        format: format === 'avif' ? 'heif' : format,
      });
      expect(metadata.xmpAsString).toContain('trainedAlgorithmicMedia');
      expect(metadata.xmpAsString).toContain('&lt;slow&gt; &amp; sure');
      if (format === 'png') {
        expect(metadata.comments?.[0].text).toMatch(
          /^<slow> & sure\nSteps: 8, .*Seed: 7, Size: 512x256, Model: draw-fixed$/,
        );
      }
      const partials = ofType(events, 'partial');
      expect(partials.map(({ partial }) => partial)).toEqual([0, 1, 2]);
      for (const partial of partials) {
        expect(partial).toMatchObject({ index: 0, format, width: 256, height: 128 });
        expect(await sharp(Buffer.from(partial.b64_json, 'base64')).metadata()).toMatchObject({
          width: 256,
          height: 128,
        });
      }
    },
  );

  it('has the wanted shape where the model draws more than one', async () => {
    const [image] = ofType(
      await draw({ ...request('x', { width: 256, height: 128 }), model: free }),
      'image',
    );
    const file = Buffer.from(image.b64_json, 'base64');
    expect(await sharp(file).metadata()).toMatchObject({ width: 256, height: 128 });
    const [own] = ofType(await draw({ ...request('x', { height: 128 }), model: free }), 'image');
    expect(own).toMatchObject({ width: 128, height: 128 });
  });

  it('begins from an image, and keeps what the mask keeps', async () => {
    const picture = await sharp({ create: { width: 100, height: 100, channels: 3, background: '#336699' } })
      .png()
      .toBuffer();
    const mask = await sharp(
      Buffer.from(Array.from({ length: 10_000 }, (_, i) => (i % 100 < 50 ? 255 : 0))),
      { raw: { width: 100, height: 100, channels: 1 } },
    )
      .png()
      .toBuffer();
    const given = { image: picture.toString('base64'), mask: mask.toString('base64') };
    const [image] = ofType(await draw(request('x', { strength: 0.5 }, given)), 'image');
    const data = await sharp(Buffer.from(image.b64_json, 'base64')).raw().toBuffer();
    const at = (x: number) => [...data.subarray(3 * (32 * 64 + x), 3 * (32 * 64 + x) + 3)];
    expect(at(60)).toEqual([0x33, 0x66, 0x99]);
    expect(at(3)).not.toEqual([0x33, 0x66, 0x99]);
  });
});

describe('what cannot be drawn', () => {
  const png = async (width: number, height: number) =>
    (
      await sharp({ create: { width, height, channels: 3, background: '#fff' } })
        .png()
        .toBuffer()
    ).toString('base64');
  const bomb = async () => {
    const file = Buffer.from(await png(8, 8), 'base64');
    file.writeUInt32BE(30_000, 16);
    file.writeUInt32BE(30_000, 20);
    const { crc32 } = await import('node:zlib');
    file.writeUInt32BE(crc32(file.subarray(12, 29)), 29);
    return file.toString('base64');
  };

  it.each<[string, () => object | Promise<object>, RegExp, string]>([
    ['a prompt that is too long', () => request('x'.repeat(4001)), /at most 4000 characters/, 'prompt'],
    ['no image at all', () => request('x', { n: 0 }), /from 1 to 10/, 'parameters.n'],
    ['eleven images', () => request('x', { n: 11 }), /from 1 to 10/, 'parameters.n'],
    [
      'no steps',
      () => request('x', { num_inference_steps: 0 }),
      /from 1 to 200/,
      'parameters.num_inference_steps',
    ],
    ['a side too long', () => request('x', { width: 4096 }), /from 64 to 2048/, 'parameters.width'],
    ['another format', () => request('x', { output_format: 'svg' }), /png/, 'parameters.output_format'],
    ['an unknown parameter', () => request('x', { magic: 1 }), /not a parameter/, 'parameters.magic'],
    ['an image that is no base64', () => request('x', {}, { image: '%%%' }), /base64/, 'image'],
  ])('is refused by its status: %s', async (_, body, message, param) => {
    const response = await service.ask('POST', '/v1/draw', await body());
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { message: expect.stringMatching(message), param },
    });
  });

  it.each<[string, () => object | Promise<object>, RegExp, string]>([
    ['a decompression bomb', async () => request('x', {}, { image: await bomb() }), /30000x30000/, 'image'],
    [
      'a text as image',
      () => request('x', {}, { image: Buffer.from('some words').toString('base64') }),
      /not a PNG/,
      'image',
    ],
    [
      'a mask of another size',
      async () => request('x', {}, { image: await png(9, 9), mask: await png(8, 9) }),
      /8x9.*9x9/,
      'mask',
    ],
    [
      'a mask without an image',
      async () => request('x', {}, { mask: await png(8, 8) }),
      /needs an image/,
      'mask',
    ],
    ['what the model refuses', () => request('refused'), /cannot be drawn/, 'prompt'],
    [
      'what the safety checker objects to, every time',
      () => request('unsafe', { n: 2 }),
      /safety checker/,
      'prompt',
    ],
  ])('is refused in the stream: %s', async (_, body, message, param) => {
    const last = (await draw(await body())).at(-1);
    expect(last).toMatchObject({
      type: 'error',
      status: 400,
      error: { message: expect.stringMatching(message), param, type: 'invalid_request_error' },
    });
    await untilIdle();
  });

  it('tells nothing of a failure inside', async () => {
    const last = (await draw(request('fails'))).at(-1);
    expect(last).toMatchObject({ type: 'error', status: 500, error: { code: 'internal_error' } });
    expect(JSON.stringify(last)).not.toContain('secret');
    expect((await draw(request('x'))).at(-1)).toMatchObject({ type: 'done' });
  });

  it('takes a body of two images, and none beyond', async () => {
    const image = 'A'.repeat(5_333_332);
    const large = await service.ask('POST', '/v1/draw', request('x', {}, { image, mask: image }));
    expect((await allEventsOf(large)).at(-1)).toMatchObject({ type: 'error', status: 400 });
    const refused = await service.ask('POST', '/v1/draw', request('x', {}, { image: image.repeat(3) }));
    expect(refused.status).toBe(413);
    expect((await service.ask('POST', '/v1/generate', request('x', {}, { image, mask: image }))).status).toBe(
      413,
    );
  });

  it('is shut for what is not signed', async () => {
    const body = JSON.stringify(request('x'));
    expect((await fetch(`${service.url}/v1/draw`, { method: 'POST', body })).status).toBe(401);
  });
});

describe('models', () => {
  it('are listed with their kinds, the first that draws as the default', async () => {
    const { data } = (await (await service.ask('GET', '/v1/models')).json()) as { data: object[] };
    expect(data).toEqual([
      expect.objectContaining({ id: text, kind: 'text' }),
      expect.objectContaining({
        ...{ id: model, kind: 'image', size: [64, 64], default: true },
        version: expect.stringMatching(/^[0-9a-f]{16}$/),
      }),
      expect.objectContaining({ id: free, kind: 'image', size: [64, 64] }),
    ]);
    expect(data[2]).not.toHaveProperty('default');
  });

  it.each([
    ['/v1/draw', { ...request('x'), model: 'nothing' }, /no model "nothing".*draw-fixed, draw-free/],
    ['/v1/draw', { ...request('x'), model: text }, /writes text.*draw-fixed/],
    ['/v1/generate', { model, input: { text: 'x' }, parameters: {} }, /draws images.*Llama/],
  ])('are not found: %s %o', async (path, body, message) => {
    const response = await service.ask('POST', path, body);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({
      error: { message: expect.stringMatching(message), code: 'model_not_found', param: 'model' },
    });
  });

  it('show their lines in /health', async () => {
    expect(await service.load(model)).toMatchObject({ kind: 'image', running: 0, queued: 0 });
  });

  it('write beside each other: text flows while an image is drawn', async () => {
    const drawing = draw(request('busy', { num_inference_steps: 30 }));
    const response = await service.ask('POST', '/v1/generate', {
      model: text,
      input: { text: 'Once' },
      parameters: { max_tokens: 3 },
    });
    const types: string[] = [];
    for await (const { type } of readEvents(response.body!)) types.push(type);
    expect(types.at(-1)).toBe('done');
    expect((await drawing).at(-1)).toMatchObject({ type: 'done' });
  });
});

describe('the line', () => {
  it('tells each place as it changes, and takes turns image by image', async () => {
    const order: string[] = [];
    const follow = async (name: string, n: number) => {
      const response = await service.ask('POST', '/v1/draw', request('slow', { n }));
      const events = [];
      for await (const event of eventsOf(response)) {
        events.push(event);
        if (event.type === 'image') order.push(name);
      }
      return events;
    };
    const many = follow('many', 6);
    await until(async () => (await service.load(model)).running === 1);
    const first = follow('first', 1);
    await until(async () => (await service.load(model)).queued === 1);
    const second = follow('second', 1);
    const [, a, b] = await Promise.all([many, first, second]);
    expect(order.indexOf('first')).toBeLessThanOrEqual(2);
    expect(order.indexOf('second')).toBeLessThanOrEqual(4);
    expect(order.filter((name) => name === 'many')).toHaveLength(6);
    expect(ofType(a, 'queued').map(({ place }) => place)).toEqual([1]);
    const places = ofType(b, 'queued').map(({ place }) => place);
    expect(places[0]).toBeGreaterThan(1);
    expect(places.at(-1)).toBe(1);
    for (const { seconds } of ofType(b, 'queued')) expect(seconds).toBeGreaterThanOrEqual(0);
  });

  it('serves thirty at once as far as it is bounded, and refuses the others with Retry-After', async () => {
    await untilIdle();
    const answers = await Promise.all(
      Array.from({ length: 30 }, async (_, i) => {
        const response = await service.ask(
          'POST',
          '/v1/draw',
          request('slow', { seed: i, num_inference_steps: 2 }),
        );
        if (response.status === 503) {
          expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
          expect(await response.json()).toMatchObject({
            error: { code: 'overloaded', type: 'server_error' },
          });
          return 503;
        }
        expect((await allEventsOf(response)).at(-1)).toMatchObject({ type: 'done', images: 1 });
        return 200;
      }),
    );
    expect(answers.filter((status) => status === 200).length).toBeGreaterThanOrEqual(9);
    expect(answers).toContain(503);
    await untilIdle();
  });

  it('stops for a reader who leaves, and goes on with the next', async () => {
    const stop = new AbortController();
    const long = request('slow', { n: 10, num_inference_steps: 200 });
    const response = await service.ask('POST', '/v1/draw', long, stop.signal);
    const reader = response.body!.getReader();
    await reader.read();
    const waiting = new AbortController();
    const left = await service.ask('POST', '/v1/draw', long, waiting.signal);
    await left.body!.getReader().read();
    const next = draw(request('x'));
    await until(async () => (await service.load(model)).queued === 2);
    waiting.abort();
    await until(async () => (await service.load(model)).queued === 1);
    stop.abort();
    const events = await next;
    expect(events.at(-1)).toMatchObject({ type: 'done' });
    await untilIdle();
  });

  it('draws no faster than its reader reads, and for others meanwhile', async () => {
    await untilIdle();
    const parameters = { n: 10, width: 1024, height: 1024, num_inference_steps: 1 };
    const response = await service.ask('POST', '/v1/draw', request('x', parameters));
    let idle = 0;
    await until(async () => {
      const { running, queued } = await service.load(model);
      idle = running === 0 && queued === 1 ? idle + 1 : 0;
      return idle > 5;
    });
    expect((await draw(request('x'))).at(-1)).toMatchObject({ type: 'done' });
    expect(await service.load(model)).toMatchObject({ running: 0, queued: 1 });
    const events = await allEventsOf(response);
    expect(ofType(events, 'image').map(({ index }) => index)).toEqual([...Array(10).keys()]);
    expect(events.at(-1)).toMatchObject({ type: 'done', images: 10 });
  });

  it('is empty again after many have come and gone', async () => {
    for (let round = 0; round < 20; round++) {
      await Promise.all(
        Array.from({ length: 5 }, async (_, i) => {
          const stop = new AbortController();
          const response = await service.ask('POST', '/v1/draw', request('slow', { n: 10 }), stop.signal);
          const reader = response.body!.getReader();
          if (i % 2) await reader.read();
          stop.abort();
          await reader.closed.catch(() => {});
        }),
      );
    }
    await untilIdle();
    expect((await draw(request('x'))).at(-1)).toMatchObject({ type: 'done' });
  });

  it('answers /health while it draws', async () => {
    const drawings = [1, 2].map((seed) => draw(request('busy', { seed, num_inference_steps: 60 })));
    await until(async () => (await service.load(model)).running === 1);
    for (let i = 0; i < 20; i++) expect((await fetch(`${service.url}/health`)).status).toBe(200);
    expect((await service.load(model)).running).toBe(1);
    for (const events of await Promise.all(drawings)) expect(events.at(-1)).toMatchObject({ type: 'done' });
  });
});

describe('a thread that dies', () => {
  it('fails what it drew and comes again; what waits is drawn, and other models go on', async () => {
    const beside = allEventsOf(
      await service.ask('POST', '/v1/draw', { ...request('slow', { num_inference_steps: 40 }), model: free }),
    );
    const lost = draw(request('slow dies'));
    const waiting = draw(request('x'));
    expect((await lost).at(-1)).toMatchObject({
      type: 'error',
      status: 503,
      error: { code: 'model_restarting', type: 'server_error' },
    });
    expect((await waiting).at(-1)).toMatchObject({ type: 'done' });
    expect((await beside).at(-1)).toMatchObject({ type: 'done' });
    expect(service.notes.join('\n')).toMatch(/draw-fixed broke off: it ended with code 3/);
  });

  it('keeps the service from starting where the model cannot be loaded', async () => {
    await expect(startDrawService(['broken'])).rejects.toThrow(
      /broken cannot be loaded: It cannot be loaded/,
    );
  });
});

it('keeps memory flat over a hundred drawings', async () => {
  const picture = await sharp({ create: { width: 640, height: 640, channels: 3, background: '#123456' } })
    .jpeg()
    .toBuffer();
  const round = async () => {
    for (let seed = 0; seed < 50; seed++) {
      const format = ['png', 'webp', 'jpeg'][seed % 3];
      const parameters = { seed, width: 256, height: 256, output_format: format, partial_images: 1 };
      const events = await draw(request('x', parameters, { image: picture.toString('base64') }));
      expect(events.at(-1)).toMatchObject({ type: 'done' });
    }
    return process.memoryUsage();
  };
  const before = await round();
  await round();
  const after = await round();
  expect((after.rss - before.rss) / 1e6).toBeLessThan(150);
  expect((after.heapUsed - before.heapUsed) / 1e6).toBeLessThan(60);
});

it('logs how many images were drawn, and never what', () => {
  expect(service.log).toContainEqual(
    expect.objectContaining({ path: '/v1/draw', status: 200, model, images: 3 }),
  );
  expect(JSON.stringify(service.log)).not.toContain('slow');
});

it('ends with a sentence where a model cannot be loaded, also while another is being loaded', async () => {
  await expect(startDrawService(['draw-broken', free], { texts: [`models/${text}`] })).rejects.toThrow(
    /draw-broken cannot be loaded: It cannot be loaded/,
  );
});
