/** The files of a model folder, without opening a graph. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

export interface GraphFile {
  /** `model_q4.onnx` */
  name: string;
  /** With the weights that it keeps in files of their own. */
  bytes: number;
}

/** The graphs in one folder. */
export function graphsIn(folder: string): GraphFile[] {
  const files = existsSync(folder) ? readdirSync(folder).sort() : [];
  const graphs = files.filter((file) => file.endsWith('.onnx'));
  const bytesOf = (graph: string) =>
    files
      // Weights beside a graph are called after it; diffusers' own script calls them weights.pb.
      .filter((file) => file === graph || file.startsWith(`${graph}_data`) || file === 'weights.pb')
      .reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
  return graphs.map((name) => ({ name, bytes: bytesOf(name) }));
}

/**
 * Bytes of the weights that a model loads: of a text model's graph, of all parts of an image model.
 * @param variant which graph, where there are several: '' for model.onnx, 'q4' for model_q4.onnx
 */
export function weightBytes(folder: string, variant = ''): number {
  const wanted = [`model${variant && `_${variant}`}.onnx`, 'model.onnx', 'model_fp16.onnx'];
  const parts = readdirSync(folder, { withFileTypes: true }).filter((entry) => !entry.isFile());
  return parts.reduce((sum, { name: part }) => {
    const graphs = graphsIn(join(folder, part));
    const chosen = wanted.map((name) => graphs.find((graph) => graph.name === name)).find(Boolean);
    return sum + (chosen?.bytes ?? 0);
  }, 0);
}

/** Changes when any file of a folder does: a hash of their names, sizes and times. */
export function folderStamp(folder: string): string {
  const hash = createHash('sha256');
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const { size, mtimeMs, ino } = statSync(path);
    hash.update(`${relative(folder, path)}\n${size}\n${mtimeMs}\n${ino}\n`);
  }
  return hash.digest('hex');
}
