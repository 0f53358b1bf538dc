import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Command } from 'commander';
import { countParameters } from '../../architecture/gpt.ts';
import { parseGptConfig } from '../../architecture/gpt-config.ts';
import { contextName } from '../../generation/model.ts';
import { findImageFolders } from '../../service/image-folder.ts';
import { graphsIn } from '../../service/model-files.ts';
import { findModelFolders } from '../../service/model-folder.ts';
import { cachedModels, resolveModel } from '../hub/model-cache.ts';
import { formatBytes, formatCount, printJson } from '../output.ts';
import { type ServerModel, serverModels } from '../remote/models.ts';
import {
  addServerOptions,
  printable,
  refuseLocalOptions,
  type ServerOptions,
  serverOf,
} from '../remote/server.ts';

interface ModelInfo {
  id: string;
  kind: 'text' | 'image';
  folder: string;
  architecture: string;
  /** Known for the architectures that wick builds itself. */
  parameters?: number | undefined;
  vocabulary?: number | undefined;
  context?: number | undefined;
  /** Pixels a side of the images that are drawn. */
  size?: number;
  /** With the weights that a graph keeps in files of their own (`model.onnx_data`). */
  graphs: { name: string; bytes: number }[];
}

interface Config {
  architectures?: string[];
  vocab_size?: number;
  max_position_embeddings?: number;
  n_positions?: number;
  max_seq_len?: number;
  seq_length?: number;
}

interface Options extends ServerOptions {
  models?: string[];
  json?: boolean;
}

/** `wick models`: the model folders there are, or the models of a server. */
export function modelsCommand(): Command {
  const command = new Command('models')
    .description('List model folders, or the models of a server.')
    .option(
      '--models <dirs...>',
      'model folders, or folders of them; by default models, and what was pulled',
    );
  return addServerOptions(command)
    .option('--json', 'print them as one line of JSON')
    .action(async ({ models: named, json, ...options }: Options) => {
      const models = named?.map(resolveModel) ?? ['models', ...cachedModels()];
      const server = serverOf(options);
      if (server) {
        refuseLocalOptions(command, ['models']);
        const list = await serverModels(server);
        return json ? printJson({ models: list }) : showServer(list);
      }
      const list = [
        ...models.flatMap(findModelFolders).map(describe),
        ...models.flatMap(findImageFolders).map(describeImages),
      ];
      if (json) return printJson({ models: list });
      if (list.length === 0) console.log(`No model is in ${models.join(', ')}.`);
      for (const { id, architecture, parameters, vocabulary, context, size, graphs } of list) {
        const figures = [
          architecture,
          parameters && `${formatCount(parameters)} parameters`,
          vocabulary && `${formatCount(vocabulary)} tokens of vocabulary`,
          context && `${context} of context`,
          size && `draws ${size}x${size}`,
        ];
        console.log(`${id}  ${figures.filter(Boolean).join(', ')}`);
        for (const { name, bytes } of graphs) console.log(`  ${name}  ${formatBytes(bytes)}`);
      }
    });
}

function showServer(models: ServerModel[]): void {
  if (models.length === 0) console.log('The server lists no model.');
  for (const { id, owned_by, wick } of models) {
    const figures = [owned_by && `of ${owned_by}`, wick?.kind, wick?.placements?.join(' and ')];
    console.log(printable(`${id}  ${figures.filter(Boolean).join(', ')}`.trimEnd()));
  }
}

function describe(folder: string): ModelInfo {
  const config = readConfig(join(folder, 'config.json'));
  return {
    id: basename(folder),
    kind: 'text',
    folder,
    architecture: config.architectures?.[0] ?? 'unknown',
    parameters: parametersOf(config),
    vocabulary: config.vocab_size,
    context: config[contextName(config)],
    graphs: graphsIn(join(folder, 'onnx')).map(({ name, bytes }) => ({ name: `onnx/${name}`, bytes })),
  };
}

/** A diffusers folder: a graph in each of its parts. */
function describeImages(folder: string): ModelInfo {
  const index = readConfig(join(folder, 'model_index.json')) as { _class_name?: string };
  const parts = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
  const sizeOf = (part: string): number | undefined => {
    const path = join(folder, part, 'config.json');
    const { sample_size } = existsSync(path) ? (readConfig(path) as { sample_size?: unknown }) : {};
    return typeof sample_size === 'number' ? sample_size : undefined;
  };
  return {
    id: basename(folder),
    kind: 'image',
    folder,
    architecture: index._class_name ?? 'unknown',
    // Of latent diffusion the autoencoder knows how large an image is.
    size: sizeOf('vae_decoder') ?? sizeOf('transformer'),
    graphs: parts.flatMap((part) =>
      graphsIn(join(folder, part)).map(({ name, bytes }) => ({ name: `${part}/${name}`, bytes })),
    ),
  };
}

function readConfig(path: string): Config {
  let config: unknown;
  try {
    config = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(`${path} is not JSON: ${(error as Error).message}.`, { cause: error });
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    throw new Error(`${path} is not a model configuration: it has to be a JSON object.`);
  return config;
}

/** Other architectures are listed too, without a count. */
function parametersOf(config: Config): number | undefined {
  if (config.architectures?.[0] !== 'LlamaForCausalLM') return undefined;
  try {
    return countParameters(parseGptConfig(config));
  } catch {
    return undefined;
  }
}
