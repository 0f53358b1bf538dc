import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DrawEvent } from '../../src/api/draw.ts';
import type { DrawStream, Job } from '../../src/service/image-job.ts';
import type { Drawing } from '../../src/service/image-messages.ts';
import { createImageQueue, type ImageQueue } from '../../src/service/image-queue.ts';

const lost = {
  type: 'error',
  status: 503,
  error: { message: '', type: 'server_error', param: null, code: null },
} as const;

/** A queue whose thread is the test. */
function setUp(maxQueue = 3) {
  const asked: { id: number; index: number }[] = [];
  const cancelled: number[] = [];
  const queue = createImageQueue({
    maxQueue,
    draw: (id, { index }) => asked.push({ id, index }),
    cancel: (id) => cancelled.push(id),
  });
  queue.setReady(true);
  const finish = () => queue.receive(asked.at(-1)!.id, image(asked.at(-1)!.index));
  return { queue, asked, cancelled, finish };
}

const image = (index: number) =>
  ({ type: 'image', index, seed: 0, b64_json: '', format: 'png', width: 1, height: 1 }) as const;

function admit(queue: ImageQueue, n = 1): { job: Job; events: DrawStream } {
  const admitted = queue.admit({ n, seed: 0, steps: 4 });
  if ('retryAfter' in admitted) throw new Error('It is full.');
  queue.prepared(admitted.job, (index) => ({ index }) as Drawing);
  return admitted;
}

const types = ({ events }: Job) => events.map(({ type }) => type);
const places = ({ events }: Job) =>
  events.filter((event) => event.type === 'queued').map(({ place }) => place);

async function take(events: DrawStream, count: number): Promise<DrawEvent[]> {
  const taken: DrawEvent[] = [];
  for (let i = 0; i < count; i++) taken.push((await events.next()).value as DrawEvent);
  return taken;
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('turns', () => {
  it('go round image by image', async () => {
    const { queue, asked, finish } = setUp();
    const jobs = [admit(queue, 3), admit(queue), admit(queue, 2)];
    const owner = () => jobs.findIndex(({ job }) => types(job).at(-1) === 'start' || job.drawn > 0);
    expect(owner()).toBe(0);
    for (let i = 0; i < 6; i++) {
      finish();
      for (const { events, job } of jobs) await take(events, job.events.length);
    }
    expect(asked.map(({ index }) => index)).toEqual([0, 0, 0, 1, 1, 2]);
    expect(queue.load()).toMatchObject({ running: 0, queued: 0 });
  });

  it('wait for a reader who has two images to take', async () => {
    const { queue, asked, finish } = setUp();
    const slow = admit(queue, 5);
    finish();
    finish();
    expect(asked).toHaveLength(2);
    const other = admit(queue);
    expect(asked).toHaveLength(3);
    finish();
    expect(types(other.job).at(-1)).toBe('done');
    expect(types(slow.job)).toEqual(['start', 'image', 'image']);
    await take(slow.events, 2);
    expect(asked).toHaveLength(4);
  });

  it('come from a job only when what it was given is decoded', () => {
    const { queue, asked } = setUp();
    const admitted = queue.admit({ n: 1, seed: 0, steps: 1 }) as { job: Job };
    admit(queue);
    expect(asked).toHaveLength(1);
    expect(places(admitted.job)).toEqual([1]);
  });
});

describe('places', () => {
  it('are told when they change, with the seconds until then', () => {
    const { queue, finish } = setUp();
    admit(queue);
    vi.advanceTimersByTime(4000);
    finish();
    expect(queue.load().seconds_per_image).toBe(4);
    admit(queue);
    const [first, second] = [admit(queue).job, admit(queue).job];
    vi.advanceTimersByTime(1000);
    expect(first.events).toEqual([{ type: 'queued', place: 1, seconds: 4 }]);
    expect(second.events).toEqual([{ type: 'queued', place: 2, seconds: 8 }]);
    vi.advanceTimersByTime(3000);
    finish();
    expect(types(first)).toEqual(['queued', 'start']);
    expect(second.events).toEqual([{ type: 'queued', place: 1, seconds: 4 }]);
  });

  it('are given free by a reader who leaves, even before its first event', async () => {
    const { queue, asked, cancelled } = setUp();
    const [drawn, left, next] = [admit(queue), admit(queue), admit(queue)];
    await left.events.return();
    expect(places(next.job)).toEqual([1]);
    await drawn.events.return();
    expect(cancelled).toEqual([asked[0].id]);
    expect(asked).toHaveLength(1);
    queue.receive(asked[0].id, undefined);
    expect(asked).toHaveLength(2);
    expect(types(next.job).at(-1)).toBe('start');
    expect(queue.load()).toMatchObject({ running: 1, queued: 0 });
  });
});

describe('the bound', () => {
  it('is one that is drawn and those that wait', () => {
    const { queue, finish } = setUp(2);
    for (let i = 0; i < 3; i++) admit(queue);
    expect(queue.admit({ n: 1, seed: 0, steps: 1 })).toEqual({ retryAfter: 30 });
    finish();
    expect(queue.admit({ n: 1, seed: 0, steps: 1 })).not.toHaveProperty('retryAfter');
  });

  it('gives the place of a reader who takes nothing to another, after a while', () => {
    const { queue, finish } = setUp(0);
    const { job } = admit(queue, 5);
    finish();
    finish();
    expect(queue.admit({ n: 1, seed: 0, steps: 1 })).toHaveProperty('retryAfter');
    vi.advanceTimersByTime(121_000);
    admit(queue);
    expect(job.events.at(-1)).toMatchObject({ type: 'error', status: 408 });
  });
});

describe('events', () => {
  it('give way to newer ones of their kind until they are read', () => {
    const { queue, asked } = setUp();
    const { job } = admit(queue);
    for (let step = 1; step <= 100; step++) {
      queue.receive(asked[0].id, { type: 'progress', index: 0, step, steps: 100 });
    }
    expect(job.events).toEqual([
      expect.objectContaining({ type: 'start' }),
      { type: 'progress', index: 0, step: 100, steps: 100 },
    ]);
  });

  it('of a drawing that was lost are not taken for those of the next', () => {
    const { queue, asked } = setUp();
    const [first, second] = [admit(queue).job, admit(queue).job];
    queue.setReady(false, lost);
    expect(types(first)).toEqual(['start', 'error']);
    expect(asked).toHaveLength(1);
    queue.setReady(true);
    expect(asked).toHaveLength(2);
    queue.receive(asked[0].id, image(0));
    expect(types(second)).toEqual(['queued', 'start']);
  });

  it('end for all where there will be no thread', () => {
    const { queue } = setUp();
    const jobs = [admit(queue).job, admit(queue).job];
    queue.setReady(false, lost);
    queue.failAll(lost);
    expect(jobs.map((job) => types(job).at(-1))).toEqual(['error', 'error']);
    expect(queue.load()).toMatchObject({ running: 0, queued: 0 });
  });
});
