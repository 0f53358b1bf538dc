/** Names and addresses on the doors of the Worker, where the site's policy acts on them. */
import { renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readServerSentEvents } from '../../src/api/server-sent-events.ts';
import { roteModel } from '../fixtures/rote-model.ts';
import { type ServiceProcess, startService } from '../fixtures/service.ts';
import { type Started, secret, startWorker } from './worker.ts';

const template = `{% for message in messages %}{{ message.content }}\n{% endfor %}<answer>`;
const policy = {
  version: 1,
  name: 'names',
  rules: [
    { entities: ['person_name'], action: 'replace' },
    { entities: ['street_address'], action: 'mask' },
  ],
  examples: [
    { text: 'My name is Maria Gonzalez.', direction: 'input', gives: 'My name is [PERSON_NAME_1].' },
  ],
};

let service: ServiceProcess;
let worker: Started;
beforeAll(async () => {
  const pieces = [
    'I am Mar',
    'ia Gon',
    'zalez and I',
    ' live at 4512 Oak',
    ' Street, Spring',
    'field, IL 62704',
    '. Call me.',
  ];
  const folder = roteModel({ template, pieces });
  const named = join(dirname(folder), 'telling');
  renameSync(folder, named);
  service = await startService('--models', named);
  worker = await startWorker({
    ...{ WICK_SERVICE_URL: service.url, WICK_SECRET: secret, WICK_POLICY: JSON.stringify(policy) },
  });
});
afterAll(async () => {
  await worker?.stop();
  await service?.stop();
});

const post = (path: string, body: object, to = worker) =>
  fetch(new URL(path, to.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
const messages = [{ role: 'user', content: 'Who are you?' }];

it('they are found in an answer, whole and in pieces alike', async () => {
  const whole = await post('/v1/chat/completions', { model: 'telling', messages });
  const { choices } = (await whole.json()) as { choices: { message: { content: string } }[] };
  const { content } = choices[0].message;
  expect(content).toBe(`I am [PERSON_NAME_1] and I live at ${'*'.repeat(38)}. Call me.`);
  const streamed = await post('/v1/chat/completions', { model: 'telling', messages, stream: true });
  let text = '';
  for await (const { data } of readServerSentEvents(streamed.body!, 1e6)) {
    if (data === '[DONE]') break;
    const { choices } = JSON.parse(data) as { choices: { delta: { content?: string } }[] };
    text += choices[0]?.delta.content ?? '';
  }
  expect(text).toBe(content);
});

it('they are found in what comes in, and stand in no error', async () => {
  const prompt = 'Maria Gonzalez lives at 4512 Oak Street, Springfield, IL 62704.';
  const read = await post('/tokenize', { model: 'Llama-wick-3M', prompt, return_token_strs: true });
  const { token_strs } = (await read.json()) as { token_strs: string[] };
  const text = token_strs.join('');
  expect(text).toContain('[PERSON_NAME_1]');
  expect(text).not.toMatch(/Gonzalez|Oak|62704/);
  const wrong = await post('/v1/completions', { model: 'Maria Gonzalez', prompt });
  expect([wrong.status, await wrong.text()]).toEqual([404, expect.not.stringContaining('Gonzalez')]);
  const nowhere = await post('/v1/Maria%20Gonzalez', {});
  expect(await nowhere.text()).not.toContain('Gonzalez');
});

it('nothing is let through where an example of the policy does not come true', async () => {
  const examples = [{ text: 'It is a fine day.', direction: 'input', gives: 'It is [PERSON_NAME_1].' }];
  const broken = await startWorker({ WICK_POLICY: JSON.stringify({ ...policy, examples }) });
  try {
    const answer = await post('/tokenize', { model: 'Llama-wick-3M', prompt: 'Once upon a time' }, broken);
    expect([answer.status, await answer.json()]).toMatchObject([
      400,
      { error: { code: 'content_filter', message: expect.stringContaining('could not be checked') } },
    ]);
  } finally {
    await broken.stop();
  }
});
