/**
 * Safetensors files (https://huggingface.co/docs/safetensors): eight bytes of header length, a JSON header that
 * names every tensor's type, shape and place, then the bytes of all tensors.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

export interface NamedTensor {
  name: string;
  shape: readonly number[];
  data: Float32Array;
}

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

const HEADER_LIMIT = 100_000_000;

/**
 * Writes a file whole or not at all: under another name first, flushed to disk, then renamed over the old one.
 * @throws Error naming the file where the disk refuses (full, read-only, …); a file of that name stays as it was
 */
export function writeSafetensors(
  path: string,
  tensors: readonly NamedTensor[],
  metadata: Readonly<Record<string, string>> = {},
): void {
  const header: Record<string, Entry | Readonly<Record<string, string>>> = {
    __metadata__: metadata,
  };
  let offset = 0;
  for (const { name, shape, data } of tensors) {
    header[name] = {
      dtype: 'F32',
      shape: [...shape],
      data_offsets: [offset, offset + data.byteLength],
    };
    offset += data.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header));
  // The format asks for tensors aligned to 8 bytes; spaces after the JSON are allowed for that.
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const partial = `${path}.partial`;
  try {
    const file = openSync(partial, 'w');
    try {
      for (const part of [length, padded, ...tensors.map(({ data }) => bytesOf(data))]) writeAll(file, part);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(partial, path);
    syncFolder(dirname(path));
  } catch (error) {
    rmSync(partial, { force: true });
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'ENOSPC' ? 'the disk is full' : message;
    throw new Error(`Could not write ${path} (${8 + padded.length + offset} bytes): ${why}.`, {
      cause: error,
    });
  }
}

/**
 * Reads a file of float32 tensors.
 * @throws Error naming the file and what is wrong with it
 */
export function readSafetensors(path: string): {
  tensors: Map<string, NamedTensor>;
  metadata: Record<string, string>;
} {
  const bytes = readFileSync(path);
  const broken = (why: string) => new Error(`${path} is not a whole safetensors file: ${why}.`);
  if (bytes.length < 8) throw broken(`it has ${bytes.length} bytes`);
  const length = Number(bytes.readBigUInt64LE(0));
  if (length > HEADER_LIMIT || 8 + length > bytes.length) {
    throw broken(`its header should have ${length} bytes, the file has ${bytes.length}`);
  }
  let header: Record<string, Entry>;
  try {
    header = JSON.parse(bytes.toString('utf8', 8, 8 + length));
  } catch {
    throw broken('its header is not JSON');
  }
  const { __metadata__: metadata = {}, ...entries } = header as Record<string, Entry> & {
    __metadata__?: never;
  };
  const start = 8 + length;
  const tensors = new Map<string, NamedTensor>();
  let end = 0;
  for (const [name, entry] of Object.entries(entries)) {
    const { dtype, shape, data_offsets: offsets } = entry ?? {};
    if (dtype !== 'F32' || !Array.isArray(shape) || !Array.isArray(offsets)) {
      throw broken(
        `the tensor "${name}" is ${JSON.stringify(dtype)}, where F32 with a shape and a place is expected`,
      );
    }
    const count = shape.reduce((a, b) => a * b, 1);
    if (offsets[1] - offsets[0] !== 4 * count || start + offsets[1] > bytes.length || offsets[0] < 0) {
      throw broken(
        `the tensor "${name}" of shape [${shape.join(', ')}] should lie at ${offsets.join(' to ')}`,
      );
    }
    end = Math.max(end, offsets[1]);
    const data = new Float32Array(count);
    bytesOf(data).set(bytes.subarray(start + offsets[0], start + offsets[1]));
    tensors.set(name, { name, shape, data });
  }
  if (start + end !== bytes.length)
    throw broken(`its tensors end at byte ${start + end}, the file at ${bytes.length}`);
  return { tensors, metadata: metadata as Record<string, string> };
}

function bytesOf(data: Float32Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

/** A rename is safe against power loss only when its folder is flushed too; where folders cannot be opened, skip it. */
function syncFolder(path: string): void {
  let folder: number;
  try {
    folder = openSync(path, 'r');
  } catch {
    return;
  }
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
