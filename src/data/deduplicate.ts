/**
 * Exact and near duplicates, found while documents stream by. Near ones by MinHash (Broder, 1997) of runs of five
 * words, compared only where a band of their signatures agrees (Leskovec et al., Mining of Massive Datasets, ch. 3).
 *
 * Memory: about 350 bytes for each document that is kept, however long it is.
 */
import { mix } from './random.ts';

/** Documents whose runs of words overlap at least this much (Jaccard, estimated) are duplicates. */
export const DUPLICATE = 0.8;
/** Documents that overlap at least this much are kept, but on one side of the split. */
export const RELATED = 0.4;

const HASHES = 64;
const BANDS = 16;
const ROWS = HASHES / BANDS;
const SHINGLE = 5;
/** Longer chains of documents that agree in a band come from boilerplate: the latest of them are compared. */
const CHAIN_LIMIT = 64;

const multipliers = Uint32Array.from({ length: HASHES }, (_, i) => mix(2 * i + 1) | 1);
const offsets = Uint32Array.from({ length: HASHES }, (_, i) => mix(2 * i + 2));

/** The MinHash signature of a text: equal places of two signatures estimate the Jaccard overlap of their runs of words. */
export function signature(text: string): Uint32Array {
  const words = normalized(text).split(' ').map(hashString);
  const minima = new Uint32Array(HASHES).fill(0xffffffff);
  const runs = Math.max(1, words.length - SHINGLE + 1);
  for (let i = 0; i < runs; i++) {
    let run = 0x811c9dc5;
    for (let j = i; j < Math.min(i + SHINGLE, words.length); j++) run = mix(Math.imul(run, 31) + words[j]);
    for (let k = 0; k < HASHES; k++) {
      const value = (Math.imul(run, multipliers[k]) + offsets[k]) >>> 0;
      const scrambled = (value ^ (value >>> 15)) >>> 0;
      if (scrambled < minima[k]) minima[k] = scrambled;
    }
  }
  return minima;
}

/** The share of equal places of two signatures. */
export function similarity(a: Uint32Array, b: Uint32Array): number {
  let equal = 0;
  for (let k = 0; k < HASHES; k++) if (a[k] === b[k]) equal++;
  return equal / HASHES;
}

export type Verdict = { kind: 'new'; index: number } | { kind: 'exact' | 'near'; of: number; overlap: number };

/** Takes documents one after the other; remembers those that are new. */
export function createDeduplicator() {
  const exact = new Map<number, number>();
  let capacity = 1024;
  let count = 0;
  let signatures = new Uint32Array(capacity * HASHES);
  let parents = new Int32Array(capacity);
  let chains = new Int32Array(capacity * BANDS);
  const heads = Array.from({ length: BANDS }, () => new Map<number, number>());

  const signatureOf = (index: number) => signatures.subarray(index * HASHES, (index + 1) * HASHES);
  const bandKey = (of: Uint32Array, band: number) => {
    let key = band;
    for (let row = 0; row < ROWS; row++) key = mix(Math.imul(key, 31) + of[band * ROWS + row]);
    return key;
  };
  const find = (index: number): number => {
    let root = index;
    while (parents[root] !== root) root = parents[root] = parents[parents[root]];
    return root;
  };

  function candidates(of: Uint32Array): Map<number, number> {
    const found = new Map<number, number>();
    for (let band = 0; band < BANDS; band++) {
      let next = heads[band].get(bandKey(of, band)) ?? -1;
      for (let steps = 0; next >= 0 && steps < CHAIN_LIMIT; steps++) {
        if (!found.has(next)) found.set(next, similarity(of, signatureOf(next)));
        next = chains[next * BANDS + band];
      }
    }
    return found;
  }

  function grow(): void {
    capacity *= 2;
    const larger = <T extends Uint32Array | Int32Array>(old: T, width: number): T => {
      const next = new (old.constructor as new (length: number) => T)(capacity * width);
      next.set(old);
      return next;
    };
    signatures = larger(signatures, HASHES);
    parents = larger(parents, 1);
    chains = larger(chains, BANDS);
  }

  return {
    /** Judges a document and remembers it if it is new. */
    add(text: string): Verdict {
      const digest = hashText(normalized(text));
      const same = exact.get(digest);
      if (same !== undefined) return { kind: 'exact', of: same, overlap: 1 };
      const own = signature(text);
      const near = candidates(own);
      for (const [of, overlap] of near) if (overlap >= DUPLICATE) return { kind: 'near', of, overlap };
      if (count === capacity) grow();
      const index = count++;
      exact.set(digest, index);
      signatures.set(own, index * HASHES);
      parents[index] = index;
      for (const [of, overlap] of near) if (overlap >= RELATED) parents[find(of)] = find(index);
      for (let band = 0; band < BANDS; band++) {
        const key = bandKey(own, band);
        chains[index * BANDS + band] = heads[band].get(key) ?? -1;
        heads[band].set(key, index);
      }
      return { kind: 'new', index };
    },
    /** The group of related documents that a kept document is in, by one member's index. */
    group: (index: number) => find(index),
    get size() {
      return count;
    },
  };
}

/** What two texts have to share to be exact duplicates: their letters and digits, in any case and with any spacing. */
function normalized(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

/** FNV-1a of UTF-16 units, scrambled. */
function hashString(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** 53 bits of two hashes that start differently: enough for billions of documents to differ. */
function hashText(text: string): number {
  let [a, b] = [0x811c9dc5, 0x9747b28c];
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x5bd1e995) ^ (b >>> 13);
  }
  return mix(a) * 2 ** 21 + (mix(b) >>> 11);
}
