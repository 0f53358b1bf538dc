import { afterEach, expect, it } from 'vitest';
import { createModelHost, type EventStream, type ModelHost } from '../../src/service/model-host.ts';
import { createModelMemory } from '../../src/service/model-memory.ts';
import type { WorkEvent } from '../../src/service/worker-messages.ts';

const folder = new URL('../../models/Llama-wick-3M', import.meta.url).pathname;
let host: ModelHost;
afterEach(() => host?.close());

async function start(maxConcurrent: number, readerPatience: number): Promise<void> {
  const memory = createModelMemory(Infinity);
  const own = { memory, bytes: 0, pinned: true };
  host = createModelHost(folder, { ...own, threads: 1, maxConcurrent, maxQueue: 4, readerPatience });
  await host.want();
}
/** Far more events than may be on their way. */
const long = {
  input: { text: 'Once upon a time' },
  parameters: { max_tokens: 100, n: 8, seed: 1, ignore_eos: true },
};
const short = { input: { text: 'The cat' }, parameters: { max_tokens: 5, temperature: 0 } };

const admit = (work: typeof long | typeof short) => host.admit(work) as EventStream;
async function rest(events: EventStream): Promise<WorkEvent[]> {
  const list: WorkEvent[] = [];
  for await (const event of events) list.push(event);
  return list;
}
const tokensOf = (events: WorkEvent[]) =>
  Array.from({ length: long.parameters.n }, (_, index) =>
    events.flatMap((event) => (event.type === 'delta' && event.index === index ? event.tokens : [])),
  );

it('a reader who stops holds up its own answer alone, and finds all of it when it goes on', async () => {
  await start(2, 60_000);
  const slow = admit(long);
  const begun = [(await slow.next()).value!, (await slow.next()).value!];
  for (let i = 0; i < 3; i++) expect((await rest(admit(short))).at(-1)).toMatchObject({ type: 'done' });
  expect(host.load()).toEqual({ running: 1, queued: 0 });
  const whole = [...begun, ...(await rest(slow))];
  expect(whole.at(-1)).toMatchObject({ type: 'done', usage: { completion_tokens: 800 } });
  expect(tokensOf(whole)).toEqual(tokensOf(await rest(admit(long))));
});

it('a reader who stays away loses the place to the next, and is told so', async () => {
  await start(1, 400);
  const away = admit(long);
  await away.next();
  const next = await rest(admit(short));
  expect(next.at(-1)).toMatchObject({ type: 'done' });
  // It has stood in line for as long as the other was waited for.
  expect(next[0]).toMatchObject({ type: 'start', timings: { queue: expect.any(Number) } });
  expect(next[0].type === 'start' && next[0].timings!.queue).toBeGreaterThan(0);
  const found = await rest(away);
  expect(found.length).toBeLessThanOrEqual(256);
  expect(found.at(-1)).toMatchObject({ type: 'error', status: 408, error: { code: 'not_read' } });
});
