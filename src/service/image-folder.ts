/** Text-to-image models from diffusers folders on disk, run by onnxruntime-node. */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import type * as Ort from 'onnxruntime-node';
import {
  createImageModel,
  createSafetyChecker,
  type ImageModel,
  type SafetyChecker,
} from '../generation/image/image-model.ts';
import type { TokenizerFiles } from '../generation/image/prompt-tokenizer.ts';
import type { SchedulerConfig } from '../generation/image/schedulers/index.ts';
import { loadRuntime, openSession, type RuntimeOptions } from './runtime.ts';

export interface ImageLoadOptions extends RuntimeOptions {
  /** Which of the folder's graphs, where there are several: '' for model.onnx, 'fp16' for model_fp16.onnx. */
  variant?: string;
  /** The folder of a safety checker that looks at what the model draws, in the place of its own. */
  safetyChecker?: string;
}

/**
 * Loads a diffusers pipeline's folder: wick's own, or Stable Diffusion's as diffusers or optimum-onnx exports it.
 * @throws Error naming the file that is missing or not right, or the provider that does not run here
 */
export async function loadImageFolder(
  folder: string,
  { provider = 'cpu', threads = 0, variant = '', safetyChecker }: ImageLoadOptions = {},
): Promise<ImageModel> {
  const path = resolve(folder);
  const checker = checkerFiles(safetyChecker ?? path);
  if (safetyChecker && !checker) throw noChecker(safetyChecker);
  const json = (...names: string[]): object | undefined => {
    const name = names.find((name) => existsSync(join(path, name)));
    return name ? readJsonFile(join(path, name)) : undefined;
  };
  const index = json('model_index.json');
  if (!index) throw new Error(`${path} is no image model: it lacks model_index.json.`);
  const scheduler = json('scheduler/scheduler_config.json') as SchedulerConfig | undefined;
  if (!scheduler) throw new Error(`The image model ${path} lacks scheduler/scheduler_config.json.`);
  const ort = await loadRuntime();
  const graphOf = (...parts: string[]): string | undefined => {
    const names = [`model${variant && `_${variant}`}.onnx`, 'model.onnx', 'model_fp16.onnx'];
    return parts.flatMap((part) => names.map((name) => join(path, part, name))).find(existsSync);
  };
  const open = async (...parts: string[]): Promise<Ort.InferenceSession | undefined> => {
    const graph = graphOf(...parts);
    return graph ? await openSession(ort, graph, { provider, threads }) : undefined;
  };
  const needed = async (...parts: string[]): Promise<Ort.InferenceSession> => {
    const session = await open(...parts);
    if (!session)
      throw new Error(
        `The image model ${path} lacks ${parts.map((part) => `${part}/model.onnx`).join(' or ')}.`,
      );
    return session;
  };
  const tokenizer: TokenizerFiles = {
    'tokenizer.json': json('tokenizer/tokenizer.json'),
    'tokenizer_config.json': json('tokenizer/tokenizer_config.json'),
    'vocab.json': json('tokenizer/vocab.json'),
    'merges.txt': textOf(join(path, 'tokenizer/merges.txt')),
  };
  const latent =
    graphOf('vae_decoder') !== undefined || json('vae_decoder/config.json', 'vae/config.json') !== undefined;
  return createImageModel({
    id: basename(path),
    index,
    scheduler,
    tokenizer,
    denoiserConfig: json('transformer/config.json', 'unet/config.json'),
    textEncoderConfig: json('text_encoder/config.json'),
    vaeConfig: json('vae_decoder/config.json', 'vae/config.json', 'vae_encoder/config.json'),
    preprocessorConfig: checker?.preprocessor,
    sessions: {
      textEncoder: await needed('text_encoder'),
      denoiser: await needed('transformer', 'unet'),
      vaeDecoder: latent ? await needed('vae_decoder') : undefined,
      vaeEncoder: await open('vae_encoder'),
      safetyChecker: checker && (await openSession(ort, checker.graph, { provider, threads })),
    },
    Tensor: ort.Tensor,
  });
}

/**
 * Loads a safety checker: the folder of its graph, or a pipeline's that has one.
 * @throws Error if there is none, or it is not right
 */
export async function loadSafetyChecker(
  folder: string,
  options: RuntimeOptions = {},
): Promise<SafetyChecker> {
  const files = checkerFiles(folder);
  if (!files) throw noChecker(folder);
  const ort = await loadRuntime();
  return createSafetyChecker(await openSession(ort, files.graph, options), ort.Tensor, files.preprocessor);
}

const noChecker = (folder: string): Error =>
  new Error(
    `${resolve(folder)} has no safety checker: neither model.onnx nor safety_checker/model.onnx is in it.`,
  );

/** The graph of the safety checker in a folder, and how images are made ready for it; undefined if there is none. */
export function checkerFiles(folder: string): { graph: string; preprocessor?: object } | undefined {
  const first = (...names: string[]) => names.map((name) => resolve(folder, name)).find(existsSync);
  const own = existsSync(resolve(folder, 'model_index.json')) ? [] : ['model.onnx'];
  const graph = first(...own, 'safety_checker/model.onnx', 'safety_checker/model_fp16.onnx');
  if (!graph) return undefined;
  const preprocessor = first(
    ...own.map(() => 'preprocessor_config.json'),
    'feature_extractor/preprocessor_config.json',
    'safety_checker/preprocessor_config.json',
    ...own.map(() => '../feature_extractor/preprocessor_config.json'),
  );
  return { graph, ...(preprocessor && { preprocessor: readJsonFile(preprocessor) }) };
}

/** Bytes that are read of the beginning of a graph and of its end, to tell it from another. */
const GLIMPSE = 65_536;

/**
 * A short hash of a model's folder, the same on every machine: of each file, which may be
 * gigabytes, its name, its size and a glimpse of both ends.
 */
export function folderVersion(folder: string): string {
  const hash = createHash('sha256');
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(json|txt|onnx|onnx_data|data|pb)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  for (const name of names) {
    const { size } = statSync(name);
    hash.update(`${relative(folder, name)}\n${size}\n`);
    const descriptor = openSync(name, 'r');
    try {
      for (const at of [0, Math.max(GLIMPSE, size - GLIMPSE)]) {
        const bytes = Buffer.alloc(Math.max(0, Math.min(GLIMPSE, size - at)));
        hash.update(bytes.subarray(0, readSync(descriptor, bytes, 0, bytes.length, at)));
      }
    } finally {
      closeSync(descriptor);
    }
  }
  return hash.digest('hex').slice(0, 16);
}

/** The image models in a folder: the folder itself, or those below it, with a model_index.json. */
export function findImageFolders(folder: string): string[] {
  const path = resolve(folder);
  if (!existsSync(path)) throw new Error(`There is no folder ${path}.`);
  const isModel = (candidate: string) => existsSync(join(candidate, 'model_index.json'));
  if (isModel(path)) return [path];
  return readdirSync(path)
    .sort()
    .map((name) => join(path, name))
    .filter(isModel);
}

function readJsonFile(path: string): object {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(`${path} is not JSON: ${(error as Error).message}.`, { cause: error });
  }
}

const textOf = (path: string): string | undefined =>
  existsSync(path) ? readFileSync(path, 'utf8') : undefined;
