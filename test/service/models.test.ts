import { cpSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { readEvents, type ServiceEvent } from '../../src/api/events.ts';
import { copyModel, modelsFolder, startTextService, type TextService, tokensOf } from './text-service.ts';

let own: TextService;
afterEach(() => own.service.drain(0));

const prompt = 'The old fox';
const size = (folder: string) => statSync(join(folder, 'onnx/model.onnx')).size;

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await condition()) return;
    await sleep(20);
  }
  throw new Error(`It never came to be: ${what}.`);
}

/** An answer that goes on for as long as it is not read. */
async function unread(model: string): Promise<() => Promise<ServiceEvent[]>> {
  const parameters = { max_tokens: 60, n: 32, temperature: 0, ignore_eos: true };
  const response = await own.ask('POST', '/v1/generate', { model, input: { text: prompt }, parameters });
  const events = readEvents(response.body!);
  const first = await events.next();
  return async () => {
    const list = [first.value as ServiceEvent];
    for await (const event of events) list.push(event);
    return list;
  };
}

describe('models', () => {
  it('are loaded when they are asked for, and those that are preloaded at the start', async () => {
    const folder = modelsFolder({ first: 'smollm2', second: 'qwen3', third: 'gpt2' });
    own = await startTextService(folder, { preload: ['third'] });
    const before = await own.fetch('/ready');
    if (before.status === 503) {
      expect(await before.json()).toEqual({ ready: false, reasons: ['third is being loaded.'] });
    }
    await own.service.preloaded;
    expect((await own.fetch('/ready')).status).toBe(200);
    expect(await own.states()).toEqual({ first: 'idle', second: 'idle', third: 'loaded' });
    expect((await own.generate('first', prompt)).at(-1)).toMatchObject({ type: 'done' });
    expect(await own.states()).toEqual({ first: 'loaded', second: 'idle', third: 'loaded' });
  });

  it('make room for each other, the longest unused first, and answer as alone however they are asked', async () => {
    const names = ['a', 'b', 'c', 'd'];
    const folder = modelsFolder({ a: 'smollm2', b: 'smollm2', c: 'smollm2', d: 'smollm2' });
    own = await startTextService(folder, { memory: 2.5 * size(join(folder, 'a')), preload: ['a'] });
    const alone = tokensOf(await own.generate('a', prompt));
    for (const name of ['b', 'c']) expect(tokensOf(await own.generate(name, prompt))).toEqual(alone);
    expect(await own.states()).toEqual({ a: 'loaded', b: 'idle', c: 'loaded', d: 'idle' });
    const wishes = Array.from({ length: 24 }, (_, i) => own.generate(names[i % 4], prompt));
    for (const events of await Promise.all(wishes)) expect(tokensOf(events)).toEqual(alone);
    const states = Object.values(await own.states());
    expect(states.filter((state) => state === 'loaded')).toHaveLength(2);
  });

  it('that do not fit, or are not there, are told at the start', async () => {
    const folder = modelsFolder({ a: 'smollm2', b: 'smollm2' });
    const bytes = size(join(folder, 'a'));
    await expect(startTextService(folder, { memory: 1.5 * bytes, preload: ['a'] })).rejects.toThrow(
      new RegExp(`too small: those that are preloaded take ${bytes}, and the largest other ${bytes}`),
    );
    await expect(startTextService(folder, { preload: ['x'] })).rejects.toThrow(/no model "x".*a, b/);
    own = await startTextService(folder);
  });

  it('are renewed while they answer: what runs is finished by the old, what comes is answered by the new', async () => {
    const folder = modelsFolder({ model: 'smollm2', gone: 'gpt2' });
    own = await startTextService(folder, { preload: true });
    await own.service.preloaded;
    const versions = async () => {
      const { data } = (await (await own.ask('GET', '/v1/models')).json()) as {
        data: { id: string; version: string }[];
      };
      return Object.fromEntries(data.map(({ id, version }) => [id, version]));
    };
    const before = await versions();
    const old = tokensOf(await own.generate('model', prompt));
    const running = await unread('model');
    for (const name of ['model', 'gone']) renameSync(join(folder, name), join(folder, `.${name}`));
    copyModel('qwen3', join(folder, 'model'));
    copyModel('gpt2', join(folder, 'new'));
    for (const name of ['.model', '.gone']) rmSync(join(folder, name), { recursive: true });
    await own.service.reload();
    const after = await versions();
    expect(Object.keys(after).sort()).toEqual(['model', 'new']);
    expect(after.model).not.toBe(before.model);
    const renewed = tokensOf(await own.generate('model', prompt));
    expect(renewed).not.toEqual(old);
    const events = await running();
    expect(events.at(-1)).toMatchObject({ type: 'done', usage: { completion_tokens: 32 * 60 } });
    const first = events.filter((event) => event.type === 'delta' && event.index === 0);
    expect(tokensOf(first).slice(0, old.length)).toEqual(old);
    expect((await own.generate('new', prompt)).at(-1)).toMatchObject({ type: 'done' });
    await expect(own.generate('gone', prompt)).rejects.toThrow(/404.*no model/);
  });

  it('stay as they are where their new files are broken', async () => {
    const folder = modelsFolder({ model: 'smollm2' });
    own = await startTextService(folder);
    const old = tokensOf(await own.generate('model', prompt));
    writeFileSync(join(folder, 'model/onnx/model.onnx'), 'This is no graph.');
    await own.service.reload();
    expect(own.notes.join('\n')).toMatch(/model stays as it was: .*not an ONNX model/);
    expect(tokensOf(await own.generate('model', prompt))).toEqual(old);
  });

  it('that cannot be loaded refuse in a sentence, keep nobody waiting, and come when they are mended', async () => {
    const folder = modelsFolder({ model: 'smollm2', other: 'qwen3' });
    const graph = join(folder, 'model/onnx/model.onnx');
    cpSync(graph, `${graph}.kept`);
    writeFileSync(graph, 'This is no graph.');
    own = await startTextService(folder);
    const refused = [own.generate('model', prompt), own.generate('model', prompt)];
    for (const [event] of await Promise.all(refused)) {
      expect(event).toMatchObject({ type: 'error', status: 503, error: { code: 'model_not_loaded' } });
      expect(JSON.stringify(event)).not.toContain(folder);
    }
    await expect(own.generate('model', prompt)).rejects.toThrow(/503.*Try again in about 1 s/);
    expect((await own.generate('other', prompt)).at(-1)).toMatchObject({ type: 'done' });
    renameSync(`${graph}.kept`, graph);
    await sleep(1100);
    expect((await own.generate('model', prompt)).at(-1)).toMatchObject({ type: 'done' });
  });
});

describe('a thread that dies', () => {
  it('fails what it did, comes again, and others never notice', async () => {
    const folder = modelsFolder({ mortal: 'smollm2', other: 'qwen3' });
    const textWorker = new URL('./mortal-worker.ts', import.meta.url);
    own = await startTextService(folder, { preload: true, textWorker });
    await own.service.preloaded;
    const alone = tokensOf(await own.generate('mortal', prompt));
    const beside = await unread('other');
    const running = await unread('mortal');
    const killed = own.generate('mortal', `${prompt} dies now`, { max_tokens: 60, n: 32 });
    const waiting = own.generate('mortal', prompt);
    for (const lost of [await killed, await running()]) {
      expect(lost.at(-1)).toMatchObject({
        type: 'error',
        status: 503,
        error: { code: 'model_restarting' },
      });
    }
    expect(tokensOf(await waiting)).toEqual(alone);
    expect((await beside()).at(-1)).toMatchObject({ type: 'done' });
    expect(own.notes.join('\n')).toMatch(/mortal broke off: It was killed\.\n.*starts in 1 s/);
    // The next pause is longer, for it died soon.
    await own.generate('mortal', 'dies now', { max_tokens: 60, n: 32 });
    expect(own.notes.join('\n')).toMatch(/starts in 2 s/);
    await until('a third thread', async () => (await own.states()).mortal === 'loaded');
  });
});

describe('the end', () => {
  it('is said by /ready while running streams are finished', async () => {
    own = await startTextService(modelsFolder({ model: 'smollm2' }), { preload: true });
    const running = await unread('model');
    const drained = own.service.drain(20_000);
    const ready = await own.fetch('/ready');
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({ reasons: ['The service is about to end.'] });
    await expect(own.generate('model', prompt)).rejects.toThrow(/503.*takes no more requests/);
    expect((await running()).at(-1)).toMatchObject({ type: 'done' });
    await drained;
  });
});

describe('/metrics', () => {
  const value = (text: string, name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);

  it('adds up with the answers', async () => {
    own = await startTextService(modelsFolder({ model: 'smollm2', idle: 'gpt2' }), {
      metricsToken: 'a token',
    });
    const answers = await Promise.all(
      [1, 2, 3].map((i) => own.generate('model', prompt, { max_tokens: 10 * i })),
    );
    await own.generate('model', prompt, { max_tokens: -1 }).catch(() => {});
    await until('four entries', () => own.log.length === 4);
    // The engine tells its figures now and then.
    await sleep(600);
    const response = await own.fetch('/metrics', { headers: { authorization: 'Bearer a token' } });
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const text = await response.text();
    for (const line of text.trimEnd().split('\n'))
      expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? -?[\d.e+-]+)$/);
    const own_ = '\\{model="model"\\}';
    expect(value(text, `wick_generated_tokens_total${own_}`)).toBe(60);
    const prompts = answers.map(([start]) => (start.type === 'start' ? start.prompt_tokens : NaN));
    expect(value(text, `wick_prompt_tokens_total${own_}`)).toBe(prompts.reduce((a, b) => a + b));
    expect(value(text, `wick_time_to_first_token_seconds_count${own_}`)).toBe(3);
    // The first event of an answer may have several tokens, whose characters are whole only then.
    const first = answers.map((events) => events.find((event) => event.type === 'delta')!.tokens.length);
    const later = 60 - first.reduce((a, b) => a + b);
    expect(value(text, `wick_inter_token_seconds_count${own_}`)).toBe(later);
    const buckets = [...text.matchAll(/^wick_inter_token_seconds_bucket\{.*\} (\d+)$/gm)].map((m) =>
      Number(m[1]),
    );
    expect(buckets).toEqual([...buckets].sort((a, b) => a - b));
    expect(buckets.at(-1)).toBe(later);
    expect(value(text, 'wick_requests_total\\{route="/v1/generate",status="200"\\}')).toBe(3);
    expect(value(text, 'wick_requests_total\\{route="/v1/generate",status="400"\\}')).toBe(1);
    // Tokens that were proposed and accepted are not decoded one by one.
    expect(value(text, `wick_decoded_tokens_total${own_}`)).toBeGreaterThan(0);
    expect(value(text, `wick_turns_total${own_}`)).toBeGreaterThan(0);
    expect(value(text, `wick_batch_size${own_}`)).toBe(0);
    const cached = answers
      .map((events) => events.at(-1)!)
      .map((done) => (done.type === 'done' ? done.usage : undefined));
    const sum = cached.reduce((all, usage) => all + (usage?.prompt_tokens_details?.cached_tokens ?? NaN), 0);
    expect(value(text, `wick_cached_tokens_total${own_}`) || 0).toBe(sum);
    expect(value(text, `wick_model_loaded${own_}`)).toBe(1);
    expect(value(text, 'wick_model_loaded\\{model="idle"\\}')).toBe(0);
    expect(value(text, 'process_resident_memory_bytes')).toBeGreaterThan(1e7);
  });

  it('is for who has the token, or signs', async () => {
    own = await startTextService(modelsFolder({ model: 'smollm2' }), { metricsToken: 'a token' });
    expect((await own.fetch('/metrics')).status).toBe(401);
    const wrong = { authorization: 'Bearer another' };
    expect((await own.fetch('/metrics', { headers: wrong })).status).toBe(401);
    expect((await own.ask('GET', '/metrics')).status).toBe(200);
  });
});
