import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type GenerationEvent, type GenerationInput, generate } from '../../src/generation/generate.ts';
import type { TextModel } from '../../src/generation/model.ts';
import {
  completeParameters,
  type GenerationParameters,
  InvalidInputError,
} from '../../src/generation/parameters.ts';
import { bitsPerByte, scoringWindows } from '../../src/generation/scoring.ts';
import { createTextTokenizer } from '../../src/generation/text-tokenizer.ts';
import { loadModelFolder } from '../../src/service/model-folder.ts';

const folder = new URL('../../models/Llama-wick-3M', import.meta.url).pathname;
const json = (name: string) => JSON.parse(readFileSync(`${folder}/${name}`, 'utf8'));

let model: TextModel;
beforeAll(async () => {
  model = await loadModelFolder(folder, { threads: 1 });
});

async function collect(
  input: GenerationInput,
  parameters: Partial<GenerationParameters>,
  signal?: AbortSignal,
) {
  const events: GenerationEvent[] = [];
  for await (const event of generate(model, input, parameters, signal)) events.push(event);
  const deltas = events.filter((event) => event.type === 'delta');
  return {
    events,
    text: deltas.map(({ text }) => text).join(''),
    tokens: deltas.flatMap(({ tokens }) => tokens),
    done: events.at(-1) as Extract<GenerationEvent, { type: 'done' }>,
  };
}

describe('generate', () => {
  it('gives a start, deltas and a done that add up', async () => {
    const { events, text, tokens, done } = await collect(
      { text: 'Once upon a time' },
      { max_tokens: 40, temperature: 0 },
    );
    expect(events[0]).toEqual({
      type: 'start',
      prompt_tokens: done.usage.prompt_tokens,
    });
    expect(events.slice(1, -1).every(({ type }) => type === 'delta')).toBe(true);
    expect(done.usage.total_tokens).toBe(done.usage.prompt_tokens + done.usage.completion_tokens);
    expect(model.tokenizer.decode(tokens)).toBe(text);
    expect(text.length).toBeGreaterThan(40);
  });

  it('gives the same text for the same seed, another for another', async () => {
    const parameters = { max_tokens: 24, temperature: 1 };
    const at = async (seed: number) => (await collect({ text: 'The cat' }, { ...parameters, seed })).text;
    expect(await at(1)).toBe(await at(1));
    expect(await at(1)).not.toBe(await at(2));
  });

  it('stops at stop strings, stop tokens and the end of the context', async () => {
    const long = await collect({ text: 'Once upon a time' }, { max_tokens: 30, temperature: 0 });
    const stop = long.text.slice(12, 16);
    const cut = await collect({ text: 'Once upon a time' }, { max_tokens: 30, temperature: 0, stop: [stop] });
    expect(cut.text).toBe(long.text.slice(0, long.text.indexOf(stop)));
    expect(cut.done.finish_reason).toBe('stop');
    const token = await collect(
      { text: 'Once upon a time' },
      { max_tokens: 30, temperature: 0, stop_token_ids: [long.tokens[3]] },
    );
    expect(token.done.finish_reason).toBe('stop');
    expect(token.done.usage.completion_tokens).toBeLessThanOrEqual(4);
    const ban = Object.fromEntries([...model.endTokens].map((id) => [id, -100]));
    const full = await collect({ tokens: new Array(500).fill(300) }, { max_tokens: 100, logit_bias: ban });
    expect(full.done).toMatchObject({
      finish_reason: 'length',
      usage: { completion_tokens: 12 },
    });
  });

  it('refuses a prompt that fills the context, naming both numbers', async () => {
    await expect(collect({ tokens: new Array(600).fill(5) }, {})).rejects.toThrow(/600 tokens.*512/);
    await expect(collect({ tokens: new Array(600).fill(5) }, {})).rejects.toMatchObject({
      code: 'context_length_exceeded',
      param: 'prompt',
    });
  });

  it.each([
    [{ text: 'a\ud800b' }, /half of a surrogate pair/],
    [{ tokens: [] }, /empty/],
    [{ tokens: [4096] }, /Token 4096 is none/],
    [{ messages: [{ role: 'wizard', content: 'x' }] }, /role system, user or assistant/],
  ] as [GenerationInput, RegExp][])('refuses %j', async (input, message) => {
    await expect(collect(input, { max_tokens: 1 })).rejects.toThrow(message);
    await expect(collect(input, { max_tokens: 1 })).rejects.toBeInstanceOf(InvalidInputError);
  });

  it('ends within a step of an abort, and when its reader leaves', async () => {
    const stop = new AbortController();
    const events = generate(model, { text: 'Once' }, { max_tokens: 400, temperature: 0 }, stop.signal);
    await events.next();
    await events.next();
    stop.abort();
    await expect(events.next()).rejects.toThrow(/abort/i);
    const left = generate(model, { text: 'Once' }, { max_tokens: 400 });
    await left.next();
    await left.next();
    expect(await left.return(undefined)).toMatchObject({ done: true });
  });

  it('answers a conversation through the model’s template', async () => {
    const prompt = model.tokenizer.applyChatTemplate([{ role: 'user', content: 'Tell a story.' }]);
    expect(prompt).toBe('<s>Tell a story.<start>');
    const { text } = await collect(
      { messages: [{ role: 'user', content: 'Tell a story.' }] },
      { max_tokens: 8, temperature: 0 },
    );
    const { text: same } = await collect(
      { tokens: model.tokenizer.encode(prompt) },
      { max_tokens: 8, temperature: 0 },
    );
    expect(text).toBe(same);
  });
});

describe('parameters', () => {
  it.each([
    ['max_tokens', 0],
    ['max_tokens', -1],
    ['max_tokens', 1.5],
    ['max_tokens', 1e12],
    ['temperature', -0.1],
    ['temperature', Number.NaN],
    ['top_p', 0],
    ['top_p', 1.1],
    ['min_p', 2],
    ['top_k', -1],
    ['repetition_penalty', 0],
    ['presence_penalty', 3],
    ['seed', 0.5],
    ['stop', ['']],
    ['stop_token_ids', [9999]],
    ['logit_bias', { 9999: 1 }],
    ['logit_bias', { 1: 101 }],
  ])('%s may not be %j', (name, value) => {
    expect(() => completeParameters({ [name]: value }, {}, 4096)).toThrow(InvalidInputError);
    expect(() => completeParameters({ [name]: value }, {}, 4096)).toThrow(name);
  });

  it('fall back on the model’s, then on the defaults', () => {
    expect(
      completeParameters({ top_p: 0.5, seed: undefined }, { temperature: 0.8, top_p: 0.9 }, 10),
    ).toMatchObject({
      top_p: 0.5,
      temperature: 0.8,
      max_tokens: 256,
      seed: null,
    });
  });
});

describe('streamed text', () => {
  const tokenizer = createTextTokenizer(json('tokenizer.json'), json('tokenizer_config.json'));

  it('never breaks a character, and is the whole text in the end', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
        const decoder = tokenizer.streamDecoder();
        const pieces = tokenizer.encode(text).map((id) => decoder.push(id));
        expect(pieces.every((piece) => piece.isWellFormed() && !piece.includes('\ufffd'))).toBe(
          !text.includes('\ufffd'),
        );
        expect(pieces.join('') + decoder.end()).toBe(text);
      }),
      { numRuns: 300 },
    );
  });

  it('shows an unfinished character as U+FFFD at the end', () => {
    const decoder = tokenizer.streamDecoder();
    const [first] = tokenizer.encode('😀');
    expect(decoder.push(first)).toBe('');
    expect(decoder.end()).toContain('\ufffd');
  });

  it('is the same for tokenizers that are not byte-level', () => {
    const vocab = Object.fromEntries(
      ['<unk>', '▁The', '▁cat', 's', '▁', 'é', '<0xF0>', '<0x9F>', '<0x98>', '<0x80>'].map((token, id) => [
        token,
        id,
      ]),
    );
    const sentencepiece = createTextTokenizer(
      {
        version: '1.0',
        added_tokens: [],
        normalizer: null,
        pre_tokenizer: null,
        post_processor: null,
        decoder: {
          type: 'Sequence',
          decoders: [
            { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
            { type: 'ByteFallback' },
            { type: 'Fuse' },
            { type: 'Strip', content: ' ', start: 1, stop: 0 },
          ],
        },
        model: {
          type: 'BPE',
          vocab,
          merges: [],
          unk_token: '<unk>',
          byte_fallback: true,
        },
      },
      {},
    );
    const ids = [1, 2, 3, 4, 5, 6, 7, 8, 9, 2];
    const decoder = sentencepiece.streamDecoder();
    const pieces = ids.map((id) => decoder.push(id));
    expect(pieces.join('') + decoder.end()).toBe(sentencepiece.decode(ids));
    expect(pieces.slice(5, 8)).toEqual(['', '', '']);
  });
});

describe('bits per byte', () => {
  it('counts each token once, whatever the windows', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 2, max: 64 }), (length, context) => {
        const scored = scoringWindows(length, context).flatMap(({ from, end, start }) => {
          expect(end - start).toBeLessThanOrEqual(context);
          return Array.from({ length: end - from }, (_, i) => from + i);
        });
        expect(scored).toEqual(Array.from({ length: length - 1 }, (_, i) => i + 1));
      }),
    );
  });

  it('equals one token at a time', async () => {
    const text =
      'The old fox walked in the forest. "Hello," said the fox.\nIt was a very cold day, and nobody came.';
    const { createDecodingState } = await import('../../src/generation/kv-cache.ts');
    const ids = model.tokenizer.encode(text, { special: true });
    const state = createDecodingState(model);
    let nats = 0;
    for (let i = 0; i + 1 < ids.length; i++) {
      const logits = await state.step([ids[i]]);
      const largest = Math.max(...logits);
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
      nats += largest + Math.log(total) - logits[ids[i + 1]];
    }
    const score = await bitsPerByte(model, text);
    expect(score.tokens).toBe(ids.length - 1);
    expect(score.bytes).toBe(Buffer.byteLength(text));
    expect(score.bits_per_byte).toBeCloseTo(nats / Math.LN2 / score.bytes, 4);
  });
});
