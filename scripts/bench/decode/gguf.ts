/** A GGUF file of random Q4_0 weights in Llama's shape: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
import type { GptConfig } from '../../../src/architecture/gpt-config.ts';
import { createRandom } from '../../../src/data/random.ts';
import { byteAlphabet } from '../../../src/data/tokenizer/train-bpe.ts';

/** Types of metadata. */
const [UINT32, INT32, FLOAT32, STRING, ARRAY] = [4, 5, 6, 8, 9];
/** Types of tensors. */
const [F32, Q4_0] = [0, 2];
/** Weights that share a scale in Q4_0, and the bytes that they take: a half and 16 pairs of numbers. */
const [BLOCK, BLOCK_BYTES] = [32, 18];
const ALIGNMENT = 32;

/** A file that llama.cpp opens. Its vocabulary is the bytes, and names that nothing else has. */
export function ggufFile(config: GptConfig): Uint8Array {
  const { hidden_size: width, intermediate_size: inner, head_dim, vocab_size: vocab } = config;
  const queries = config.num_attention_heads * head_dim;
  const keys = config.num_key_value_heads * head_dim;
  const tensors: [name: string, dims: number[]][] = [
    ['token_embd.weight', [width, vocab]],
    ['output_norm.weight', [width]],
    ...Array.from({ length: config.num_hidden_layers }, (_, i): [string, number[]][] => [
      [`blk.${i}.attn_norm.weight`, [width]],
      [`blk.${i}.attn_q.weight`, [width, queries]],
      [`blk.${i}.attn_k.weight`, [width, keys]],
      [`blk.${i}.attn_v.weight`, [width, keys]],
      [`blk.${i}.attn_output.weight`, [queries, width]],
      [`blk.${i}.ffn_norm.weight`, [width]],
      [`blk.${i}.ffn_gate.weight`, [width, inner]],
      [`blk.${i}.ffn_up.weight`, [width, inner]],
      [`blk.${i}.ffn_down.weight`, [inner, width]],
    ]).flat(),
  ];
  const tokens = Array.from({ length: vocab }, (_, i) => byteAlphabet[i] ?? `<unused${i}>`);
  const metadata: [key: string, type: number, value: number | string | string[] | number[], of?: number][] = [
    ['general.architecture', STRING, 'llama'],
    ['general.alignment', UINT32, ALIGNMENT],
    ['llama.context_length', UINT32, config.max_position_embeddings],
    ['llama.embedding_length', UINT32, width],
    ['llama.block_count', UINT32, config.num_hidden_layers],
    ['llama.feed_forward_length', UINT32, inner],
    ['llama.attention.head_count', UINT32, config.num_attention_heads],
    ['llama.attention.head_count_kv', UINT32, config.num_key_value_heads],
    ['llama.attention.layer_norm_rms_epsilon', FLOAT32, config.rms_norm_eps],
    ['llama.rope.dimension_count', UINT32, head_dim],
    ['llama.rope.freq_base', FLOAT32, config.rope_theta],
    ['llama.vocab_size', UINT32, vocab],
    ['tokenizer.ggml.model', STRING, 'gpt2'],
    ['tokenizer.ggml.pre', STRING, 'smollm'],
    ['tokenizer.ggml.tokens', ARRAY, tokens, STRING],
    ['tokenizer.ggml.token_type', ARRAY, tokens.map((_, i) => (i < byteAlphabet.length ? 1 : 5)), INT32],
    ['tokenizer.ggml.merges', ARRAY, [`${byteAlphabet[97]} ${byteAlphabet[98]}`], STRING],
    ['tokenizer.ggml.bos_token_id', UINT32, vocab - 1],
    ['tokenizer.ggml.eos_token_id', UINT32, vocab - 1],
  ];

  const sizes = tensors.map(([, dims]) => {
    const count = dims.reduce((a, b) => a * b, 1);
    return dims.length === 1 ? count * 4 : (count / BLOCK) * BLOCK_BYTES;
  });
  const padded = sizes.map((size) => Math.ceil(size / ALIGNMENT) * ALIGNMENT);
  const head = writer();
  head.raw(new TextEncoder().encode('GGUF')).uint32(3).uint64(tensors.length).uint64(metadata.length);
  for (const [key, type, value, of] of metadata) {
    head.string(key).uint32(type);
    if (type === ARRAY) {
      const list = value as (string | number)[];
      head.uint32(of!).uint64(list.length);
      for (const each of list) head.value(of!, each);
    } else head.value(type, value as string | number);
  }
  let offset = 0;
  for (const [i, [name, dims]] of tensors.entries()) {
    head.string(name).uint32(dims.length);
    for (const dim of dims) head.uint64(dim);
    head.uint32(dims.length === 1 ? F32 : Q4_0).uint64(offset);
    offset += padded[i];
  }
  const start = Math.ceil(head.bytes().length / ALIGNMENT) * ALIGNMENT;
  const file = new Uint8Array(start + offset);
  file.set(head.bytes());
  let at = start;
  const random = createRandom(1);
  for (const [i, [, dims]] of tensors.entries()) {
    const data = file.subarray(at, at + sizes[i]);
    if (dims.length === 1) new Float32Array(file.buffer, at, dims[0]).fill(1);
    else fillBlocks(data, random);
    at += padded[i];
  }
  return file;
}

/** Random numbers of 4 bits, all of one scale, 2^-8: about 0.02 in deviation. */
function fillBlocks(data: Uint8Array, random: () => number): void {
  for (let i = 0; i < data.length; i++) data[i] = Math.floor(random() * 256);
  for (let block = 0; block < data.length; block += BLOCK_BYTES)
    [data[block], data[block + 1]] = [0x00, 0x1c];
}

/** Numbers and texts one after the other, the low byte first. */
function writer() {
  let buffer = new Uint8Array(1 << 16);
  let length = 0;
  const room = (count: number): DataView => {
    if (length + count > buffer.length) {
      const next = new Uint8Array(2 * (length + count));
      next.set(buffer);
      buffer = next;
    }
    length += count;
    return new DataView(buffer.buffer, length - count, count);
  };
  const self = {
    bytes: () => buffer.subarray(0, length),
    raw(bytes: Uint8Array) {
      room(bytes.length);
      buffer.set(bytes, length - bytes.length);
      return self;
    },
    uint32(value: number) {
      room(4).setUint32(0, value, true);
      return self;
    },
    uint64(value: number) {
      room(8).setBigUint64(0, BigInt(value), true);
      return self;
    },
    string(value: string) {
      const bytes = new TextEncoder().encode(value);
      return self.uint64(bytes.length).raw(bytes);
    },
    value(type: number, value: string | number) {
      if (type === STRING) return self.string(value as string);
      if (type === FLOAT32) room(4).setFloat32(0, value as number, true);
      else self.uint32(value as number);
      return self;
    },
  };
  return self;
}
