/** A learnt vocabulary in Hugging Face's files: tokenizer.json and tokenizer_config.json. */
import type { BpeModel } from './train-bpe.ts';

/** The special tokens of wick's own models: text begins, an instruction ends, an answer ends. */
export const specialTokens = ['<s>', '<start>', '<end>'] as const;

/** tokenizer.json: byte-level BPE cut into words as GPT-2 does, with the first special token put before a text. */
export function tokenizerJson({ specialTokens, vocabulary, merges }: BpeModel): object {
  const [bos] = specialTokens;
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [
        { SpecialToken: { id: bos, type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
        { Sequence: { id: 'B', type_id: 1 } },
      ],
      special_tokens: { [bos]: { id: bos, ids: [0], tokens: [bos] } },
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
      merges,
    },
  };
}

// One exchange reads INSTRUCTION<start>RESPONSE<end>; a system message stands before the instruction.
const chatTemplate = [
  '{{ bos_token }}',
  '{%- for message in messages -%}',
  "{%- if message['role'] == 'system' -%}{{ message['content'] + '\n' }}",
  "{%- elif message['role'] == 'user' -%}{{ message['content'] + '<start>' }}",
  "{%- elif message['role'] == 'assistant' -%}{{ message['content'] + '<end>\n' }}",
  "{%- else -%}{{ raise_exception('A message has the role system, user or assistant, not ' + message['role'] + '.') }}",
  '{%- endif -%}',
  '{%- endfor -%}',
].join('');

/** tokenizer_config.json, with the chat template. `modelMaxLength` is the model's context in tokens. */
export function tokenizerConfigJson({ modelMaxLength }: { modelMaxLength: number }): object {
  const [bos, , end] = specialTokens;
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    model_max_length: modelMaxLength,
    bos_token: bos,
    eos_token: end,
    pad_token: end,
    clean_up_tokenization_spaces: false,
    chat_template: chatTemplate,
  };
}
