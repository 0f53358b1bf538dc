/** Prepared data on disk: documents as token ids in shards, and the manifest that lists them. */
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { CleanDocument } from './document.ts';
import { createRandom, mix, permute } from './random.ts';
import { createEncoder } from './tokenizer/encoder.ts';

const splitSchema = z.object({
  shards: z.array(z.object({ file: z.string(), tokens: z.number().int().min(0), sha256: z.string() })),
  tokens: z.number().int().min(0),
  bytes: z.number().int().min(0),
  documents: z.number().int().min(0),
});
const manifestSchema = z.object({
  format: z.literal('wick-dataset/1'),
  dtype: z.enum(['uint16', 'uint32']),
  vocab_size: z.number().int().min(1),
  seed: z.number().int(),
  tokenizer: z.string(),
  splits: z.object({ train: splitSchema, validation: splitSchema }),
});
export type SplitManifest = z.infer<typeof splitSchema>;
export type Manifest = z.infer<typeof manifestSchema>;
type TokenArray = Uint16Array | Uint32Array;

export interface WriteOptions {
  out: string;
  split: 'train' | 'validation';
  documents: AsyncIterable<CleanDocument> | Iterable<CleanDocument>;
  /** tokenizer.json and tokenizer_config.json */
  tokenizer: object;
  tokenizerConfig: object;
  seed: number;
  /** How often a training document keeps its instruction: without it, it begins as a bare text does. */
  instructionRate?: number;
  /** How often a training document is marked as the beginning of a text. */
  bosRate?: number;
  /** Tokens in a shard. */
  shardTokens?: number;
  onProgress?: (documents: number) => void;
}

/**
 * Writes one split as shards of little-endian ids. A document reads `[<s>] INSTRUCTION <start> TEXT <end> "\n"`;
 * training documents are shuffled, and some of them lose their mark of beginning or their instruction, so that a
 * model learns to begin in every way. The same documents in the same order and the same seed give the same bytes.
 *
 * Memory: twelve bytes a document; the tokens wait in a file while the order is drawn.
 */
export async function writeShards(options: WriteOptions): Promise<SplitManifest> {
  const { out, split, seed, instructionRate = 0.8, bosRate = 0.5, shardTokens = 16_000_000 } = options;
  const encoder = createEncoder(options.tokenizer, options.tokenizerConfig);
  const [bos, start, end] = ['<s>', '<start>', '<end>'].map((token) => encoder.encode(token)[0]);
  const random = createRandom(mix(seed));
  const training = split === 'train';
  const array = tokenArray(vocabularySize(options.tokenizer));
  const waiting = join(out, `${split}.unshuffled`);
  const file = openSync(waiting, 'w+');
  try {
    const places: { at: number; tokens: number }[] = [];
    let [at, bytes] = [0, 0];
    for await (const { instruction, text } of options.documents) {
      // Both numbers are drawn for every document, so that one document's kind does not move another's luck.
      const [bosDraw, instructionDraw] = [random(), random()];
      const asked = instruction !== undefined && (!training || instructionDraw < instructionRate);
      const ids = [
        ...(!training || bosDraw < bosRate ? [bos] : []),
        ...(asked ? [...encoder.encode(instruction), start] : []),
        ...encoder.encode(text),
        end,
        ...encoder.encode('\n'),
      ];
      bytes += Buffer.byteLength(`${asked ? `${instruction}<start>` : ''}${text}<end>\n`);
      const part = bytesOf(array.from(ids));
      writeAll(file, part);
      places.push({ at, tokens: ids.length });
      at += part.length;
      options.onProgress?.(places.length);
    }
    const order = (i: number) => (training ? permute(i, places.length, mix(seed + 1)) : i);
    const shards = shardWriter(out, split, array.BYTES_PER_ELEMENT, shardTokens);
    for (let i = 0; i < places.length; i++) {
      const place = places[order(i)];
      const part = new Uint8Array(place.tokens * array.BYTES_PER_ELEMENT);
      readSync(file, part, 0, part.length, place.at);
      shards.write(part);
    }
    const written = shards.end();
    return {
      shards: written,
      tokens: written.reduce((sum, { tokens }) => sum + tokens, 0),
      bytes,
      documents: places.length,
    };
  } finally {
    closeSync(file);
    rmSync(waiting, { force: true });
  }
}

/** Writes dataset.json. */
export function writeManifest(out: string, manifest: Omit<Manifest, 'format' | 'dtype'>): void {
  const dtype = tokenArray(manifest.vocab_size) === Uint16Array ? 'uint16' : 'uint32';
  writeFileSync(
    join(out, 'dataset.json'),
    `${JSON.stringify({ format: 'wick-dataset/1', dtype, ...manifest }, null, 2)}\n`,
  );
}

export interface Split {
  tokens: number;
  /** UTF-8 bytes of the text that the tokens stand for. */
  bytes: number;
  documents: number;
  /** `length` ids from `offset` on, across shards. */
  readTokens(offset: number, length: number): TokenArray;
}

export interface Dataset {
  vocab_size: number;
  /** Tells this data from any other: a hash of all shards' checksums. */
  fingerprint: string;
  split(name: 'train' | 'validation'): Split;
}

/**
 * Opens a folder that `wick prepare` made. Shards are read into memory when their split is first asked for.
 *
 * @param verify also compares every shard with its checksum
 * @throws Error naming the file that is missing or not as the manifest says
 */
export function openDataset(folder: string, { verify = false }: { verify?: boolean } = {}): Dataset {
  const path = join(folder, 'dataset.json');
  if (!existsSync(path))
    throw new Error(`${folder} is no prepared data: it has no dataset.json. "wick prepare" makes one.`);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(`${path} is not JSON: ${(error as Error).message}.`, { cause: error });
  }
  const result = manifestSchema.safeParse(json);
  if (!result.success) {
    const problems = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new Error(`${path} is no manifest that this version of wick reads. ${problems.join('; ')}.`);
  }
  const manifest = result.data;
  const array = manifest.dtype === 'uint16' ? Uint16Array : Uint32Array;
  for (const { shards } of Object.values(manifest.splits)) {
    for (const shard of shards) checkShard(join(folder, shard.file), shard, array.BYTES_PER_ELEMENT, verify);
  }
  const checksums = Object.values(manifest.splits).flatMap(({ shards }) =>
    shards.map(({ sha256 }) => sha256),
  );
  return {
    vocab_size: manifest.vocab_size,
    fingerprint: createHash('sha256').update(checksums.join()).digest('hex'),
    split(name) {
      const { shards, tokens, bytes, documents } = manifest.splits[name];
      const all = new array(tokens);
      let at = 0;
      for (const { file } of shards) {
        const part = readFileSync(join(folder, file));
        bytesOf(all).set(part, at);
        at += part.length;
      }
      return {
        tokens,
        bytes,
        documents,
        readTokens(offset, length) {
          if (offset < 0 || offset + length > tokens) {
            throw new RangeError(
              `Tokens ${offset} to ${offset + length} were asked of a split of ${tokens}.`,
            );
          }
          return all.subarray(offset, offset + length);
        },
      };
    },
  };
}

/**
 * The order in which a run reads windows of a split: each pass takes every window once, in a shuffle of its own and
 * from a beginning shifted by less than a window, so that passes cut the text at different places. Nothing is kept:
 * a window's place follows from the seed, the pass and its number.
 */
export function createWindows({
  tokens,
  windowLength,
  seed,
}: {
  tokens: number;
  windowLength: number;
  seed: number;
}): {
  count: number;
  window(epoch: number, index: number): number;
} {
  // One window less than fit leaves room for the shift.
  const count = Math.max(tokens >= windowLength ? 1 : 0, Math.floor(tokens / windowLength) - 1);
  return {
    count,
    window(epoch, index) {
      const key = mix(mix(seed) + epoch);
      const room = Math.min(windowLength, tokens - count * windowLength + 1);
      return permute(index, count, key) * windowLength + (mix(key + 1) % room);
    },
  };
}

function vocabularySize(tokenizer: object): number {
  const { model, added_tokens = [] } = tokenizer as {
    model?: { vocab?: Record<string, number> };
    added_tokens?: { id: number }[];
  };
  const ids = [...Object.values(model?.vocab ?? {}), ...added_tokens.map(({ id }) => id)];
  if (ids.length === 0) throw new Error('The tokenizer has no vocabulary.');
  return ids.reduce((a, b) => Math.max(a, b)) + 1;
}

function tokenArray(vocabSize: number): typeof Uint16Array | typeof Uint32Array {
  return vocabSize <= 65_536 ? Uint16Array : Uint32Array;
}

function shardWriter(out: string, split: string, width: number, shardTokens: number) {
  const shards: SplitManifest['shards'] = [];
  let open:
    | { file: string; descriptor: number; hash: ReturnType<typeof createHash>; tokens: number }
    | undefined;
  const close = () => {
    if (!open) return;
    closeSync(open.descriptor);
    shards.push({ file: open.file, tokens: open.tokens, sha256: open.hash.digest('hex') });
    open = undefined;
  };
  return {
    write(part: Uint8Array) {
      for (let at = 0; at < part.length; ) {
        if (open?.tokens === shardTokens) close();
        if (!open) {
          const file = `${split}-${String(shards.length).padStart(5, '0')}.bin`;
          open = { file, descriptor: openSync(join(out, file), 'w'), hash: createHash('sha256'), tokens: 0 };
        }
        const piece = part.subarray(at, at + (shardTokens - open.tokens) * width);
        writeAll(open.descriptor, piece);
        open.hash.update(piece);
        open.tokens += piece.length / width;
        at += piece.length;
      }
    },
    end() {
      close();
      return shards;
    },
  };
}

function checkShard(
  path: string,
  shard: SplitManifest['shards'][number],
  width: number,
  verify: boolean,
): void {
  if (!existsSync(path)) throw new Error(`The shard ${path} is missing, though the manifest lists it.`);
  const expected = shard.tokens * width;
  const { size } = statSync(path);
  if (size !== expected)
    throw new Error(`The shard ${path} has ${size} bytes, the manifest says ${expected}.`);
  if (verify && createHash('sha256').update(readFileSync(path)).digest('hex') !== shard.sha256) {
    throw new Error(`The shard ${path} is not what the manifest's checksum says: prepare the data again.`);
  }
}

function bytesOf(array: TokenArray): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}
