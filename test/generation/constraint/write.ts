/** Answers under a constraint without a model: logits are drawn, so that an answer goes wherever it may go. */
import { readFileSync } from 'node:fs';
import { createRandom } from '../../../src/data/random.ts';
import { constrainAnswer } from '../../../src/generation/constraint/constrained-answer.ts';
import type { Constraint } from '../../../src/generation/constraint/constraint.ts';
import { defaultParameters } from '../../../src/generation/parameters.ts';
import { createSampler } from '../../../src/generation/sampler.ts';
import { createTextTokenizer, type TextTokenizer } from '../../../src/generation/text-tokenizer.ts';

export interface Vocabulary {
  vocabSize: number;
  tokenizer: TextTokenizer;
  ends: ReadonlySet<number>;
}

const folder = new URL('../../../models/Llama-wick-3M/', import.meta.url);
const json = (name: string) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as object;

/** The shipped model's: byte-level, 4,096 tokens. */
export const shipped: Vocabulary = {
  vocabSize: 4096,
  tokenizer: createTextTokenizer(json('tokenizer.json'), json('tokenizer_config.json')),
  ends: new Set([2]),
};

/** SentencePiece's form: words with signs for spaces, and bytes to fall back on. */
export const sentencePiece: Vocabulary = (() => {
  const words = [
    '{',
    '}',
    '"',
    '":',
    '\u2581"',
    '\u2581{',
    '\u2581',
    'na',
    'me',
    '\u2581the',
    'true',
    '12',
    '\u2581[',
    ',',
    'é',
    '"}',
  ];
  const vocab = ['<unk>', '<s>', '</s>', ...Array.from({ length: 256 }, (_, i) => byteToken(i)), ...words];
  const tokenizer = {
    added_tokens: ['<unk>', '<s>', '</s>'].map((content, id) => ({
      ...{ id, content, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
    })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '\u2581' },
        { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '\u2581' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(vocab.map((token, id) => [token, id])),
      merges: [],
      byte_fallback: true,
      unk_token: '<unk>',
      fuse_unk: true,
    },
  };
  return {
    vocabSize: vocab.length,
    tokenizer: createTextTokenizer(tokenizer, { unk_token: '<unk>', bos_token: '<s>', eos_token: '</s>' }),
    ends: new Set([2]),
  };
})();

function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}

export interface Written {
  text: string;
  tokens: number;
  /** Whether the answer is complete. */
  complete: boolean;
  steered: boolean;
}

/** Logits without sense, one list for all: each step begins in it at another place. */
const noise = Float32Array.from({ length: 65_536 }, createNoise());
function createNoise(): () => number {
  const random = createRandom(1);
  return () => random() * 8;
}

/** @param limit tokens at most */
export function write(constraint: Constraint, seed: number, limit = 120, vocabulary = shipped): Written {
  const { tokenizer, vocabSize, ends } = vocabulary;
  const random = createRandom(seed);
  const answer = constrainAnswer(vocabulary, constraint, ends, limit);
  const sampler = createSampler({ ...defaultParameters, seed }, [], undefined, undefined, answer);
  const decoder = tokenizer.streamDecoder();
  let [text, tokens, ended] = ['', 0, false];
  while (tokens < limit && !ended && !answer.finished) {
    const from = Math.floor(random() * (noise.length - vocabSize));
    const logits = noise.slice(from, from + vocabSize);
    const token = sampler.next(logits);
    tokens++;
    ended = ends.has(token);
    if (!ended) text += decoder.push(token);
  }
  text += decoder.end();
  return { text, tokens, complete: ended || answer.finished || answer.mayEnd, steered: answer.steered };
}
