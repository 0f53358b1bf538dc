import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Command } from 'commander';
import { findModelFolders } from '../../service/model-folder.ts';
import { formatBytes, formatCount, printJson } from '../output.ts';

interface ModelInfo {
  id: string;
  folder: string;
  architecture: string;
  vocabulary: number | undefined;
  context: number | undefined;
  graphs: { name: string; bytes: number }[];
}

/** `wick models`: the model folders there are. */
export function modelsCommand(): Command {
  return new Command('models')
    .description('List model folders.')
    .option('--models <dirs...>', 'model folders, or folders of them', ['models'])
    .option('--json', 'print them as one line of JSON')
    .action(({ models, json }: { models: string[]; json?: boolean }) => {
      const list = models.flatMap(findModelFolders).map(describe);
      if (json) return printJson({ models: list });
      if (list.length === 0) console.log(`No model is in ${models.join(', ')}.`);
      for (const { id, architecture, vocabulary, context, graphs } of list) {
        const figures = [
          architecture,
          vocabulary && `${formatCount(vocabulary)} tokens of vocabulary`,
          context && `${context} of context`,
        ];
        console.log(`${id}  ${figures.filter(Boolean).join(', ')}`);
        for (const { name, bytes } of graphs) console.log(`  ${name}  ${formatBytes(bytes)}`);
      }
    });
}

function describe(folder: string): ModelInfo {
  const path = join(folder, 'config.json');
  let config: {
    architectures?: string[];
    vocab_size?: number;
    max_position_embeddings?: number;
    n_positions?: number;
  };
  try {
    config = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(`${path} is not JSON: ${(error as Error).message}.`, {
      cause: error,
    });
  }
  const onnx = join(folder, 'onnx');
  const names = existsSync(onnx) ? readdirSync(onnx).filter((name) => name.endsWith('.onnx')) : [];
  return {
    id: basename(folder),
    folder,
    architecture: config.architectures?.[0] ?? 'unknown',
    vocabulary: config.vocab_size,
    context: config.max_position_embeddings ?? config.n_positions,
    graphs: names.map((name) => ({
      name: `onnx/${name}`,
      bytes: statSync(join(onnx, name)).size,
    })),
  };
}
