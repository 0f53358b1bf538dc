/** Text to token ids by `@huggingface/tokenizers`, with the ids of words remembered: text repeats its words. */
import { Tokenizer } from '@huggingface/tokenizers';
import { wordPattern } from './train-bpe.ts';

export interface Encoder {
  /** Ids of a text; special tokens written in it are taken as such, and none is added. */
  encode(text: string): number[];
  decode(ids: number[]): string;
}

const CACHE_LIMIT = 1_000_000;

/**
 * The encoder of a tokenizer.json with GPT-2's words. Equal to the library's `encode` without added tokens, but
 * each different word goes through it only once.
 */
export function createEncoder(tokenizer: object, config: object): Encoder {
  const library = new Tokenizer(tokenizer, config);
  const specials = [...library.get_added_tokens_decoder().values()].map(({ content }) => content);
  const pattern = specials.map((token) => token.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|');
  const splitter = new RegExp(`(${pattern})`, 'u');
  const words = new Map<string, number[]>(specials.map((token) => [token, [library.token_to_id(token)!]]));
  const idsOf = (word: string): number[] => {
    const known = words.get(word);
    if (known) return known;
    const { ids } = library.encode(word, { add_special_tokens: false });
    if (words.size < CACHE_LIMIT) words.set(word, ids);
    return ids;
  };
  return {
    encode(text) {
      const out: number[] = [];
      for (const [i, part] of text.split(splitter).entries()) {
        // Odd parts are the special tokens that the splitter caught.
        for (const word of i % 2 === 1 ? [part] : (part.match(wordPattern) ?? [])) {
          for (const id of idsOf(word)) out.push(id);
        }
      }
      return out;
    },
    // The library takes an empty list for a mistake.
    decode: (ids) =>
      ids.length === 0
        ? ''
        : library.decode(ids, { skip_special_tokens: false, clean_up_tokenization_spaces: false }),
  };
}
