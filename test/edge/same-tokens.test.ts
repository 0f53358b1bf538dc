import { AutoModelForCausalLM, AutoTokenizer, env, type Tensor } from '@huggingface/transformers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { prompts } from '../fixtures/prompts.ts';
import { type ServiceProcess, startService } from '../fixtures/service.ts';
import { type Started, secret, startWorker } from './worker.ts';

const id = 'Llama-wick-3M';
const tokens = 64;

env.allowRemoteModels = false;
env.localModelPath = new URL('../../models/', import.meta.url).pathname;

let service: ServiceProcess;
let worker: Started;
beforeAll(async () => {
  service = await startService();
  worker = await startWorker({ WICK_SERVICE_URL: service.url, WICK_SECRET: secret });
});
afterAll(async () => {
  await worker?.stop();
  await service?.stop();
});

interface Answer {
  choices: { text: string; finish_reason: string }[];
  usage: { completion_tokens: number };
}

async function ask(prompt: string, placement: 'edge' | 'service'): Promise<{ text: string; count: number }> {
  const response = await fetch(new URL('/v1/completions', worker.url), {
    method: 'POST',
    body: JSON.stringify({ model: id, prompt, placement, max_tokens: tokens, temperature: 0 }),
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('x-wick-placement')).toBe(placement);
  const { choices, usage } = (await response.json()) as Answer;
  return { text: choices[0].text, count: usage.completion_tokens };
}

test('edge, service and Transformers.js write the same 64 tokens after each of 20 prompts', async () => {
  const tokenizer = await AutoTokenizer.from_pretrained(id);
  const transformers = await AutoModelForCausalLM.from_pretrained(id, { dtype: 'fp32', device: 'cpu' });
  for (const prompt of prompts) {
    const inputs = tokenizer(prompt);
    const output = (await transformers.generate({
      ...inputs,
      max_new_tokens: tokens,
      do_sample: false,
    })) as Tensor;
    const written = (output.tolist() as (number | bigint)[][])[0].map(Number).slice(inputs.input_ids.dims[1]);
    const theirs = { text: tokenizer.decode(written, { skip_special_tokens: true }), count: written.length };
    expect(await ask(prompt, 'edge'), prompt).toEqual(theirs);
    expect(await ask(prompt, 'service'), prompt).toEqual(theirs);
  }
  await transformers.dispose();
});
