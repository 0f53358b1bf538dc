import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { AutoTokenizer, env } from '@huggingface/transformers';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { createEncoder, type Encoder } from '../../src/data/tokenizer/encoder.ts';
import {
  specialTokens,
  tokenizerConfigJson,
  tokenizerJson,
} from '../../src/data/tokenizer/tokenizer-json.ts';
import {
  type BpeModel,
  byteAlphabet,
  toByteAlphabet,
  trainBpe,
  wordPattern,
} from '../../src/data/tokenizer/train-bpe.ts';
import { story, temporaryFolder } from '../fixtures/tiny.ts';

/**
 * Byte-pair encoding as its paper tells it: count all pairs of neighbours in all words, merge the most frequent
 * everywhere, and again. Among equals the pair of smaller ids.
 */
function referenceMerges(
  texts: string[],
  vocabSize: number,
  specials: readonly string[],
  minFrequency: number,
): [string, string][] {
  const bytes = [...byteAlphabet].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
  const vocabulary = [...specials, ...bytes];
  let words = texts.flatMap((text) =>
    [...text.matchAll(wordPattern)].map(([word]) =>
      [...toByteAlphabet(word)].map((sign) => specials.length + bytes.indexOf(sign)),
    ),
  );
  const merges: [string, string][] = [];
  while (vocabulary.length < vocabSize) {
    const counts = new Map<string, number>();
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        const pair = `${word[i]},${word[i + 1]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    }
    const ranked = [...counts]
      .map(([pair, count]) => ({ pair: pair.split(',').map(Number), count }))
      .sort((a, b) => b.count - a.count || a.pair[0] - b.pair[0] || a.pair[1] - b.pair[1]);
    if (ranked.length === 0 || ranked[0].count < minFrequency) break;
    const [left, right] = ranked[0].pair;
    const merged = vocabulary.push(vocabulary[left] + vocabulary[right]) - 1;
    merges.push([vocabulary[left], vocabulary[right]]);
    words = words.map((word) => {
      const out: number[] = [];
      for (let i = 0; i < word.length; i++) {
        if (word[i] === left && word[i + 1] === right) {
          out.push(merged);
          i++;
        } else out.push(word[i]);
      }
      return out;
    });
  }
  return merges;
}

const train = (texts: string[], vocabSize: number, minFrequency = 2) =>
  trainBpe(texts, { vocabSize, specialTokens, minFrequency });

describe('merges', () => {
  it('equal those of the reference algorithm on random texts', async () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'b', 'c', ' ', 'é', '\n', '1', "'s"),
      maxLength: 60,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(text, { maxLength: 8 }),
        fc.integer({ min: 259, max: 300 }),
        fc.integer({ min: 1, max: 3 }),
        async (texts, size, minimum) => {
          expect((await train(texts, size, minimum)).merges).toEqual(
            referenceMerges(texts, size, specialTokens, minimum),
          );
        },
      ),
      { numRuns: 150 },
    );
  });

  it('equal those of the reference algorithm on stories', async () => {
    const texts = [1, 2, 3, 4, 5, 6].map((seed) => story(seed));
    const { merges } = await train(texts, 380);
    expect(merges).toEqual(referenceMerges(texts, 380, specialTokens, 2));
    expect(merges.length).toBeGreaterThan(60);
  });

  it('begin with the pairs that the example of the paper begins with', async () => {
    // low ×5, lower ×2, newest ×6, widest ×3 (Sennrich et al., 2016, algorithm 1), words parted by line breaks.
    const words = [
      ...Array(5).fill('low'),
      ...Array(2).fill('lower'),
      ...Array(6).fill('newest'),
      ...Array(3).fill('widest'),
    ];
    const { merges } = await train(words, 263);
    expect(merges.slice(0, 2)).toEqual([
      ['e', 's'],
      ['es', 't'],
    ]);
  });

  it('count no special token written in a text', async () => {
    const { vocabulary } = await train(Array(50).fill('<start><start>'), 400);
    expect(vocabulary).toHaveLength(259);
  });

  it('need room for the bytes', async () => {
    await expect(train(['a'], 258)).rejects.toThrow(/258 has no room: 3 special tokens and 256 bytes/);
  });
});

let model: BpeModel;
let encoder: Encoder;
let files: { tokenizer: object; config: object };
beforeAll(async () => {
  model = await train(
    [...Array(40).keys()].map((seed) => story(seed)),
    500,
  );
  files = { tokenizer: tokenizerJson(model), config: tokenizerConfigJson({ modelMaxLength: 64 }) };
  encoder = createEncoder(files.tokenizer, files.config);
});

const texts = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 60 }),
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc
    .array(
      fc.constantFrom(
        'The old',
        ' fox',
        '<start>',
        '<end>',
        '<s>',
        '\n\n',
        '  ',
        "don't",
        '😀',
        'é',
        'e\u0301',
        '\t',
        '42',
        '…',
      ),
      { maxLength: 20 },
    )
    .map((parts) => parts.join('')),
);

describe('encoding', () => {
  it('equals the library’s', () => {
    const library = new Tokenizer(files.tokenizer, files.config);
    fc.assert(
      fc.property(texts, (text) => {
        expect(encoder.encode(text)).toEqual(library.encode(text, { add_special_tokens: false }).ids);
      }),
      { numRuns: 500 },
    );
  });

  it('round-trips any text and any bytes that are text', () => {
    fc.assert(
      fc.property(texts, (text) => {
        expect(encoder.decode(encoder.encode(text))).toBe(text);
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
        expect(new TextEncoder().encode(encoder.decode(encoder.encode(text)))).toEqual(
          new TextEncoder().encode(text),
        );
      }),
      { numRuns: 300 },
    );
  });

  it('has a token for each byte, and learns to use fewer', () => {
    expect(byteAlphabet.every((sign) => model.vocabulary.includes(sign))).toBe(true);
    expect(encoder.encode(story(99)).length).toBeLessThan(story(99).length / 2);
    expect(['<s>', '<start>', '<end>'].map((token) => encoder.encode(token))).toEqual([[0], [1], [2]]);
  });
});

it('opens in Transformers.js with the same ids, text and chat', async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'tiny'));
  writeFileSync(join(folder, 'tiny', 'tokenizer.json'), JSON.stringify(files.tokenizer));
  writeFileSync(join(folder, 'tiny', 'tokenizer_config.json'), JSON.stringify(files.config));
  env.allowRemoteModels = false;
  env.localModelPath = folder;
  const theirs = await AutoTokenizer.from_pretrained('tiny');
  fc.assert(
    fc.property(texts, (text) => {
      expect(theirs.encode(text, { add_special_tokens: false })).toEqual(encoder.encode(text));
      expect(theirs.encode(text)).toEqual([0, ...encoder.encode(text)]);
    }),
  );
  const messages = [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'Hello' },
    { role: 'user', content: 'Go on' },
  ];
  expect(theirs.apply_chat_template(messages, { tokenize: false })).toBe(
    '<s>Hi<start>Hello<end>\nGo on<start>',
  );
  expect(() => theirs.apply_chat_template([{ role: 'wizard', content: 'x' }], { tokenize: false })).toThrow(
    /wizard/,
  );
});
