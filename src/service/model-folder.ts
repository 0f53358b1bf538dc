/** Text models from folders on disk, run by onnxruntime-node. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { cacheOutputs } from '../generation/cache-outputs.ts';
import { createBatchDecoder } from '../generation/engine/batch-decoder.ts';
import { givesSameBits } from '../generation/engine/same-bits.ts';
import { createTextModel, type TextModel } from '../generation/model.ts';
import { isStepGraph, stepFile, withHiddenStates } from '../generation/published-graph.ts';
import { modelRevision } from '../generation/revision.ts';
import { readJsonFile } from './json-file.ts';
import { isJudgingFolder } from './judging-folder.ts';
import { chooseTextGraph } from './model-files.ts';
import { graphFiles, loadRuntime, openSession, type Provider, type RuntimeOptions } from './runtime.ts';

export { type Provider, providers } from './runtime.ts';

export interface LoadOptions extends RuntimeOptions {
  /** Which of the folder's graphs: '' for onnx/model.onnx, or the only one; 'q4' for onnx/model_q4.onnx. */
  variant?: string;
  /**
   * Whether the graph is made one of steps, for many sequences at once, where it can be. Told why where it cannot; on
   * other providers than the processor it is not.
   */
  steps?: (why: string) => void;
  /** Whether a graph that gives no hidden states is made to, where it can be, so that the model gives embeddings. */
  embeddings?: boolean;
}

/** Bytes of a graph file that is read into memory to be changed. */
const CHANGED_BYTES = 1_000_000_000;

/**
 * Loads a model folder in Hugging Face's layout.
 * @throws Error naming the file that is missing or not right, or the provider that does not run here
 */
export async function loadModelFolder(
  folder: string,
  { provider = 'cpu', threads = 0, variant = '', embeddings = false, steps }: LoadOptions = {},
): Promise<TextModel> {
  const path = resolve(folder);
  if (!existsSync(path)) throw new Error(`There is no model folder ${path}.`);
  const graph = graphOf(path, variant);
  const json = (name: string) => readJsonFile(join(path, name));
  const files = {
    id: basename(path),
    config: json('config.json'),
    generationConfig: existsSync(join(path, 'generation_config.json')) ? json('generation_config.json') : {},
    tokenizer: json('tokenizer.json'),
    tokenizerConfig: tokenizerConfig(path, json('tokenizer_config.json')),
  };
  const ort = await loadRuntime();
  const small = statSync(graph).size <= CHANGED_BYTES;
  const changes = small && (embeddings || steps);
  if (!small && provider === 'cpu') steps?.('its file is larger than a gigabyte, its weights not beside it');
  const onDevice = keepsCacheOnDevice(provider);
  const file = changes || onDevice ? readFileSync(graph) : undefined;
  let changed = file && changes && embeddings ? withHiddenStates(file) : undefined;
  const stepped = file && changes && steps && provider === 'cpu' ? stepFile(changed ?? file) : undefined;
  let cores = threads;
  if (typeof stepped === 'string') steps?.(stepped);
  else if (stepped) {
    changed = stepped.file;
    cores = Math.min(threads || availableParallelism(), stepped.threads);
  }
  const [session, hashes] = await Promise.all([
    openSession(
      ort,
      graph,
      { provider, threads: cores },
      { changed, onDevice: file && onDevice ? cacheOutputs(changed ?? file) : [] },
    ),
    Promise.all(graphFiles(graph).map(hashFile)),
  ]);
  const revision = await modelRevision({ ...files, graph: hashes });
  const execution = {
    runtime: `onnxruntime-node ${ort.env.versions.node}`,
    provider,
    threads: cores || availableParallelism(),
  };
  const model = createTextModel({ ...files, session, Tensor: ort.Tensor, revision, execution });
  if (!isStepGraph(session.inputNames) || (await givesSameBits(createBatchDecoder(model)))) return model;
  await session.release();
  steps?.('one of its operators computes a token alone otherwise than among others');
  return loadModelFolder(folder, { provider, threads, variant, embeddings });
}

/** Whether keys and values stay in a GPU's memory from step to step. Of CUDA's tensors JavaScript has no form. */
export const keepsCacheOnDevice = (provider: Provider): boolean => provider === 'webgpu';

function graphOf(path: string, variant: string): string {
  const folder = join(path, 'onnx');
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const chosen = chooseTextGraph(names, variant);
  if (chosen) return join(folder, chosen);
  const others = names.filter((name) => name.endsWith('.onnx')).sort();
  const there = others.length > 0 ? `; it has ${others.join(', ')}` : '';
  throw new Error(`The model folder ${path} lacks onnx/model${variant && `_${variant}`}.onnx${there}.`);
}

/** SHA-256 of a file of any size, in hexadecimal. */
async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

/** The folders of text models in a folder: those with a config.json and an onnx folder, classifiers left out. */
export function findModelFolders(folder: string): string[] {
  const path = resolve(folder);
  if (!existsSync(path)) throw new Error(`There is no folder ${path}.`);
  const isModel = (candidate: string) =>
    existsSync(join(candidate, 'config.json')) &&
    existsSync(join(candidate, 'onnx')) &&
    !isJudgingFolder(candidate);
  if (isModel(path)) return [path];
  return readdirSync(path)
    .sort()
    .map((name) => join(path, name))
    .filter((candidate) => statSync(candidate).isDirectory() && isModel(candidate));
}

/** Newer folders keep the chat template in a file of its own. */
function tokenizerConfig(folder: string, config: object): object {
  const file = join(folder, 'chat_template.jinja');
  return existsSync(file) ? { ...config, chat_template: readFileSync(file, 'utf8') } : config;
}
