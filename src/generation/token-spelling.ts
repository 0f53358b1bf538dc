/** What tokens write, byte by byte: byte-level vocabularies, SentencePiece's with its bytes, and plain ones. */
import type { Tokenizer } from '@huggingface/tokenizers';

export interface TokenSpelling {
  /**
   * The bytes that a token adds to a text it stands in; undefined for marks, which add none.
   * @param shown marks with their names in this text do add them
   */
  spelling(id: number, shown?: string): Uint8Array | undefined;
  /** Whether a space that a text's first token begins with is left out. */
  dropsFirstSpace: boolean;
}

export interface TokenizerFile {
  decoder?: (DecoderStep & { decoders?: DecoderStep[] }) | null;
}
interface DecoderStep {
  type?: string;
  content?: string;
  start?: number;
  prepend_scheme?: string;
}

/** SentencePiece's sign for a space. */
const SPACE = '\u2581';

/** @param byteLevel the bytes of a byte-level vocabulary's tokens; undefined for others */
export function spellingOf(
  { decoder }: TokenizerFile,
  library: Tokenizer,
  byteLevel: ((id: number) => Uint8Array) | undefined,
): TokenSpelling {
  const steps = [decoder, ...(decoder?.decoders ?? [])].filter((step) => step != null);
  const has = (type: string) => steps.some((step) => step.type === type);
  const spaces = has('Metaspace') || has('Replace');
  const dropsFirstSpace = steps.some(
    ({ type, content, start = 0, prepend_scheme = 'always' }) =>
      (type === 'Strip' && content === ' ' && start > 0) ||
      (type === 'Metaspace' && prepend_scheme !== 'never'),
  );
  const added = library.get_added_tokens_decoder();
  const encoder = new TextEncoder();
  return {
    dropsFirstSpace,
    spelling(id, shown = '') {
      const mark = added.get(id);
      if (mark)
        return mark.special && !shown.includes(mark.content) ? undefined : encoder.encode(mark.content);
      if (byteLevel) return byteLevel(id);
      const token = library.id_to_token(id);
      if (token === undefined) return undefined;
      const byte = has('ByteFallback') && /^<0x([0-9A-F]{2})>$/.exec(token)?.[1];
      if (byte) return Uint8Array.of(Number.parseInt(byte, 16));
      return encoder.encode(spaces ? token.replaceAll(SPACE, ' ') : library.decode([id]));
    },
  };
}
