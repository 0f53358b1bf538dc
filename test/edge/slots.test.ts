import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createSlots } from '../../src/edge/slots.ts';

const here = new AbortController().signal;
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

test('never are more held than there are places, and whoever waits is served in turn', async () => {
  const size = fc.integer({ min: 1, max: 4 });
  await fc.assert(
    fc.asyncProperty(size, fc.integer({ min: 1, max: 8 }), async (places, callers) => {
      const slots = createSlots({ places, line: 8, life: 10_000 });
      const order: number[] = [];
      await Promise.all(
        Array.from({ length: callers }, async (_, i) => {
          const slot = await slots.take(here);
          order.push(i);
          expect(slots.taken).toBeLessThanOrEqual(places);
          await pause(1);
          slot!.release();
          slot!.release();
        }),
      );
      expect(order).toEqual([...order].sort((a, b) => a - b));
      expect([slots.taken, slots.waiting]).toEqual([0, 0]);
    }),
    { numRuns: 10 },
  );
});

test('a full line turns away, and who leaves it makes room', async () => {
  const slots = createSlots({ places: 1, line: 1, life: 10_000 });
  const slot = await slots.take(here);
  const leaving = new AbortController();
  const waiting = slots.take(leaving.signal);
  expect(await slots.take(here)).toBeUndefined();
  leaving.abort(new Error('gone'));
  await expect(waiting).rejects.toThrow('gone');
  const next = slots.take(here);
  slot!.release();
  expect(await next).toBeDefined();
});

test('a holder that gives no sign of life loses the slot; one that does keeps it', async () => {
  const slots = createSlots({ places: 1, line: 4, life: 100 });
  const first = await slots.take(here);
  const second = slots.take(here);
  for (let i = 0; i < 10; i++) {
    await pause(20);
    first!.renew();
  }
  expect(slots.waiting).toBe(1);
  expect(await second).toBeDefined();
  first!.release();
  expect(slots.taken).toBe(1);
});
