/** What is wrong with a graph that does not open, told from its files: onnxruntime tells where in its code it gave up. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { externalFiles } from '../generation/weight-files.ts';

/** Bytes of a graph file that is looked into. One that is larger has its weights in itself. */
const LOOKED_INTO = 1_000_000_000;

/** How a file begins that stands for another one in a Git repository. */
const POINTER = 'version https://git-lfs';

/** A sentence that names the file which is at fault; undefined where none can be seen to be. */
export function faultOfGraph(path: string): string | undefined {
  if (!existsSync(path)) return `There is no graph ${path}.`;
  if (statSync(path).size > LOOKED_INTO) return undefined;
  const bytes = readFileSync(path);
  if (isPointer(bytes)) return pointer(path);
  let files: Map<string, number>;
  try {
    files = externalFiles(bytes);
  } catch {
    return `${path} is not an ONNX graph, or not the whole of one: it has ${bytes.length} bytes.`;
  }
  for (const [name, needed] of files) {
    const file = join(dirname(path), name);
    if (!existsSync(file)) return `${file} is missing, in which ${basename(path)} keeps weights.`;
    const { size } = statSync(file);
    if (size >= needed) continue;
    if (isPointer(readFileSync(file))) return pointer(file);
    return `${file} is cut short: it has ${size} bytes, and ${basename(path)} keeps ${needed} in it.`;
  }
  return undefined;
}

const isPointer = (bytes: Uint8Array) =>
  Buffer.from(bytes.subarray(0, POINTER.length)).toString('latin1') === POINTER;

const pointer = (path: string) =>
  `${path} only points to a file of that name (Git LFS): fetch that one, with \`git lfs pull\` or \`wick pull\`.`;
