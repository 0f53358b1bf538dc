import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readingLevel } from '../../src/filtering/form/reading-level.ts';
import { type Started, startWorker } from './worker.ts';

const model = 'Llama-wick-3M';
const policyFile = new URL('../../src/filtering/default-policy.json', import.meta.url);
const policy = JSON.parse(readFileSync(policyFile, 'utf8')) as object;
let worker: Started;
let site: Started;
beforeAll(async () => {
  const answers = { style: 'concise', format: 'html', end_at_sentence: true };
  worker = await startWorker();
  site = await startWorker({ WICK_POLICY: JSON.stringify({ ...policy, answers }) });
});
afterAll(() => Promise.all([worker?.stop(), site?.stop()]));

interface Answer {
  choices: { text: string; message: { content: string }; finish_reason: string }[];
  usage: { completion_tokens: number };
  wick?: {
    reading_level?: number;
    trace?: { prompt: { text: string }[]; parameters: Record<string, unknown> };
  };
  error?: { message: string; param: string | null };
}
const messages = [{ role: 'user', content: 'Tell a story about a fox.' }];
const post = (path: string, body: object, at = worker) =>
  fetch(new URL(path, at.url), { method: 'POST', body: JSON.stringify({ model, ...body }) });
const chat = async (body: object, at = worker) =>
  (await (await post('/v1/chat/completions', { messages, ...body }, at)).json()) as Answer;
const contentOf = ({ choices }: Answer) => choices[0].message.content;
const streamed = async (path: string, body: object) => {
  const text = await (await post(path, { stream: true, ...body })).text();
  const chunks = [...text.matchAll(/^data: (\{.*)$/gm)].map(
    ([, json]) => JSON.parse(json) as { choices: { delta: { content?: string } }[] },
  );
  return chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
};

describe('format', () => {
  it('html is made of what the model writes, streamed as whole', async () => {
    const wish = { temperature: 0, max_tokens: 60 };
    // The model is told the same for both.
    const plain = contentOf(await chat({ ...wish, format: 'markdown' }));
    const html = contentOf(await chat({ ...wish, format: 'html' }));
    expect(html).toMatch(/^<p>[^<]+/);
    expect(html.replace(/<[^>]+>/g, '').slice(0, 40)).toBe(plain.trim().slice(0, 40));
    expect(await streamed('/v1/chat/completions', { ...wish, messages, format: 'html' })).toBe(html);
  });

  it('json holds the answer to JSON', async () => {
    const answer = await chat({ format: 'json', max_tokens: 40, seed: 2 });
    expect(JSON.parse(contentOf(answer))).toBeTypeOf('object');
  });

  it('is for people, too', async () => {
    const address =
      '/text?prompt=Once%20upon%20a%20time&format=html&end_at_sentence=true&max_tokens=60&seed=4';
    const text = await (await fetch(new URL(address, worker.url))).text();
    expect(text).toMatch(/^<p>[\s\S]*[.!?…”"]<\/p>\n$/);
  });
});

it('an answer that is cut ends at a sentence', async () => {
  const wish = { temperature: 0, max_tokens: 50 };
  const [cut, ended] = [await chat(wish), await chat({ ...wish, end_at_sentence: true })];
  expect(cut.choices[0].finish_reason).toBe('length');
  expect(ended.choices[0].finish_reason).toBe('length');
  expect(contentOf(ended)).toMatch(/[.!?…”"]\s*$/);
  expect(contentOf(cut).startsWith(contentOf(ended))).toBe(true);
  expect(contentOf(ended).length).toBeLessThan(contentOf(cut).length);
  expect(await streamed('/v1/chat/completions', { ...wish, messages, end_at_sentence: true })).toBe(
    contentOf(ended),
  );
});

it('a style is told to the model, and brings parameters that the request does not say', async () => {
  const { wick } = await chat({ style: 'formal', language: 'de', max_tokens: 4, trace: true });
  const prompt = wick!.trace!.prompt.map(({ text }) => text).join('');
  expect(prompt).toContain('formal and impersonal tone');
  expect(prompt).toContain('Answer in German.');
  expect(wick!.trace!.parameters).toMatchObject({ temperature: 0.5 });
  const own = await chat({ style: 'like a pirate', temperature: 0.9, max_tokens: 4, trace: true });
  expect(own.wick!.trace!.prompt.map(({ text }) => text).join('')).toContain('like a pirate');
  expect(own.wick!.trace!.parameters).toMatchObject({ temperature: 0.9 });
});

it('the easiest of three answers is taken, and how hard it is to read is told', async () => {
  const wish = { max_tokens: 30, seed: 5, max_reading_level: 1 };
  const answer = await chat(wish);
  expect(answer.choices).toHaveLength(1);
  expect(answer.wick!.reading_level).toBe(readingLevel(contentOf(answer)));
  expect(answer.usage.completion_tokens).toBe(90);
  const hard = await chat({ ...wish, max_reading_level: 18 });
  expect(hard.wick!.reading_level).toBeGreaterThanOrEqual(answer.wick!.reading_level!);
});

it('a site has usual forms, which a request changes', async () => {
  const usual = await chat({ temperature: 0, max_tokens: 50 }, site);
  expect(contentOf(usual)).toMatch(/^<p>[\s\S]*[.!?…”"]<\/p>$/);
  const asked = await chat({ temperature: 0, max_tokens: 50, format: 'plain', end_at_sentence: false }, site);
  expect(contentOf(asked)).not.toContain('<p>');
  // What does not fit is left, and what is asked for holds.
  const raw = await post('/v1/completions', { prompt: 'The fox', max_tokens: 5, logprobs: 1 }, site);
  expect(raw.status).toBe(200);
  expect(((await raw.json()) as Answer).choices[0].text).not.toContain('<');
});

it.each([
  [{ format: 'pdf' }, 'format'],
  [{ style: '' }, 'style'],
  [{ style: 'x'.repeat(501) }, 'style'],
  [{ style: 7 }, 'style'],
  [{ language: 'not a language' }, 'language'],
  [{ max_reading_level: 0 }, 'max_reading_level'],
  [{ max_reading_level: '4' }, 'max_reading_level'],
  [{ end_at_sentence: 'yes' }, 'end_at_sentence'],
  [{ format: 'html', logprobs: true }, 'format'],
  [{ end_at_sentence: true, logprobs: true }, 'end_at_sentence'],
  [{ format: 'html', regex: 'a+' }, 'format'],
])('%j is refused by name', async (fields, param) => {
  const response = await post('/v1/chat/completions', { messages, max_tokens: 4, ...fields });
  expect(response.status).toBe(400);
  expect(((await response.json()) as Answer).error!.param).toBe(param);
});

it.each(['style', 'language', 'max_reading_level'])('%s is for conversations', async (param) => {
  const value = { style: 'formal', language: 'de', max_reading_level: 3 }[param];
  const response = await post('/v1/completions', { prompt: 'The fox', max_tokens: 4, [param]: value });
  expect(response.status).toBe(400);
  expect(((await response.json()) as Answer).error).toMatchObject({ param });
});

it('responses have forms as well, and are kept in them', async () => {
  const wish = { input: 'Tell a story about a fox.', max_output_tokens: 40, temperature: 0, format: 'html' };
  const made = (await (await post('/v1/responses', wish)).json()) as {
    id: string;
    output: { content: { text: string }[] }[];
  };
  expect(made.output[0].content[0].text).toMatch(/^<p>/);
  const kept = (await (await fetch(new URL(`/v1/responses/${made.id}`, worker.url))).json()) as typeof made;
  expect(kept.output[0].content[0].text).toBe(made.output[0].content[0].text);
});
