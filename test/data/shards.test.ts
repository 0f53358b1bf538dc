import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { CleanDocument } from '../../src/data/document.ts';
import { createRandom, permute } from '../../src/data/random.ts';
import {
  createWindows,
  openDataset,
  type SplitManifest,
  writeManifest,
  writeShards,
} from '../../src/data/shards.ts';
import { createEncoder } from '../../src/data/tokenizer/encoder.ts';
import {
  specialTokens,
  tokenizerConfigJson,
  tokenizerJson,
} from '../../src/data/tokenizer/tokenizer-json.ts';
import { trainBpe } from '../../src/data/tokenizer/train-bpe.ts';
import { story, temporaryFolder } from '../fixtures/tiny.ts';

const documents: CleanDocument[] = Array.from({ length: 60 }, (_, i) => ({
  id: `${i}`,
  source: 'made up',
  instruction: i % 3 === 0 ? undefined : `Tell story ${i}.`,
  text: story(i, 3),
}));

let tokenizer: object;
const tokenizerConfig = tokenizerConfigJson({ modelMaxLength: 64 });
beforeAll(async () => {
  tokenizer = tokenizerJson(
    await trainBpe(
      documents.map(({ text }) => text),
      { vocabSize: 320, specialTokens },
    ),
  );
});

async function write(
  folder: string,
  seed: number,
  shardTokens = 1000,
): Promise<Record<'train' | 'validation', SplitManifest>> {
  mkdirSync(folder, { recursive: true });
  const split = (name: 'train' | 'validation', from: CleanDocument[]) =>
    writeShards({ out: folder, split: name, documents: from, tokenizer, tokenizerConfig, seed, shardTokens });
  const splits = {
    train: await split('train', documents.slice(6)),
    validation: await split('validation', documents.slice(0, 6)),
  };
  writeManifest(folder, { vocab_size: 320, seed, tokenizer: 'tokenizer.json', splits });
  return splits;
}

const allTokens = (folder: string, name: 'train' | 'validation') => {
  const split = openDataset(folder).split(name);
  return [...split.readTokens(0, split.tokens)];
};

describe('shards', () => {
  it('hold the documents as they should read', async () => {
    const folder = temporaryFolder();
    await write(folder, 1);
    const encoder = createEncoder(tokenizer, tokenizerConfig);
    const validation = encoder.decode(allTokens(folder, 'validation'));
    const expected = documents
      .slice(0, 6)
      .map(({ instruction, text }) => `<s>${instruction ? `${instruction}<start>` : ''}${text}<end>\n`);
    expect(validation).toBe(expected.join(''));
    const train = encoder.decode(allTokens(folder, 'train'));
    const pieces = train.split('<end>\n').slice(0, -1);
    expect(pieces.map((piece) => piece.replace('<s>', '').split('<start>').at(-1)).sort()).toEqual(
      documents
        .slice(6)
        .map(({ text }) => text)
        .sort(),
    );
    const begun = pieces.filter((piece) => piece.startsWith('<s>')).length / pieces.length;
    expect(begun).toBeGreaterThan(0.25);
    expect(begun).toBeLessThan(0.75);
  });

  it('are the same for the same seed, and shuffled otherwise for another', async () => {
    const [a, b, c] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
    const [first] = [await write(a, 1), await write(b, 1), await write(c, 2)];
    expect(allTokens(b, 'train')).toEqual(allTokens(a, 'train'));
    expect(allTokens(c, 'train')).not.toEqual(allTokens(a, 'train'));
    expect(first.train.shards.length).toBeGreaterThan(1);
    expect(first.train.shards.slice(0, -1).every(({ tokens }) => tokens === 1000)).toBe(true);
  });

  it('count the bytes that their tokens stand for', async () => {
    const folder = temporaryFolder();
    const { train } = await write(folder, 3);
    const encoder = createEncoder(tokenizer, tokenizerConfig);
    const text = encoder.decode(allTokens(folder, 'train')).replaceAll('<s>', '');
    expect(train.bytes).toBe(Buffer.byteLength(text));
  });

  it('are read across their borders, and not beyond', async () => {
    const folder = temporaryFolder();
    await write(folder, 1, 100);
    const split = openDataset(folder).split('train');
    const all = [...split.readTokens(0, split.tokens)];
    fc.assert(
      fc.property(fc.nat({ max: all.length - 1 }), fc.integer({ min: 1, max: 250 }), (offset, length) => {
        if (offset + length > all.length) expect(() => split.readTokens(offset, length)).toThrow(RangeError);
        else expect([...split.readTokens(offset, length)]).toEqual(all.slice(offset, offset + length));
      }),
    );
  });
});

describe('a folder that is not right', () => {
  it.each<[string, (folder: string) => void, RegExp]>([
    ['without a manifest', (folder) => rmSync(join(folder, 'dataset.json')), /no prepared data/],
    [
      'with a manifest that is no JSON',
      (folder) => writeFileSync(join(folder, 'dataset.json'), '{'),
      /not JSON/,
    ],
    [
      'of another format',
      (folder) => writeFileSync(join(folder, 'dataset.json'), '{"format":"other/9"}'),
      /no manifest that this version/,
    ],
    ['without a shard', (folder) => rmSync(join(folder, 'train-00000.bin')), /train-00000\.bin is missing/],
    [
      'with a cut shard',
      (folder) => truncateSync(join(folder, 'train-00000.bin'), 10),
      /has 10 bytes, the manifest says/,
    ],
  ])('%s is named', async (_, damage, message) => {
    const folder = temporaryFolder();
    await write(folder, 1);
    damage(folder);
    expect(() => openDataset(folder).split('train')).toThrow(message);
  });

  it('with a changed shard is found when asked to verify', async () => {
    const folder = temporaryFolder();
    await write(folder, 1);
    const path = join(folder, 'train-00000.bin');
    const bytes = readFileSync(path);
    bytes[7] ^= 1;
    writeFileSync(path, bytes);
    openDataset(folder);
    expect(() => openDataset(folder, { verify: true })).toThrow(/checksum/);
  });
});

describe('windows', () => {
  it('come once each in every pass, inside the tokens, in the same order for the same seed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 1, max: 64 }),
        fc.nat(),
        fc.integer({ min: 0, max: 9 }),
        (tokens, windowLength, seed, epoch) => {
          const windows = createWindows({ tokens, windowLength, seed });
          if (tokens < windowLength) {
            expect(windows.count).toBe(0);
            return;
          }
          const places = Array.from({ length: windows.count }, (_, i) => windows.window(epoch, i));
          const sorted = [...places].sort((a, b) => a - b);
          expect(sorted[0]).toBeGreaterThanOrEqual(0);
          expect(sorted.at(-1)! + windowLength).toBeLessThanOrEqual(tokens);
          for (let i = 1; i < sorted.length; i++) expect(sorted[i] - sorted[i - 1]).toBe(windowLength);
          const again = createWindows({ tokens, windowLength, seed });
          expect(places.map((_, i) => again.window(epoch, i))).toEqual(places);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('are shuffled anew for each pass', () => {
    const windows = createWindows({ tokens: 10_000, windowLength: 10, seed: 1 });
    const order = (epoch: number) => Array.from({ length: 50 }, (_, i) => windows.window(epoch, i));
    expect(order(0)).not.toEqual(order(1));
    expect(order(0)).not.toEqual([...order(0)].sort((a, b) => a - b));
  });
});

describe('random numbers', () => {
  it('permute without losing a place', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 700 }), fc.integer(), (count, key) => {
        const places = Array.from({ length: count }, (_, i) => permute(i, count, key));
        expect(new Set(places).size).toBe(count);
        expect(places.every((place) => place >= 0 && place < count)).toBe(true);
      }),
    );
  });

  it('are even, and unlike for neighbouring seeds', () => {
    const random = createRandom(1);
    const counts = new Array(10).fill(0);
    for (let i = 0; i < 50_000; i++) counts[Math.floor(random() * 10)]++;
    // Nine degrees of freedom: above 27.9 once in a thousand times; the seed is fixed.
    expect(counts.reduce((sum, count) => sum + (count - 5000) ** 2 / 5000, 0)).toBeLessThan(27.9);
    expect(createRandom(1)()).not.toBe(createRandom(2)());
  });
});
