import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type OnnxModel, readOnnx, writeOnnx } from '../../graph/onnx.ts';
import { inlineExternalData, keepsWeightsOf } from '../../graph/rewrites/external-data.ts';
import { toHalfPrecision } from '../../graph/rewrites/half-precision.ts';
import { type Precision, quantizeModel } from '../../graph/rewrites/quantize.ts';
import { loadModelFolder } from '../../service/model-folder.ts';
import { resolveModel } from '../hub/model-cache.ts';
import { formatBytes, printJson } from '../output.ts';
import { readTexts, scoreTexts } from './eval/bits-per-byte.ts';

interface Options {
  to: Target;
  head?: Name;
  embedding: Name;
  block: number;
  text?: string[];
  force?: boolean;
  json?: boolean;
}

/** What a graph can be made into, and how Transformers.js calls its file. */
const suffixes = { q8: 'quantized', q4: 'q4', fp16: 'fp16' } as const;
type Target = keyof typeof suffixes;
const precisions = { q8: 8, q4: 4, full: 'full' } as const satisfies Record<string, Precision>;
type Name = keyof typeof precisions;

/** `wick quantize MODEL --to q8|q4|fp16`: a smaller graph beside a model folder's own. */
export function quantizeCommand(): Command {
  const names = Object.keys(precisions);
  return new Command('quantize')
    .description(
      "Make a text model's float32 graph smaller: weights of 8 or 4 bits in blocks that share a scale, or all in half precision. With texts, tell what it costs in bits a byte.",
    )
    .argument('<model>', 'a model folder with onnx/model.onnx')
    .addOption(
      new Option('--to <precision>', 'what to make').choices(Object.keys(suffixes)).makeOptionMandatory(),
    )
    .addOption(new Option('--head <precision>', 'the product that gives the logits').choices(names))
    .addOption(
      new Option('--embedding <precision>', 'the table of embeddings').choices(names).default('full'),
    )
    .option('--block <n>', 'weights that share a scale: 16, 32, 64, …', blockSize, 32)
    .option('--text <files...>', 'texts to measure before and after')
    .option('--force', 'write over a graph that is there')
    .option('--json', 'print the result as one line of JSON')
    .action(async (folder: string, options: Options) => {
      const { to } = options;
      const path = resolve(resolveModel(folder));
      const [source, target] = ['', `_${suffixes[to]}`].map((suffix) =>
        join(path, 'onnx', `model${suffix}.onnx`),
      );
      if (!existsSync(source)) throw new Error(`The model folder ${path} lacks onnx/model.onnx.`);
      if (existsSync(target) && !options.force)
        throw new Error(`${target} is there already; --force writes over it.`);
      const texts = readTexts(options.text ?? []);
      const model = readModel(source);
      rewrite(model, options);
      writeFileSync(target, writeOnnx(model));
      const measure = async (variant: string) =>
        texts.length > 0 ? await scoreTexts(await loadModelFolder(path, { variant }), texts) : undefined;
      const [before, after] = [await measure(''), await measure(suffixes[to])];
      const result = {
        file: target,
        bytes_before: sizeOf(source),
        bytes: statSync(target).size,
        ...(before &&
          after && { bits_per_byte_before: before.bits_per_byte, bits_per_byte: after.bits_per_byte }),
      };
      if (options.json) return printJson(result);
      console.log(`${target}: ${formatBytes(result.bytes_before)} are ${formatBytes(result.bytes)} now.`);
      if (before && after) {
        const [from, now] = [before, after].map(({ bits_per_byte }) => bits_per_byte);
        console.log(
          `${from.toFixed(4)} bits a byte before, ${now.toFixed(4)} now (${percent(now / from - 1)}).`,
        );
      }
    });
}

function rewrite(model: OnnxModel, { to, head, embedding, block }: Options): void {
  if (to === 'fp16') {
    if (head || embedding !== 'full')
      throw new Error('--head and --embedding are for q8 and q4: in fp16 all is of one precision.');
    toHalfPrecision(model);
    return;
  }
  quantizeModel(model, {
    bits: precisions[to],
    head: head && precisions[head],
    embedding: precisions[embedding],
    block,
  });
}

function readModel(path: string): OnnxModel {
  const model = readOnnx(readFileSync(path));
  inlineExternalData(model, (name) => readFileSync(join(dirname(path), basename(name))));
  return model;
}

/** Bytes of a graph with the weights beside it. */
function sizeOf(graph: string): number {
  return readdirSync(dirname(graph))
    .map((name) => join(dirname(graph), name))
    .filter((file) => file === graph || keepsWeightsOf(graph, file))
    .reduce((sum, file) => sum + statSync(file).size, 0);
}

function blockSize(value: string): number {
  if (!/^(16|32|64|128|256)$/.test(value)) throw new InvalidArgumentError('It is 16, 32, 64, 128 or 256.');
  return Number(value);
}

const percent = (share: number) => `${share >= 0 ? '+' : ''}${(100 * share).toFixed(2)} %`;
