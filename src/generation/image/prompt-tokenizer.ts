/** Prompts as the token ids of a text encoder: a start, the words, an end, filled up to the encoder's length. */
import { Tokenizer } from '@huggingface/tokenizers';
import { InvalidInputError } from '../parameters.ts';

export interface PromptTokens {
  ids: number[];
  /** 1 for tokens, 0 for what the list is filled up with. */
  mask: number[];
}

/**
 * Tokens of a prompt.
 * @param param the field that an error names
 * @throws InvalidInputError telling both numbers if the prompt is longer than the encoder reads
 */
export type PromptTokenizer = (prompt: string, param?: string) => PromptTokens;

/** The files of a tokenizer folder, as far as they are there. */
export interface TokenizerFiles {
  'tokenizer.json'?: object;
  'tokenizer_config.json'?: object;
  'vocab.json'?: object;
  /** merges.txt as it stands. */
  'merges.txt'?: string;
}

interface Config {
  model_max_length?: number;
  pad_token?: string | { content: string } | null;
  eos_token?: string | { content: string } | null;
}

/**
 * A tokenizer from tokenizer.json, or from vocab.json and merges.txt as CLIP's folders have them.
 * @param length tokens that the text encoder takes
 * @throws Error if neither is there
 */
export function createPromptTokenizer(files: TokenizerFiles, length?: number): PromptTokenizer {
  const config = (files['tokenizer_config.json'] ?? {}) as Config;
  const json = files['tokenizer.json'] ?? clipTokenizer(files);
  const tokenizer = new Tokenizer(json, { ...config });
  const limit = length ?? Math.min(config.model_max_length ?? 77, 1024);
  const [end, pad] = [config.eos_token, config.pad_token].map((token) =>
    typeof token === 'object' ? token?.content : token,
  );
  const fill = tokenizer.token_to_id(pad ?? end ?? '<|endoftext|>') ?? 0;
  return (prompt, param = 'prompt') => {
    if (!prompt.isWellFormed()) {
      throw new InvalidInputError(
        'The prompt is not well-formed Unicode: it holds half of a surrogate pair.',
        { param },
      );
    }
    const { ids } = tokenizer.encode(prompt, { add_special_tokens: true });
    if (ids.length > limit) {
      throw new InvalidInputError(
        `The ${param === 'prompt' ? 'prompt' : 'negative prompt'} has ${ids.length} tokens, its start and end counted; the model reads ${limit}.`,
        { param, code: 'context_length_exceeded' },
      );
    }
    const rest = limit - ids.length;
    return {
      ids: [...ids, ...Array<number>(rest).fill(fill)],
      mask: [...Array<number>(ids.length).fill(1), ...Array<number>(rest).fill(0)],
    };
  };
}

/**
 * CLIP's tokenizer (Radford et al., 2021) as a tokenizer.json: lower case, words cut at white space, letters, single
 * digits and other signs, byte-level BPE whose words end in `</w>`.
 */
function clipTokenizer(files: TokenizerFiles): object {
  const vocab = files['vocab.json'] as Record<string, number> | undefined;
  const text = files['merges.txt'];
  if (!vocab || text === undefined) {
    throw new Error('The tokenizer folder has neither tokenizer.json nor vocab.json with merges.txt.');
  }
  const merges = text
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#version'))
    .map((line) => line.trim().split(' '));
  const [start, end] = ['<|startoftext|>', '<|endoftext|>'];
  for (const token of [start, end]) {
    if (vocab[token] === undefined) throw new Error(`vocab.json lacks CLIP's token ${token}.`);
  }
  const special = (content: string) => ({
    id: vocab[content],
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [special(start), special(end)],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'NFC' },
        { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' },
        { type: 'Lowercase' },
      ],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        {
          type: 'Split',
          pattern: { Regex: "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+" },
          behavior: 'Removed',
          invert: true,
        },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: {
      type: 'RobertaProcessing',
      sep: [end, vocab[end]],
      cls: [start, vocab[start]],
      trim_offsets: false,
      add_prefix_space: false,
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: end,
      continuing_subword_prefix: '',
      end_of_word_suffix: '</w>',
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges,
    },
  };
}
