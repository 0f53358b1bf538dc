import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readServerSentEvents, type ServerSentEvent } from '../../src/api/server-sent-events.ts';

/** A body of these bytes, cut at these places. */
function bodyOf(bytes: Uint8Array, cuts: readonly number[] = []): ReadableStream<Uint8Array> {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return new ReadableStream({
    start(controller) {
      for (let i = 1; i < places.length; i++) controller.enqueue(bytes.slice(places[i - 1], places[i]));
      controller.close();
    },
  });
}
async function read(text: string, cuts?: readonly number[], limit = 10_000): Promise<ServerSentEvent[]> {
  const events: ServerSentEvent[] = [];
  const body = bodyOf(new TextEncoder().encode(text), cuts);
  for await (const event of readServerSentEvents(body, limit)) events.push(event);
  return events;
}

it('reads the same events however the bytes are cut and lines end', async () => {
  const line = fc.string({ unit: 'binary', maxLength: 8 }).map((text) => text.replace(/[\r\n]/g, '·'));
  const event = fc.record({
    comment: fc.option(line, { nil: undefined }),
    event: fc.constantFrom('message', 'error'),
    data: fc.array(line, { minLength: 1, maxLength: 3 }),
  });
  const ending = fc.constantFrom('\n', '\r', '\r\n');
  const cuts = fc.array(fc.nat(500), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 4 }), ending, cuts, async (events, end, cuts) => {
      const lines = events.flatMap(({ comment, event, data }) => [
        ...(comment === undefined ? [] : [`: ${comment}`]),
        ...(event === 'message' ? [] : [`event: ${event}`]),
        ...data.map((each) => `data: ${each}`),
        '',
      ]);
      const text = lines.map((each) => each + end).join('');
      expect(await read(text, cuts)).toEqual(
        events.map(({ event, data }) => ({ event, data: data.join('\n') })),
      );
    }),
    { numRuns: 300 },
  );
});

it('knows the forms that servers have', async () => {
  expect(await read('\ufeffdata:a\n\ndata\n\nid: 1\nretry: 5\n\n: ping\n\ndata: b:c\n\n')).toEqual(
    ['a', '', 'b:c'].map((data) => ({ event: 'message', data })),
  );
  expect(await read('data: whole\n\ndata: cut off')).toEqual([{ event: 'message', data: 'whole' }]);
});

it('lets no event grow without an end, in one line or in many', async () => {
  await expect(read(`data: ${'x'.repeat(200)}\n\n`, [], 100)).rejects.toThrow(/more than 100 characters/);
  await expect(read('data: xxx\n'.repeat(50), [50, 250], 100)).rejects.toThrow(/more than 100 characters/);
  expect(await read('data: xxx\n\n'.repeat(50), [], 100)).toHaveLength(50);
});
