import { afterEach, beforeEach, expect, test } from 'vitest';
import { type IsolateMemory, measureIsolate } from '../../src/edge/isolate-memory.ts';
import { type Started, startWorker } from './worker.ts';

/**
 * Bytes: of the 128 MB that an isolate may have. What reads texts and follows automata leaves garbage, which counts here
 * until V8 has collected it.
 */
const bound = 122_000_000;
/** Six automata leave it faster than it is collected, and every text of their schemas is filtered and judged. */
const constrainedBound = 126_000_000;

let worker: Started;
// Each begins with an isolate of its own: garbage counts, and what one leaves behind is not the next one's.
beforeEach(async () => {
  worker = await startWorker({}, true);
});
afterEach(() => worker?.stop());

/** The most memory that the isolate holds at any look until the work is done. */
async function peakWhile(work: Promise<unknown>, pause = 20): Promise<IsolateMemory> {
  let working = true;
  const done = work.finally(() => {
    working = false;
  });
  done.catch(() => {});
  let peak = await measureIsolate(worker);
  let looks = 0;
  for (; working; looks++) {
    const now = await measureIsolate(worker);
    if (now.total > peak.total) peak = now;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  await done;
  expect(looks).toBeGreaterThan(1);
  return peak;
}

/** Goes on from 400 tokens for some more. */
const generate = async (max_tokens: number) => {
  const prompt = Array.from({ length: 400 }, (_, i) => 300 + i);
  const wish = { model: 'Llama-wick-3M', prompt, temperature: 0, max_tokens, logit_bias: { 2: -100 } };
  const response = await fetch(new URL('/v1/completions', worker.url), {
    method: 'POST',
    body: JSON.stringify(wish),
  });
  return (await response.json()) as { usage: { completion_tokens: number } };
};

const judge = async (input: string): Promise<number> => {
  const url = new URL('/v1/moderations', worker.url);
  const response = await fetch(url, { method: 'POST', body: JSON.stringify({ input }) });
  await response.arrayBuffer();
  return response.status;
};

test('the isolate stays under 122 MB, loaded and with every place generating to the end of the context', async () => {
  const before = await measureIsolate(worker);
  expect(before.wasm).toBe(0);
  await generate(1);
  const after = await measureIsolate(worker);
  expect(after.wasm).toBeGreaterThan(15_000_000);
  // The weights are in the linear memory, and not in a buffer besides.
  expect(after.buffers).toBeLessThan(before.buffers);
  expect(after.total).toBeLessThan(bound);

  // The classifier is there, too, and judges meanwhile.
  await judge('A quiet day.');
  const judging = judge('The fox wanted the whole cake, and said so. '.repeat(2_000));
  const generations = Promise.all(Array.from({ length: 5 }, () => generate(100)));
  const peak = await peakWhile(generations);
  for (const { usage } of await generations) expect(usage.completion_tokens).toBe(100);
  expect(await judging).toBe(200);
  expect(peak.total, JSON.stringify(peak)).toBeLessThan(bound);
});

test('the isolate stays under 122 MB when texts are far too long, by whatever door', async () => {
  const text = 'Once upon a time, there was a fox. '.repeat(25_000);
  const model = 'Llama-wick-3M';
  const doors: [string, object, number][] = [
    ['/v1/completions', { model, prompt: text }, 400],
    ['/v1/chat/completions', { model, messages: [{ role: 'user', content: text }] }, 400],
    ['/v1/embeddings', { model, input: [text] }, 400],
    ['/tokenize', { model, prompt: text }, 400],
    ['/tokenize', { model, prompt: text.slice(0, 100_000) }, 200],
  ];
  const answers = (async () => {
    for (const [path, body, status] of doors) {
      const response = await fetch(new URL(path, worker.url), { method: 'POST', body: JSON.stringify(body) });
      const answer = await response.text();
      expect([path, response.status, answer.slice(0, 300)]).toEqual([path, status, expect.anything()]);
    }
  })();
  const peak = await peakWhile(answers, 5);
  expect(peak.total, JSON.stringify(peak)).toBeLessThan(bound);
});

test('the isolate stays under 126 MB with six constraints in use at once', async () => {
  const prompt = Array.from({ length: 300 }, (_, i) => 300 + i);
  const schemas = Array.from({ length: 6 }, (_, i) => ({
    type: 'object',
    properties: {
      a: { type: 'string', maxLength: 50 + 300 * i },
      b: { enum: Array.from({ length: 100 * i + 1 }, (_, j) => `value ${i} ${j}`) },
      c: { type: 'array', items: { type: 'object' } },
    },
    required: ['a', 'b', 'c'],
  }));
  const answers = schemas.map(async (schema, i) => {
    const json_schema = { name: 'a', schema };
    const response = await fetch(new URL('/v1/completions', worker.url), {
      method: 'POST',
      body: JSON.stringify({
        ...{ model: 'Llama-wick-3M', prompt, seed: i, temperature: 2, max_tokens: 80 },
        response_format: { type: 'json_schema', json_schema },
      }),
    });
    const { choices } = (await response.json()) as { choices: { text: string }[] };
    expect(Object.keys(JSON.parse(choices[0].text) as object)).toEqual(['a', 'b', 'c']);
  });
  const peak = await peakWhile(Promise.all(answers));
  expect(peak.total, JSON.stringify(peak)).toBeLessThan(constrainedBound);
}, 180_000);
