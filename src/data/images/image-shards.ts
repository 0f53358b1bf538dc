/** Prepared images on disk: pixels in shards, captions in JSONL, and the manifest that lists them. */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const count = z.number().int().min(0);
const splitSchema = z.object({
  shards: z.array(z.object({ file: z.string(), images: count, sha256: z.string() })),
  images: count,
});
const manifestSchema = z.object({
  format: z.literal('wick-images/1'),
  /** Pixels a side. */
  size: count.min(1),
  vocab_size: count.min(1),
  /** Tokens that the longest caption may have. */
  context_length: count.min(1),
  splits: z.object({ train: splitSchema, validation: splitSchema }),
});
export type ImageManifest = z.infer<typeof manifestSchema>;
export type ImageSplitName = keyof ImageManifest['splits'];

/** What is known of an image beside its pixels: a line of `train.jsonl` or `validation.jsonl`. */
export interface ImageRecord {
  /** The file it was made of. */
  file: string;
  captions: string[];
  /** How often it is drawn in training, relative to others. */
  weight: number;
}

const SHARD_IMAGES = 4096;

/** Writes pixels `[3, size, size]` of bytes, one image after the other. */
export function imageShardWriter(out: string, split: ImageSplitName) {
  const shards: ImageManifest['splits']['train']['shards'] = [];
  let open:
    | { file: string; descriptor: number; hash: ReturnType<typeof createHash>; images: number }
    | undefined;
  const close = () => {
    if (!open) return;
    closeSync(open.descriptor);
    shards.push({ file: open.file, images: open.images, sha256: open.hash.digest('hex') });
    open = undefined;
  };
  return {
    write(pixels: Uint8Array): void {
      if (open?.images === SHARD_IMAGES) close();
      if (!open) {
        const file = `${split}-${String(shards.length).padStart(5, '0')}.bin`;
        open = { file, descriptor: openSync(join(out, file), 'w'), hash: createHash('sha256'), images: 0 };
      }
      for (let at = 0; at < pixels.length; ) at += writeSync(open.descriptor, pixels, at);
      open.hash.update(pixels);
      open.images++;
    },
    end() {
      close();
      return { shards, images: shards.reduce((sum, { images }) => sum + images, 0) };
    },
  };
}

export interface ImageSplit {
  records: readonly ImageRecord[];
  /** The pixels of an image, bytes `[3, size, size]`. */
  pixels(index: number): Uint8Array;
}

export interface ImageDataset {
  manifest: ImageManifest;
  tokenizer: object;
  tokenizerConfig: object;
  /** Changes when anything that training sees changes. */
  fingerprint: string;
  split(name: ImageSplitName): ImageSplit;
}

/**
 * Opens what `prepare-images` wrote.
 * @throws Error naming what is missing or not as the manifest says
 */
export function openImageDataset(folder: string): ImageDataset {
  const path = join(folder, 'images.json');
  if (!existsSync(path)) {
    throw new Error(`${folder} holds no images.json: wick prepare-images SOURCES… --out ${folder} makes it.`);
  }
  const text = readFileSync(path, 'utf8');
  const parsed = manifestSchema.safeParse(safeJson(text));
  if (!parsed.success)
    throw new Error(`${path} is no manifest of prepared images: ${z.prettifyError(parsed.error)}`);
  const manifest = parsed.data;
  const json = (name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as object;
  const files = (['train', 'validation'] as const).map((split) =>
    readFileSync(join(folder, `${split}.jsonl`)),
  );
  const tokenizer = readFileSync(join(folder, 'tokenizer.json'));
  const hash = createHash('sha256').update(text).update(tokenizer);
  for (const file of files) hash.update(file);
  return {
    manifest,
    tokenizer: JSON.parse(tokenizer.toString()),
    tokenizerConfig: json('tokenizer_config.json'),
    fingerprint: hash.digest('hex'),
    split: (name) => openSplit(folder, name, manifest, files[name === 'train' ? 0 : 1].toString()),
  };
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function openSplit(folder: string, name: ImageSplitName, manifest: ImageManifest, lines: string): ImageSplit {
  const { shards, images } = manifest.splits[name];
  const bytes = 3 * manifest.size ** 2;
  const records = lines
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as ImageRecord);
  if (records.length !== images) {
    throw new Error(
      `${name}.jsonl in ${folder} has ${records.length} lines, the manifest says ${images} images.`,
    );
  }
  const open = shards.map(({ file, images: inShard }) => {
    const path = join(folder, file);
    if (!existsSync(path)) throw new Error(`The shard ${path} is missing, though the manifest lists it.`);
    const { size } = statSync(path);
    if (size !== inShard * bytes)
      throw new Error(`The shard ${path} has ${size} bytes, the manifest says ${inShard * bytes}.`);
    return openSync(path, 'r');
  });
  return {
    records,
    pixels(index) {
      const out = new Uint8Array(bytes);
      readSync(open[Math.floor(index / SHARD_IMAGES)], out, 0, bytes, (index % SHARD_IMAGES) * bytes);
      return out;
    },
  };
}
