/**
 * Exact and near duplicates among many documents. Near ones by MinHash (Broder, 1997) of runs of five words, compared
 * where a band of their signatures agrees (Leskovec et al., Mining of Massive Datasets, chapter 3).
 *
 * Signatures wait in files and are compared one band at a time, so memory is about 40 bytes for each document, however
 * long it is; on disk they take 640 bytes each until the end.
 */
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { mix } from './random.ts';

/** Documents whose runs of words overlap at least this much (Jaccard, estimated) are duplicates: one is kept. */
export const DUPLICATE = 0.8;
/**
 * Documents that overlap at least this much are kept, but on one side of the split. Two with exactly this overlap are
 * found with a probability of 0.87, with 0.6 of 0.99, with 0.8 of all but 5 in 10^8: 1 - (1 - overlap^4)^32.
 */
export const RELATED = 0.5;

const HASHES = 128;
const BANDS = 32;
const ROWS = HASHES / BANDS;
const SHINGLE = 5;
/** Documents gathered before they are written out. */
const BLOCK = 4096;
/** Of many documents that agree in a band, each is compared with this many that differ from one another. */
const REPRESENTATIVES = 64;

const multipliers = Uint32Array.from({ length: HASHES }, (_, i) => mix(2 * i + 1) | 1);
const offsets = Uint32Array.from({ length: HASHES }, (_, i) => mix(2 * i + 2));

/** The MinHash signature of a text: the share of equal places of two estimates the overlap of their runs of words. */
export function signature(text: string): Uint32Array {
  const words = Uint32Array.from(normalized(text).split(' '), hashString);
  const minima = new Uint32Array(HASHES).fill(0xffffffff);
  const runs = Math.max(1, words.length - SHINGLE + 1);
  for (let i = 0; i < runs; i++) {
    let run = 0x811c9dc5;
    for (let j = i; j < Math.min(i + SHINGLE, words.length); j++) run = mix(Math.imul(run, 31) + words[j]);
    for (let k = 0; k < HASHES; k++) {
      const value = Math.imul(run, multipliers[k]) + offsets[k];
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

export interface Duplicates {
  /** For each document the earlier one it repeats, or itself. */
  original: Int32Array;
  /** For each document the number of its group of related documents: the lowest index in it. */
  group: Int32Array;
}

export interface Deduplicator {
  /** Remembers a text under the next index, or says that it was there before. */
  add(text: string): 'new' | 'exact duplicate';
  size: number;
  /** Compares all that were added. Nothing may be added afterwards. */
  compare(onProgress?: (bands: number, of: number) => void): Duplicates;
  /** Removes the files. */
  close(): void;
}

/** @param folder for the files that hold the signatures */
export function createDeduplicator(folder: string): Deduplicator {
  const path = join(folder, 'signatures.waiting');
  const file = openSync(path, 'w+');
  const exact = createHashSet();
  // A block of the file: the band keys of its documents, a band after the other, and then their signatures.
  const keys = new Uint32Array(BLOCK * BANDS);
  const signatures = new Uint32Array(BLOCK * HASHES);
  const blockBytes = keys.byteLength + signatures.byteLength;
  let size = 0;

  const write = () => {
    const at = Math.floor((size - 1) / BLOCK) * blockBytes;
    writeWhole(file, keys, at);
    writeWhole(file, signatures, at + keys.byteLength);
  };
  const keysOf = (band: number): Uint32Array => {
    const all = new Uint32Array(Math.ceil(size / BLOCK) * BLOCK);
    for (let block = 0; block * BLOCK < size; block++) {
      readWhole(
        file,
        all.subarray(block * BLOCK, (block + 1) * BLOCK),
        block * blockBytes + band * BLOCK * 4,
      );
    }
    return all.subarray(0, size);
  };
  const signatureOf = (index: number): Uint32Array => {
    const at = Math.floor(index / BLOCK) * blockBytes + keys.byteLength + (index % BLOCK) * HASHES * 4;
    return readWhole(file, new Uint32Array(HASHES), at);
  };

  return {
    add(text) {
      if (!exact.add(normalized(text))) return 'exact duplicate';
      const own = signature(text);
      const place = size++ % BLOCK;
      signatures.set(own, place * HASHES);
      for (let band = 0; band < BANDS; band++) keys[band * BLOCK + place] = bandKey(own, band);
      if (place === BLOCK - 1) write();
      return 'new';
    },
    get size() {
      return size;
    },
    compare(onProgress) {
      if (size % BLOCK !== 0) write();
      const duplicates = createUnion(size);
      const related = createUnion(size);
      for (let band = 0; band < BANDS; band++) {
        for (const members of agreeing(keysOf(band)))
          compareMembers(members, signatureOf, duplicates, related);
        onProgress?.(band + 1, BANDS);
      }
      const roots = (union: Union) => Int32Array.from({ length: size }, (_, i) => union.find(i));
      return { original: roots(duplicates), group: roots(related) };
    },
    close() {
      closeSync(file);
      rmSync(path, { force: true });
    },
  };
}

/** Lists of documents with equal keys, two or more in each, in rising order. */
function* agreeing(keys: Uint32Array): Generator<Uint32Array> {
  // Key above, index below, in one number of 64 bits: sorted natively, without a call for each comparison.
  const pairs = new BigUint64Array(keys.length);
  const halves = new Uint32Array(pairs.buffer);
  for (let i = 0; i < keys.length; i++) {
    halves[2 * i] = i;
    halves[2 * i + 1] = keys[i];
  }
  pairs.sort();
  for (let from = 0, to = 1; from < keys.length; from = to, to++) {
    while (to < keys.length && halves[2 * to + 1] === halves[2 * from + 1]) to++;
    if (to - from > 1) yield Uint32Array.from({ length: to - from }, (_, i) => halves[2 * (from + i)]);
  }
}

function compareMembers(
  members: Uint32Array,
  signatureOf: (index: number) => Uint32Array,
  duplicates: Union,
  related: Union,
): void {
  const representatives: { index: number; signature: Uint32Array }[] = [];
  for (const index of members) {
    if (representatives.some((other) => duplicates.find(other.index) === duplicates.find(index))) continue;
    const own = signatureOf(index);
    let repeats = false;
    for (const other of representatives) {
      const overlap = similarity(own, other.signature);
      if (overlap >= RELATED) related.join(index, other.index);
      if (overlap < DUPLICATE) continue;
      duplicates.join(index, other.index);
      repeats = true;
      break;
    }
    if (!repeats && representatives.length < REPRESENTATIVES) representatives.push({ index, signature: own });
  }
}

interface Union {
  find(index: number): number;
  join(a: number, b: number): void;
}

/** Disjoint sets; each is known by its lowest member. */
function createUnion(size: number): Union {
  const parents = Int32Array.from({ length: size }, (_, i) => i);
  const find = (index: number): number => {
    while (parents[index] !== index) index = parents[index] = parents[parents[index]];
    return index;
  };
  return {
    find,
    join(a, b) {
      const [x, y] = [find(a), find(b)];
      if (x < y) parents[y] = x;
      else parents[x] = y;
    },
  };
}

/** Texts by 64 bits of hash, in an open table of 16 to 32 bytes a text: a Set of numbers takes more and ends at 2^24. */
function createHashSet(): { add(text: string): boolean } {
  let table = new Uint32Array(2 * 4096);
  let count = 0;
  const insert = (into: Uint32Array, high: number, low: number): boolean => {
    const mask = into.length / 2 - 1;
    for (let at = low & mask; ; at = (at + 1) & mask) {
      if (into[2 * at] === high && into[2 * at + 1] === low) return false;
      if (into[2 * at] === 0 && into[2 * at + 1] === 0) {
        into[2 * at] = high;
        into[2 * at + 1] = low;
        return true;
      }
    }
  };
  return {
    add(text) {
      if (4 * count >= table.length) {
        const larger = new Uint32Array(2 * table.length);
        for (let i = 0; i < table.length; i += 2)
          if (table[i] || table[i + 1]) insert(larger, table[i], table[i + 1]);
        table = larger;
      }
      const [high, low] = hash64(text);
      const added = insert(table, high, low);
      if (added) count++;
      return added;
    },
  };
}

function bandKey(of: Uint32Array, band: number): number {
  let key = band;
  for (let row = 0; row < ROWS; row++) key = mix(Math.imul(key, 31) + of[band * ROWS + row]);
  return key;
}

/** What two texts have to share to be exact duplicates: their letters and digits, in any case and with any spacing. */
function normalized(text: string): string {
  const plain = text
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}]+/gu, ' ')
    .trim();
  // A text of signs alone, such as a row of emoji, is compared by its signs.
  return plain || text.trim();
}

/** FNV-1a of UTF-16 units, scrambled. */
function hashString(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** Two hashes of 32 bits that start and go differently, never both zero. */
function hash64(text: string): [number, number] {
  let [a, b] = [0x811c9dc5, 0x9747b28c];
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x5bd1e995);
    b ^= b >>> 13;
  }
  return [mix(a), mix(b) || 1];
}

function writeWhole(file: number, array: Uint32Array, at: number): void {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  for (let done = 0; done < bytes.length; )
    done += writeSync(file, bytes, done, bytes.length - done, at + done);
}

function readWhole(file: number, array: Uint32Array, at: number): Uint32Array {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  for (let done = 0; done < bytes.length; ) {
    const read = readSync(file, bytes, done, bytes.length - done, at + done);
    if (read === 0) throw new Error('The file of signatures ended early: the disk may be full.');
    done += read;
  }
  return array;
}
