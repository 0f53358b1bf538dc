/** The files of a model folder, without opening a graph. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { keepsWeightsOf } from '../generation/weight-files.ts';

export interface GraphFile {
  /** `model_q4.onnx` */
  name: string;
  /** Of its weights, as its name says it. */
  precision: string;
  /** With the weights that it keeps in files of their own. */
  bytes: number;
}

/** How exporters call a text model's graph; the second holds one for the first step and one for those behind it. */
const textGraphs = ['model', 'decoder_model_merged'];

/**
 * Which of a text model's graphs is meant, by its name; undefined if there is none.
 * @param variant '' for `model.onnx`, or the only graph there is; 'q4' for `model_q4.onnx`
 */
export function chooseTextGraph(names: readonly string[], variant: string): string | undefined {
  const graphs = names.filter((name) => name.endsWith('.onnx'));
  const wanted = textGraphs.map((name) => `${name}${variant && `_${variant}`}.onnx`);
  const only = variant === '' && graphs.length === 1 ? graphs[0] : undefined;
  return wanted.find((name) => graphs.includes(name)) ?? only;
}

/** By the endings that Transformers.js gives to names, each as people call it. */
const precisions: Readonly<Record<string, string>> = {
  '': 'fp32',
  fp16: 'fp16',
  quantized: 'q8',
  int8: 'q8',
  uint8: 'q8',
  q4: 'q4',
  q4f16: 'q4, the rest fp16',
  bnb4: 'bnb4',
};

function precisionOf(name: string): string {
  const ending = /_([a-z0-9]+)\.onnx$/.exec(name)?.[1] ?? '';
  return precisions[ending] ?? precisions[''];
}

/** The graphs in one folder. */
export function graphsIn(folder: string): GraphFile[] {
  const files = existsSync(folder) ? readdirSync(folder).sort() : [];
  const graphs = files.filter((file) => file.endsWith('.onnx'));
  const bytesOf = (graph: string) =>
    files
      // diffusers' own script calls them weights.pb, whatever the graph is called.
      .filter((file) => file === graph || keepsWeightsOf(graph, file) || file === 'weights.pb')
      .reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
  return graphs.map((name) => ({ name, precision: precisionOf(name), bytes: bytesOf(name) }));
}

/**
 * Bytes of the weights that a model loads: of a text model's graph, of all parts of an image model.
 * @param variant which graph, where there are several: '' for model.onnx, 'q4' for model_q4.onnx
 */
export function weightBytes(folder: string, variant = ''): number {
  const ofImages = [`model${variant && `_${variant}`}.onnx`, 'model.onnx', 'model_fp16.onnx'];
  const parts = readdirSync(folder, { withFileTypes: true }).filter((entry) => !entry.isFile());
  return parts.reduce((sum, { name: part }) => {
    const graphs = graphsIn(join(folder, part));
    const names = graphs.map(({ name }) => name);
    const chosen = chooseTextGraph(names, variant) ?? ofImages.find((name) => names.includes(name));
    return sum + (graphs.find(({ name }) => name === chosen)?.bytes ?? 0);
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
