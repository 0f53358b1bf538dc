/** Text to tokens and back, for any tokenizer.json; and tokens to text while they are still coming. */
import { Tokenizer } from '@huggingface/tokenizers';
import type { ChatMessage } from './chat-message.ts';
import { type ChatTemplateConfig, createChatTemplate, type TemplateOptions } from './chat-template.ts';
import { InvalidInputError } from './parameters.ts';
import { spellingOf, type TokenizerFile, type TokenSpelling } from './token-spelling.ts';
import type { ToolCallFormat } from './tools/format.ts';

export type { ChatMessage } from './chat-message.ts';

export interface TextTokenizer extends TokenSpelling {
  /** Ids of a text; `special` puts the tokens round it that the model expects (`<s>`, say). */
  encode(text: string, options?: { special?: boolean }): number[];
  /** Text of ids; `special` shows marks (`</s>`, say) by their names. */
  /** So many tokens a text has at the least, told from its length alone: it is not encoded. */
  fewestTokens(text: string): number;
  decode(ids: readonly number[], options?: { special?: boolean }): string;
  /** A conversation as the model's makers write it, ready for the next answer unless that is declined. */
  applyChatTemplate(messages: readonly ChatMessage[], options?: TemplateOptions): string;
  /** How the model writes its calls of tools. */
  toolCallFormat(): ToolCallFormat;
  /**
   * A decoder of one answer, token by token.
   * @param shown marks with their names in this text are shown, though marks are hidden as a rule
   */
  streamDecoder(shown?: string): StreamDecoder;
  idOf(token: string): number | undefined;
  /** A token as the vocabulary spells it; undefined if it has none of that id. */
  tokenOf(id: number): string | undefined;
  /** The bytes that a token stands for by itself: of marks their names, of characters perhaps a part. */
  bytesOf(id: number): Uint8Array;
}

export interface StreamDecoder {
  /** Takes a token; returns the text that is certain by now: whole characters only. */
  push(id: number): string;
  /** What is left at the end; an unfinished character becomes U+FFFD. */
  end(): string;
}

/** @param tokenizer tokenizer.json @param config tokenizer_config.json */
export function createTextTokenizer(tokenizer: object, config: object): TextTokenizer {
  const library = new Tokenizer(tokenizer, config);
  const decode = (ids: readonly number[], { special = false } = {}) =>
    ids.length === 0
      ? ''
      : library.decode([...ids], {
          skip_special_tokens: !special,
          clean_up_tokenization_spaces: false,
        });
  const bytesOf = byteLevel(tokenizer as TokenizerFile) ? byteTable(library) : undefined;
  const longest = bytesOf ? longestToken(library) : Infinity;
  const template = createChatTemplate(config as ChatTemplateConfig);
  const spelled = spellingOf(tokenizer as TokenizerFile, library, bytesOf);
  return {
    ...spelled,
    encode(text, { special = false } = {}) {
      if (!text.isWellFormed()) {
        throw new InvalidInputError(
          'The text is not well-formed Unicode: it holds half of a surrogate pair.',
          { param: 'prompt' },
        );
      }
      return library.encode(text, { add_special_tokens: special }).ids;
    },
    fewestTokens: (text) => Math.ceil(text.length / longest),
    decode,
    applyChatTemplate: template.render,
    toolCallFormat: template.toolCallFormat,
    streamDecoder(shown) {
      const decoder = bytesOf ? byteDecoder(bytesOf) : growingDecoder(decode);
      return shown ? showing(decoder, marksIn(shown, library)) : decoder;
    },
    idOf: (token) => library.token_to_id(token),
    tokenOf: (id) => library.id_to_token(id) ?? library.get_added_tokens_decoder().get(id)?.content,
    bytesOf(id) {
      const mark = library.get_added_tokens_decoder().get(id);
      if (mark) return new TextEncoder().encode(mark.content);
      return bytesOf ? bytesOf(id) : new TextEncoder().encode(decode([id]));
    },
  };
}

function byteLevel({ decoder }: TokenizerFile): boolean {
  return [decoder, ...(decoder?.decoders ?? [])].some((step) => step?.type === 'ByteLevel');
}

/** Bytes of the longest token of a byte-level vocabulary, in which each sign stands for one. */
function longestToken(library: Tokenizer): number {
  let longest = 1;
  for (const token of library.get_vocab().keys()) longest = Math.max(longest, token.length);
  return longest;
}

/** The bytes of each token of a byte-level vocabulary, worked out when first needed. */
function byteTable(library: Tokenizer): (id: number) => Uint8Array {
  // GPT-2's alphabet: printable bytes stand for themselves, the others follow from 256 on.
  const printable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  const byteOf = new Map<string, number>();
  for (let byte = 0, next = 256; byte < 256; byte++)
    byteOf.set(String.fromCodePoint(printable(byte) ? byte : next++), byte);
  const added = library.get_added_tokens_decoder();
  const known = new Map<number, Uint8Array>();
  return (id) => {
    let bytes = known.get(id);
    if (!bytes) {
      const extra = added.get(id);
      const token = library.id_to_token(id) ?? '';
      if (extra) bytes = extra.special ? new Uint8Array() : new TextEncoder().encode(extra.content);
      else bytes = Uint8Array.from(token, (sign) => byteOf.get(sign as string) ?? 0x3f);
      known.set(id, bytes);
    }
    return bytes;
  };
}

function byteDecoder(bytesOf: (id: number) => Uint8Array): StreamDecoder {
  const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
  return {
    push: (id) => utf8.decode(bytesOf(id), { stream: true }),
    end: () => utf8.decode(),
  };
}

/**
 * For tokenizers whose tokens change with their neighbours: decodes the last stretch again with each token, and
 * shows what it adds once it does not end in an unfinished character.
 */
function growingDecoder(decode: (ids: readonly number[]) => string): StreamDecoder {
  let ids: number[] = [];
  let shown = '';
  return {
    push(id) {
      ids.push(id);
      const text = decode(ids);
      if (text.endsWith('\ufffd') || text.length <= shown.length) return '';
      const added = text.slice(shown.length);
      // The last token stays as the context of the next one.
      ids = ids.slice(-1);
      shown = decode(ids);
      return added;
    },
    end() {
      const rest = decode(ids).slice(shown.length);
      [ids, shown] = [[], ''];
      return rest;
    },
  };
}

/** The special tokens whose names stand in a text, by id. */
function marksIn(text: string, library: Tokenizer): Map<number, string> {
  const marks = [...library.get_added_tokens_decoder()].filter(
    ([, { special, content }]) => special && text.includes(content),
  );
  return new Map(marks.map(([id, { content }]) => [id, content]));
}

/** A decoder that shows some of the special tokens, as their names. */
const showing = (decoder: StreamDecoder, marks: ReadonlyMap<number, string>): StreamDecoder => ({
  push(id) {
    const mark = marks.get(id);
    return mark === undefined ? decoder.push(id) : decoder.end() + mark;
  },
  end: () => decoder.end(),
});
