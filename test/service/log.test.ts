/** What the service writes while it is used well and badly: lines of JSON, and no word of what was asked or answered. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { readEvents } from '../../src/api/events.ts';
import { startService } from '../fixtures/service.ts';
import { tinyImageModel } from '../fixtures/tiny-images.ts';

const words = ['Zanzibar', 'xylophone', 'quagmire'];
const prompt = words.join(' ');
const model = 'Llama-wick-3M';
const generate = (input: object, parameters: object = {}) => ({
  model,
  input,
  parameters: { max_tokens: 12, seed: 1, ...parameters },
});

it('tells of each request how it went, and nothing of what it said', async () => {
  const image = await tinyImageModel();
  const service = await startService('--json', '--models', `models/${model}`, image);
  const read = async (path: string, body: unknown) => (await service.ask('POST', path, body)).text();
  const answer = await read('/v1/generate', generate({ text: prompt }));
  const stop = new AbortController();
  const left = await service.ask(
    'POST',
    '/v1/generate',
    generate({ text: prompt }, { max_tokens: 400, n: 8 }),
    stop.signal,
  );
  await readEvents(left.body!).next();
  stop.abort();
  await read('/v1/generate', generate({ tokens: new Array(600).fill(5) }));
  await read('/v1/generate', generate({ text: prompt }, { regex: prompt, [words[0]]: 1 }));
  await read('/v1/generate', `{"model": "${prompt}`);
  await read('/v1/generate', { ...generate({ text: prompt }), model: prompt });
  await read(`/v1/${words[0]}`, {});
  await fetch(`${service.url}/${words[0]}?${words[1]}`);
  await read('/v1/tasks', { model, task: { task: 'embed', inputs: [{ text: prompt }] } });
  await read('/v1/draw', {
    model: image.split('/').at(-1),
    prompt: words[0],
    parameters: { num_inference_steps: 1 },
  });
  await sleep(100);
  await service.stop();

  const text = answer
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { text?: string }).text ?? '')
    .join('');
  const told = text.split(/\W+/).filter((word) => word.length > 5);
  expect(told.length).toBeGreaterThan(0);
  const entries = service.log.map((line) => JSON.parse(line) as Record<string, unknown>);
  for (const line of service.log) for (const word of [...words, ...told]) expect(line).not.toContain(word);

  const of = (path: string) => entries.filter((entry) => entry.path === path);
  expect(of('/v1/generate')[0]).toEqual({
    time: expect.any(String),
    method: 'POST',
    path: '/v1/generate',
    status: 200,
    id: expect.any(String),
    model,
    prompt_tokens: expect.any(Number),
    tokens: 12,
    cached_tokens: 0,
    queue_ms: expect.any(Number),
    first_token_ms: expect.any(Number),
    ms: expect.any(Number),
  });
  const outcomes = of('/v1/generate').map(({ status, error }) => [status, error]);
  expect(outcomes).toContainEqual([499, 'caller_left']);
  expect(outcomes).toContainEqual([400, 'context_length_exceeded']);
  expect(outcomes).toContainEqual([400, 'unknown_parameter']);
  expect(outcomes).toContainEqual([400, 'invalid_json']);
  expect(outcomes).toContainEqual([404, 'model_not_found']);
  expect(of('other').map(({ status }) => status)).toEqual([404, 404]);
  expect(of('/v1/tasks')[0]).toMatchObject({ status: 200, model });
  expect(of('/v1/draw')[0]).toMatchObject({ status: 200, images: 1 });
});
