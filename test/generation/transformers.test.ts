import { AutoModelForCausalLM, AutoTokenizer, env, type PreTrainedTokenizer, type Tensor } from '@huggingface/transformers';
import { beforeAll, expect, it } from 'vitest';
import { generate } from '../../src/generation/generate.ts';
import type { TextModel } from '../../src/generation/model.ts';
import { loadModelFolder } from '../../src/service/model-folder.ts';
import { prompts } from '../fixtures/prompts.ts';

const models = new URL('../../models/', import.meta.url).pathname;
const id = 'Llama-wick-3M';

env.allowRemoteModels = false;
env.localModelPath = models;

let ours: TextModel;
let tokenizer: PreTrainedTokenizer;
beforeAll(async () => {
  [ours, tokenizer] = await Promise.all([loadModelFolder(`${models}${id}`, { threads: 1 }), AutoTokenizer.from_pretrained(id)]);
});

it('writes the same 64 tokens as Transformers.js after each of 20 prompts', async () => {
  const theirs = await AutoModelForCausalLM.from_pretrained(id, { dtype: 'fp32', device: 'cpu' });
  for (const prompt of prompts) {
    const tokens: number[] = [];
    for await (const event of generate(ours, { text: prompt }, { max_tokens: 64, temperature: 0 })) {
      if (event.type === 'delta') tokens.push(...event.tokens);
    }
    const inputs = tokenizer(prompt);
    const output = (await theirs.generate({ ...inputs, max_new_tokens: 64, do_sample: false })) as Tensor;
    const all = (output.tolist() as (number | bigint)[][])[0].map(Number);
    const written = all.slice(inputs.input_ids.dims[1]);
    // The end token is no text: theirs keeps it, ours tells it as the reason of the end.
    expect(tokens, prompt).toEqual(written.filter((token) => token !== 2));
  }
  await theirs.dispose();
});

it('reads and writes text as Transformers.js does', () => {
  for (const text of [...prompts, 'Ünïcode “quotes” 😀 don’t\n\n  tabs\t<start>x<end>\n', '']) {
    expect(ours.tokenizer.encode(text, { special: true }), text).toEqual(tokenizer.encode(text));
    const ids = tokenizer.encode(text);
    expect(ours.tokenizer.decode(ids)).toBe(tokenizer.decode(ids, { skip_special_tokens: true }));
  }
});

it('formats a conversation as Transformers.js does', () => {
  const messages = [
    { role: 'system', content: 'Write simply.' },
    { role: 'user', content: 'Tell a story about a fox.' },
    { role: 'assistant', content: 'There was a fox.' },
    { role: 'user', content: 'Go on.' },
  ];
  const theirs = tokenizer.apply_chat_template(messages, { tokenize: false, add_generation_prompt: true });
  expect(ours.tokenizer.applyChatTemplate(messages)).toBe(theirs);
});
