import { AutoTokenizer, env, type PreTrainedTokenizer } from '@huggingface/transformers';
import { beforeAll, expect, it } from 'vitest';
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
  [ours, tokenizer] = await Promise.all([
    loadModelFolder(`${models}${id}`, { threads: 1 }),
    AutoTokenizer.from_pretrained(id),
  ]);
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
  const theirs = tokenizer.apply_chat_template(messages, {
    tokenize: false,
    add_generation_prompt: true,
  });
  expect(ours.tokenizer.applyChatTemplate(messages)).toBe(theirs);
});
