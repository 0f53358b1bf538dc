import { createHash } from 'node:crypto';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { JobObject } from '../../src/edge/images/objects.ts';
import { type DrawingService, refuse, startDrawingService } from './drawing-service.ts';
import { type Started, secret, startWorker, until } from './worker.ts';

let service: DrawingService;
let worker: Started;
/** A Worker whose images and jobs do not last. */
let brief: Started;
beforeAll(async () => {
  service = await startDrawingService();
  const variables = { WICK_SERVICE_URL: service.url, WICK_SECRET: secret };
  [worker, brief] = await Promise.all([
    startWorker(variables),
    startWorker({ ...variables, WICK_IMAGE_LIFE: '3', WICK_JOB_PATIENCE: '2' }),
  ]);
});
afterAll(async () => {
  await Promise.all([worker?.stop(), brief?.stop()]);
  await service?.down();
});
afterEach(() => {
  service.instead = undefined;
  service.pace = 2;
});

interface Job {
  id: string;
  object: string;
  status: string;
  expires_at: number;
  n: number;
  step?: number;
  steps?: number;
  images?: number;
  place?: number | null;
  data?: { url: string; seed: number }[];
  usage?: object;
  size?: string;
  error?: { message: string; code: string | null };
}

const call = (path: string, init: RequestInit = {}, at = worker) => fetch(new URL(path, at.url), init);
const submit = async (body: object, init: RequestInit = {}, at = worker) => {
  const path = '/v1/images/generations?async=1';
  const response = await call(path, { method: 'POST', body: JSON.stringify(body), ...init }, at);
  expect(response.status).toBe(202);
  const job = (await response.json()) as Job;
  expect(response.headers.get('location')).toBe(`/v1/jobs/${job.id}`);
  return job;
};
const read = async ({ id }: Job, at = worker) => (await (await call(`/v1/jobs/${id}`, {}, at)).json()) as Job;
const ended = async (job: Job, status: string, at = worker): Promise<Job> => {
  let now = job;
  await until(`${status} of a job, which is ${JSON.stringify(now)}`, async () => {
    now = await read(job, at);
    return now.status === status;
  });
  return now;
};
const oops = { message: 'Out of memory at 0x7ffe.', type: 'server_error', param: null, code: 'failed' };

test('a job is told from its line to its images', async () => {
  service.pace = 120;
  const job = await submit({ prompt: 'a red apple', n: 2, size: '64x64', steps: 12 });
  expect(job).toMatchObject({ object: 'image.job', n: 2, model: 'Easel' });
  expect(job.id).toMatch(/^job_[0-9a-f]{32}$/);
  expect(['queued', 'running']).toContain(job.status);
  const steps: number[] = [];
  await until('some progress', async () => {
    const { status, step, steps: all, images } = await read(job);
    if (status === 'running') {
      expect(all).toBe(12);
      expect(images).toBeLessThan(2);
      steps.push(step!);
    }
    return steps.some((step) => step > 0) && images === 1;
  });
  const done = await ended(job, 'succeeded');
  expect(done).toMatchObject({
    size: '64x64',
    output_format: 'png',
    data: [{ seed: 7 }, { seed: 8 }],
    usage: { images: 2, steps: 24, input_tokens: 5, seconds: 0.5 },
  });
  expect(done.expires_at).toBeGreaterThan(Date.now() / 1000 + 3000);
  for (const { url } of done.data!) {
    const file = Buffer.from(await (await fetch(url)).arrayBuffer());
    expect(await sharp(file).metadata()).toMatchObject({ format: 'png', width: 64 });
  }
});

test('an edit as a job takes its image along', async () => {
  const image = await sharp({ create: { width: 80, height: 80, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  const body = new FormData();
  body.append('prompt', 'green');
  body.append('image', new File([new Uint8Array(image)], 'image.png'));
  const response = await call('/v1/images/edits?async=true', { method: 'POST', body });
  expect(response.status).toBe(202);
  await ended((await response.json()) as Job, 'succeeded');
  expect(Buffer.from(service.drawings.at(-1)!.image!, 'base64').equals(image)).toBe(true);
});

test('a job that is cancelled ends on the service, too, and stays cancelled', async () => {
  service.pace = 200;
  const { left } = service;
  const job = await submit({ prompt: 'a', steps: 100, size: '64x64' });
  await ended(job, 'running');
  for (let i = 0; i < 2; i++) {
    const cancelled = await call(`/v1/jobs/${job.id}`, { method: 'DELETE' });
    expect(cancelled.status).toBe(200);
    expect(await cancelled.json()).toMatchObject({ id: job.id, status: 'cancelled' });
  }
  await until('the end of the drawing', () => service.left > left);
  expect(await read(job)).toMatchObject({ status: 'cancelled' });
});

test('a job of someone else, and one that is none, is not there', async () => {
  const mine = { authorization: 'Bearer mine' };
  const job = await submit({ prompt: 'a', size: '64x64' }, { headers: mine });
  const others: [path: string, headers: Record<string, string>][] = [
    [`/v1/jobs/${job.id}`, { authorization: 'Bearer theirs' }],
    [`/v1/jobs/${job.id}`, {}],
    [`/v1/jobs/job_${'0'.repeat(32)}`, mine],
    ['/v1/jobs/job_1', mine],
    ['/v1/jobs/..%2F..%2Fx', mine],
    [`/v1/jobs/${'x'.repeat(5000)}`, mine],
  ];
  for (const [path, headers] of others) {
    for (const method of ['GET', 'DELETE']) {
      const response = await call(path, { method, headers });
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ error: { code: 'job_not_found' } });
    }
  }
  await until('its end', async () => {
    const response = await call(`/v1/jobs/${job.id}`, { headers: mine });
    return ((await response.json()) as Job).status === 'succeeded';
  });
});

test.each([
  ['?async=maybe', { prompt: 'a' }, /`async`/],
  ['?async=1', { prompt: 'a', stream: true }, /`stream` is not for a job/],
  ['?async=1', { prompt: 'a', response_format: 'b64_json' }, /`response_format` is not for a job/],
  ['?async=1', { prompt: 'a', n: 1000 }, /`n`/],
  ['?async=1', { prompt: 'a', model: 'nobody' }, /"nobody"/],
])('%s with %j is refused', async (query, body, sentence) => {
  const before = service.drawings.length;
  const response = await call(`/v1/images/generations${query}`, {
    method: 'POST',
    body: JSON.stringify(body),
  });
  expect(response.status).toBeGreaterThanOrEqual(400);
  expect(response.status).toBeLessThan(500);
  const { error } = (await response.json()) as { error: { message: string } };
  expect(error.message).toMatch(sentence);
  expect(service.drawings.length).toBe(before);
});

test('while the service is busy a job waits, and is drawn then', async () => {
  let refusals = 0;
  service.instead = (_, response) => {
    refusals++;
    refuse(response, 503, 'The line is full.', 1, 'overloaded');
    if (refusals === 2) service.instead = undefined;
  };
  const job = await submit({ prompt: 'a patient apple', size: '64x64' });
  await until('two refusals', () => refusals === 2);
  expect(['queued', 'succeeded']).toContain((await read(job)).status);
  expect((await ended(job, 'succeeded')).data).toHaveLength(1);
});

test('what the service refuses, and what goes wrong in it, is told by the job', async () => {
  service.instead = (_, response) => refuse(response, 400, 'The prompt is too long for this model.');
  const refused = await ended(await submit({ prompt: 'a', size: '64x64' }), 'failed');
  expect(refused.error?.message).toBe('The prompt is too long for this model.');
  service.instead = (_, response) => {
    response.write('{"type":"start","steps":1,"n":1,"seed":1}\n');
    response.end(`${JSON.stringify({ type: 'error', status: 500, error: oops })}\n`);
  };
  const failed = await ended(await submit({ prompt: 'a', size: '64x64' }), 'failed');
  expect(failed).toMatchObject({ error: { code: 'failed' } });
  expect(failed.data).toBeUndefined();
  service.instead = (_, response) => {
    response.write('{"type":"start","steps":1,"n":1,"seed":1}\n');
    setTimeout(() => response.destroy(), 20);
  };
  const broken = await ended(await submit({ prompt: 'a', size: '64x64' }), 'failed');
  expect(broken.error?.message).toMatch(/broke off/);
});

test('a job is not taken while the service is down', async () => {
  await service.down();
  try {
    const body = JSON.stringify({ prompt: 'a' });
    // The list of models may still be known from a moment ago: then the job waits instead.
    await until('a refusal', async () => {
      const response = await call('/v1/images/generations?async=1', { method: 'POST', body });
      if (response.status === 202) {
        const { id } = (await response.json()) as Job;
        await call(`/v1/jobs/${id}`, { method: 'DELETE' });
        return false;
      }
      expect(response.status).toBe(503);
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
      return true;
    });
  } finally {
    await service.up();
  }
});

test('twenty jobs at once are all drawn', async () => {
  const jobs = await Promise.all(
    Array.from({ length: 20 }, (_, seed) => submit({ prompt: `apple ${seed}`, seed, size: '64x64' })),
  );
  const done = await Promise.all(jobs.map((job) => ended(job, 'succeeded')));
  expect(done.map(({ data }) => data![0].seed)).toEqual(jobs.map((_, seed) => seed));
});

test('images and jobs expire, and a job whose drawing says no more has failed', async () => {
  const job = await ended(await submit({ prompt: 'a', size: '64x64' }, {}, brief), 'succeeded', brief);
  const { url } = job.data![0];
  expect((await fetch(url)).status).toBe(200);
  const direct = await call(
    '/v1/images/generations',
    { method: 'POST', body: JSON.stringify({ prompt: 'a', size: '64x64', response_format: 'url' }) },
    brief,
  );
  const answer = (await direct.json()) as { data: { url: string }[] };
  await ended(job, 'expired', brief);
  for (const address of [url, answer.data[0].url]) {
    await until('the end of the address', async () => (await fetch(address)).status !== 200);
    const response = await fetch(address);
    expect(response.status).toBe(410);
    expect(await response.json()).toMatchObject({ error: { code: 'expired' } });
  }
});

test('a job whose drawing broke off without a word has failed', async () => {
  // As a consumer of the queue that dies once it has taken the job.
  const jobs = await brief.objects('IMAGE_JOBS');
  const id = `job_${'0a'.repeat(16)}`;
  const object = jobs.get(jobs.idFromName(id)) as unknown as JobObject;
  const headers = { authorization: 'Bearer mine' };
  await object.create({
    ...{ id, caller: createHash('sha256').update('key Bearer mine').digest('hex'), group: '0b'.repeat(16) },
    ...{ request: { model: 'Easel', prompt: 'a', parameters: { n: 1, output_format: 'png' } }, inputs: [] },
  });
  expect(await object.claim()).toMatchObject({ request: { prompt: 'a' } });
  expect(await object.claim()).toBeUndefined();
  await until('its failure', async () => {
    const job = (await (await call(`/v1/jobs/${id}`, { headers }, brief)).json()) as Job;
    return job.status === 'failed' && job.error?.code === 'job_broke_off';
  });
});
