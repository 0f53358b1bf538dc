/** A tokenizer learnt from captions: lower case, each caption between a start and an end, filled up to one length. */
import { createEncoder } from '../tokenizer/encoder.ts';
import { readTokenizer } from '../tokenizer/read-tokenizer.ts';
import { tokenizerJson } from '../tokenizer/tokenizer-json.ts';
import { trainBpe } from '../tokenizer/train-bpe.ts';

const specialTokens = ['<pad>', '<start>', '<end>'];

/** tokenizer.json and tokenizer_config.json, in Hugging Face's form. */
export interface TokenizerFiles {
  tokenizer: object;
  tokenizerConfig: object;
}

/** Learns a byte-level vocabulary of at most `vocabSize` tokens. */
export async function trainCaptionTokenizer(
  captions: Iterable<string>,
  vocabSize: number,
  contextLength: number,
): Promise<TokenizerFiles> {
  const words = (function* () {
    for (const caption of captions) yield spaced(caption);
  })();
  const model = await trainBpe(words, { vocabSize, specialTokens });
  const special = (token: string) => ({ SpecialToken: { id: token, type_id: 0 } });
  const tokenizer = {
    ...tokenizerJson(model),
    normalizer: { type: 'Lowercase' },
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    post_processor: {
      type: 'TemplateProcessing',
      single: [special('<start>'), { Sequence: { id: 'A', type_id: 0 } }, special('<end>')],
      pair: [
        special('<start>'),
        { Sequence: { id: 'A', type_id: 0 } },
        special('<end>'),
        { Sequence: { id: 'B', type_id: 1 } },
      ],
      special_tokens: Object.fromEntries(
        ['<start>', '<end>'].map((token) => [
          token,
          { id: token, ids: [specialTokens.indexOf(token)], tokens: [token] },
        ]),
      ),
    },
  };
  return { tokenizer, tokenizerConfig: configOf(contextLength) };
}

/**
 * The tokenizer of a tokenizer.json or its folder, for captions of `contextLength` tokens.
 * @throws Error if it is not one of captions
 */
export function readCaptionTokenizer(place: string, contextLength: number): TokenizerFiles {
  const { tokenizer } = readTokenizer(place, specialTokens);
  return { tokenizer, tokenizerConfig: configOf(contextLength) };
}

function configOf(contextLength: number): object {
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    model_max_length: contextLength,
    bos_token: '<start>',
    eos_token: '<end>',
    pad_token: '<pad>',
    clean_up_tokenization_spaces: false,
  };
}

/** Ids of a caption with its start and end, cut to `length` and filled up with pads. */
export function captionEncoder(
  { tokenizer, tokenizerConfig }: TokenizerFiles,
  length: number,
): (caption: string) => BigInt64Array {
  const encoder = createEncoder(tokenizer, tokenizerConfig);
  const [pad, start, end] = specialTokens.map((token) => encoder.encode(token)[0]);
  return (caption) => {
    const ids = caption ? encoder.encode(spaced(caption)) : [];
    const out = new BigInt64Array(length).fill(BigInt(pad));
    const whole = [start, ...ids.slice(0, length - 2), end];
    for (const [i, id] of whole.entries()) out[i] = BigInt(id);
    return out;
  };
}

// Every word has its space before it, the first one too: a word is the same tokens wherever it stands.
const spaced = (caption: string) => ` ${caption.toLowerCase().trim()}`;
