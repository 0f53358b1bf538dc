import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Command } from 'commander';
import { countParameters } from '../../architecture/gpt.ts';
import { parseGptConfig } from '../../architecture/gpt-config.ts';
import { contextName } from '../../generation/model.ts';
import { type OnnxModel, readOnnx } from '../../graph/onnx.ts';
import { findImageFolders } from '../../service/image-folder.ts';
import { type GraphFile, graphsIn } from '../../service/model-files.ts';
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
  /** By the configuration where it is one of wick's own architectures, else as many as a graph has stored. */
  parameters?: number | undefined;
  vocabulary?: number | undefined;
  context?: number | undefined;
  /** Pixels a side of the images that are drawn. */
  size?: number;
  /** Of all its graphs. */
  bytes: number;
  graphs: GraphFile[];
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
      for (const { id, architecture, parameters, vocabulary, context, size, bytes, graphs } of list) {
        const figures = [
          architecture,
          parameters && `${formatCount(parameters)} parameters`,
          vocabulary && `${formatCount(vocabulary)} tokens of vocabulary`,
          context && `${context} tokens of context`,
          size && `draws ${size}x${size}`,
          `${formatBytes(bytes)} on disk`,
        ];
        console.log(`${id}  ${figures.filter(Boolean).join(', ')}`);
        for (const { name, precision, bytes } of graphs)
          console.log(`  ${name}  ${precision}  ${formatBytes(bytes)}`);
      }
    });
}

function showServer(models: ServerModel[]): void {
  if (models.length === 0) console.log('The server lists no model.');
  for (const { id, owned_by, wick } of models) {
    const state = wick?.state && `${wick.state} on the service`;
    const figures = [owned_by && `of ${owned_by}`, wick?.kind, wick?.placements?.join(' and '), state];
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
    parameters: parametersOf(config) ?? storedParameters([join(folder, 'onnx')]),
    vocabulary: config.vocab_size,
    context: config[contextName(config)],
    ...graphsOf(folder, ['onnx']),
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
    parameters: storedParameters(parts.map((part) => join(folder, part))),
    ...graphsOf(folder, parts),
  };
}

/** The graphs in the parts of a folder. */
function graphsOf(folder: string, parts: readonly string[]): Pick<ModelInfo, 'bytes' | 'graphs'> {
  const graphs = parts.flatMap((part) =>
    graphsIn(join(folder, part)).map((graph) => ({ ...graph, name: `${part}/${graph.name}` })),
  );
  return { graphs, bytes: graphs.reduce((sum, { bytes }) => sum + bytes, 0) };
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

/** ONNX's numbers for float32, float16 and bfloat16. */
const FLOATS = [1, 10, 16];
/** Bytes of a graph file that is read for its parameters to be counted. */
const READ_BYTES = 500_000_000;

/** The numbers that unquantised graphs store, one graph of each folder; undefined where that cannot be told. */
function storedParameters(folders: readonly string[]): number | undefined {
  const graphs = folders.flatMap((folder) => {
    const graph = graphsIn(folder).find(({ precision }) => precision === 'fp32' || precision === 'fp16');
    return graph ? [join(folder, graph.name)] : [];
  });
  if (graphs.length === 0 || graphs.some((path) => statSync(path).size > READ_BYTES)) return undefined;
  try {
    return graphs.reduce((sum, path) => sum + floatsIn(readOnnx(readFileSync(path))), 0);
  } catch {
    // A file that is no graph is listed, too; whoever opens it is told.
    return undefined;
  }
}

const floatsIn = ({ graph }: OnnxModel): number =>
  (graph.initializer ?? [])
    .filter(({ dataType }) => FLOATS.includes(Number(dataType)))
    .reduce((sum, { dims }) => sum + (dims ?? []).reduce<number>((size, dim) => size * Number(dim), 1), 0);

function parametersOf(config: Config): number | undefined {
  if (config.architectures?.[0] !== 'LlamaForCausalLM') return undefined;
  try {
    return countParameters(parseGptConfig(config));
  } catch {
    return undefined;
  }
}
