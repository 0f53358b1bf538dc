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
    done: {
      ...(events.at(-1) as Extract<GenerationEvent, { type: 'done' }>),
      finish_reason: events.flatMap((event) => (event.type === 'end' ? [event.finish_reason] : []))[0],
    },
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
      timings: { queue: 0, tokenize: expect.any(Number) },
    });
    expect(events.slice(1, -2).every(({ type }) => type === 'delta')).toBe(true);
    expect(events.at(-2)).toEqual({ type: 'end', index: 0, finish_reason: 'length' });
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

  it('writes choices one after the other, each as it would be alone with its seed', async () => {
    const parameters = { max_tokens: 12, temperature: 1, seed: 7 };
    const { events } = await collect({ text: 'The cat' }, { ...parameters, n: 3 });
    const textOf = (of: number) =>
      events.map((event) => (event.type === 'delta' && event.index === of ? event.text : '')).join('');
    for (const index of [0, 1, 2]) {
      const alone = await collect({ text: 'The cat' }, { ...parameters, seed: 7 + index });
      expect(textOf(index)).toBe(alone.text);
    }
    expect(events.filter(({ type }) => type === 'end')).toHaveLength(3);
    expect(events.at(-1)).toMatchObject({ type: 'done', usage: { completion_tokens: 36 } });
  });

  it('tells how likely the tokens at the end were that write nothing', async () => {
    const mark = { max_tokens: 3, top_logprobs: 0, logit_bias: { 1: 100 } };
    const { events, text, done } = await collect({ text: 'Once' }, mark);
    const told = events.flatMap((event) => (event.type === 'delta' ? event.logprobs! : []));
    expect({ text, told: told.length }).toEqual({ text: '', told: 3 });
    expect(done.usage.completion_tokens).toBe(3);
  });

  it('gives the likeliest of those it has written', async () => {
    const parameters = { max_tokens: 12, temperature: 1.5, seed: 7, top_logprobs: 0 };
    const mean = ({ events }: { events: GenerationEvent[] }, index = 0) => {
      const told = events.flatMap((event) =>
        event.type === 'delta' && event.index === index ? (event.logprobs ?? []) : [],
      );
      return told.reduce((sum, { logprob }) => sum + logprob!, 0) / told.length;
    };
    const alone = await Promise.all(
      [0, 1, 2, 3].map(async (i) => mean(await collect({ text: 'The cat' }, { ...parameters, seed: 7 + i }))),
    );
    const best = await collect({ text: 'The cat' }, { ...parameters, n: 2, best_of: 4 });
    const wanted = [...alone].sort((a, b) => b - a);
    expect(mean(best, 0)).toBeCloseTo(wanted[0], 5);
    expect(mean(best, 1)).toBeCloseTo(wanted[1], 5);
    expect(best.done.usage.completion_tokens).toBe(48);
  });

  it('tells how likely tokens were: of an echoed prompt what scoring says', async () => {
    const text = 'Once upon a time, there was a little fox who liked to sing.';
    const { events } = await collect({ text }, { max_tokens: 0, echo: true, top_logprobs: 3 });
    const told = events.flatMap((event) => (event.type === 'delta' ? event.logprobs! : []));
    const said = events.map((event) => (event.type === 'delta' ? event.text : '')).join('');
    expect(said).toBe(text);
    expect(told[0]).toMatchObject({ logprob: null, top: [] });
    const nats = -told.slice(1).reduce((sum, { logprob }) => sum + logprob!, 0);
    const score = await bitsPerByte(model, text);
    expect(nats / Math.LN2 / score.bytes).toBeCloseTo(score.bits_per_byte, 4);
    for (const { logprob, top, bytes, text: token } of told.slice(1)) {
      expect(top.map((each) => each.logprob)).toEqual(
        [...top.map((each) => each.logprob!)].sort((a, b) => b - a),
      );
      expect(top).toHaveLength(3);
      expect(top[0].logprob).toBeGreaterThanOrEqual(logprob!);
      expect(new TextDecoder().decode(Uint8Array.from(bytes))).toBe(token);
    }
    expect(events.at(-1)).toMatchObject({ type: 'done', usage: { completion_tokens: 0 } });
    // Of what it writes at temperature 0, each token is the likeliest; the sampler changes nothing of what is told.
    const plain = await collect({ text }, { max_tokens: 8, temperature: 0, top_logprobs: 2 });
    const odd = { temperature: 0.3, top_k: 1, presence_penalty: 0 };
    const again = await collect({ text }, { max_tokens: 8, top_logprobs: 2, ...odd });
    const likely = ({ events }: { events: GenerationEvent[] }) =>
      events.flatMap((event) => (event.type === 'delta' ? event.logprobs! : []));
    expect(likely(again)).toEqual(likely(plain));
    for (const { id, logprob, top } of likely(plain)) expect(top[0]).toMatchObject({ id, logprob });
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
    ['max_tokens', -1],
    ['n', 0],
    ['n', 129],
    ['best_of', 0],
    ['echo', 'yes'],
    ['top_logprobs', 21],
    ['max_tokens', 1.5],
    ['max_tokens', 1e12],
    ['temperature', -0.1],
    ['temperature', Number.NaN],
    ['top_p', -0.1],
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
