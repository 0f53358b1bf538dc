import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createModelMemory, type Tenant } from '../../src/service/model-memory.ts';

/** A tenant whose work is done as soon as it may begin. */
function tenant(bytes: number, pinned: boolean, memory: ReturnType<typeof createModelMemory>) {
  let [there, held, queued, running, asked, used] = [false, false, 0, 0, false, 0];
  const own: Tenant & { ask(): void; finish(): void; queued(): number } = {
    bytes,
    pinned,
    load: () => ({ running, queued }),
    lastUsed: () => used,
    hold(on) {
      held = on;
      begin();
    },
    async leave() {
      expect(running).toBe(0);
      expect(pinned).toBe(false);
      there = false;
      await Promise.resolve();
      if (queued > 0) enter();
    },
    ask() {
      queued++;
      used = ++clock;
      enter();
      begin();
    },
    finish() {
      running = 0;
      begin();
      memory.settle();
    },
    queued: () => queued,
  };
  function enter(): void {
    if (there || asked) return;
    asked = true;
    void memory.room(own).then(() => {
      [asked, there, held] = [false, true, false];
      begin();
    });
  }
  function begin(): void {
    if (!there || held || running > 0 || queued === 0) return;
    queued--;
    running = 1;
  }
  return own;
}
let clock = 0;

it('never gives more than there is, and room to everyone in the end, in whatever order they ask', async () => {
  const bytes = fc.integer({ min: 1, max: 10 });
  const asks = fc.array(fc.tuple(fc.nat(5), fc.boolean()), { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(
      bytes,
      fc.array(bytes, { minLength: 2, maxLength: 6 }),
      asks,
      async (pin, sizes, steps) => {
        const budget = pin + Math.max(...sizes);
        const memory = createModelMemory(budget, 0);
        const tenants = [tenant(pin, true, memory), ...sizes.map((size) => tenant(size, false, memory))];
        const look = async () => {
          for (let i = 0; i < 8; i++) await Promise.resolve();
          expect(memory.used()).toBeLessThanOrEqual(budget);
        };
        for (const [which, finishing] of steps) {
          const chosen = tenants[which % tenants.length];
          if (finishing) chosen.finish();
          else chosen.ask();
          await look();
        }
        for (let round = 0; round < 1000 && tenants.some((each) => each.queued() > 0); round++) {
          for (const each of tenants) each.finish();
          await look();
          // One that waits is looked at again after its patience.
          if (round % 20 === 19) await new Promise((resolve) => setTimeout(resolve, 2));
        }
        expect(tenants.map((each) => each.queued())).toEqual(tenants.map(() => 0));
      },
    ),
    { numRuns: 60 },
  );
});
