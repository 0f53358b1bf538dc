/** Text to tokens and back, for any tokenizer.json; and tokens to text while they are still coming. */
import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';
import { InvalidInputError } from './parameters.ts';

export interface ChatMessage {
  role: string;
  content: string;
}

export interface TextTokenizer {
  /** Ids of a text; `special` puts the tokens round it that the model expects (`<s>`, say). */
  encode(text: string, options?: { special?: boolean }): number[];
  decode(ids: readonly number[]): string;
  /** A conversation as the model's makers write it, ready for the next answer. */
  applyChatTemplate(messages: readonly ChatMessage[]): string;
  /** A decoder of one answer, token by token. */
  streamDecoder(): StreamDecoder;
  idOf(token: string): number | undefined;
  /** The bytes that a token stands for by itself: of marks their names, of characters perhaps a part. */
  bytesOf(id: number): Uint8Array;
}

export interface StreamDecoder {
  /** Takes a token; returns the text that is certain by now: whole characters only. */
  push(id: number): string;
  /** What is left at the end; an unfinished character becomes U+FFFD. */
  end(): string;
}

interface TokenizerFile {
  decoder?: { type?: string; decoders?: { type?: string }[] } | null;
}
interface ConfigFile {
  chat_template?: string | { name: string; template: string }[];
  bos_token?: string | { content: string } | null;
  eos_token?: string | { content: string } | null;
  pad_token?: string | { content: string } | null;
  unk_token?: string | { content: string } | null;
}

/** @param tokenizer tokenizer.json @param config tokenizer_config.json */
export function createTextTokenizer(tokenizer: object, config: object): TextTokenizer {
  const library = new Tokenizer(tokenizer, config);
  const decode = (ids: readonly number[]) =>
    ids.length === 0
      ? ''
      : library.decode([...ids], {
          skip_special_tokens: true,
          clean_up_tokenization_spaces: false,
        });
  const bytesOf = byteLevel(tokenizer as TokenizerFile) ? byteTable(library) : undefined;
  let template: Template | undefined;
  return {
    encode(text, { special = false } = {}) {
      if (!text.isWellFormed()) {
        throw new InvalidInputError(
          'The text is not well-formed Unicode: it holds half of a surrogate pair.',
          { param: 'prompt' },
        );
      }
      return library.encode(text, { add_special_tokens: special }).ids;
    },
    decode,
    applyChatTemplate(messages) {
      const file = config as ConfigFile;
      template ??= new Template(chatTemplate(file));
      const names = ['bos_token', 'eos_token', 'pad_token', 'unk_token'] as const;
      const tokens = Object.fromEntries(names.map((name) => [name, content(file[name])]));
      try {
        return template.render({
          messages: messages.map((message) => ({ ...message })),
          add_generation_prompt: true,
          ...tokens,
        });
      } catch (error) {
        throw new InvalidInputError(
          `The model's chat template refuses these messages: ${(error as Error).message}`,
          { param: 'messages' },
        );
      }
    },
    streamDecoder: () => (bytesOf ? byteDecoder(bytesOf) : growingDecoder(decode)),
    idOf: (token) => library.token_to_id(token),
    bytesOf(id) {
      const mark = library.get_added_tokens_decoder().get(id);
      if (mark) return new TextEncoder().encode(mark.content);
      return bytesOf ? bytesOf(id) : new TextEncoder().encode(decode([id]));
    },
  };
}

const content = (token: string | { content: string } | null | undefined) =>
  typeof token === 'object' && token !== null ? token.content : (token ?? '');

function chatTemplate({ chat_template }: ConfigFile): string {
  const template = Array.isArray(chat_template)
    ? (chat_template.find(({ name }) => name === 'default') ?? chat_template[0])?.template
    : chat_template;
  if (!template) {
    throw new InvalidInputError('The model has no chat template: ask it through /v1/completions.', {
      param: 'messages',
      code: 'no_chat_template',
    });
  }
  return template;
}

function byteLevel({ decoder }: TokenizerFile): boolean {
  return [decoder, ...(decoder?.decoders ?? [])].some((step) => step?.type === 'ByteLevel');
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
    end: () => decode(ids).slice(shown.length),
  };
}
