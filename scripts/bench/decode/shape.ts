/**
 * A model of SmolLM2-135M's shape with random weights of 4 bits, as an ONNX folder and as a GGUF file. What a token
 * costs does not depend on what the weights are.
 */
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gptInference, gptParameters } from '../../../src/architecture/gpt.ts';
import { type GptConfig, parseGptConfig } from '../../../src/architecture/gpt-config.ts';
import { createRandom } from '../../../src/data/random.ts';
import { toModel, writeOnnx } from '../../../src/graph/onnx.ts';
import { quantizeModel } from '../../../src/graph/rewrites/quantize.ts';
import { ggufFile } from './gguf.ts';

export const config: GptConfig = parseGptConfig({
  vocab_size: 49_152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  head_dim: 64,
  max_position_embeddings: 2048,
});

/** Where both lie; they are made when they are first asked for, which takes about a minute. */
export function smolShape(folder: string): { onnx: string; gguf: string } {
  const onnx = join(folder, 'smollm2-135m-shape');
  const gguf = join(folder, 'smollm2-135m-shape.gguf');
  if (!existsSync(join(onnx, 'onnx/model_q4.onnx'))) makeFolder(onnx);
  if (!existsSync(gguf)) whole(gguf, ggufFile(config));
  return { onnx, gguf };
}

/** A file is there whole or not at all. */
function whole(path: string, content: Uint8Array | string): void {
  writeFileSync(`${path}.part`, content);
  renameSync(`${path}.part`, path);
}

function makeFolder(folder: string): void {
  mkdirSync(join(folder, 'onnx'), { recursive: true });
  const random = createRandom(1);
  const weights = new Map(
    gptParameters(config).map(({ name, shape, initial }) => {
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      // Uniform numbers, of the deviation that normal ones would have.
      if (initial === 'ones') data.fill(1);
      else for (let i = 0; i < data.length; i++) data[i] = (random() - 0.5) * Math.sqrt(12) * initial;
      return [name, data];
    }),
  );
  const model = toModel(gptInference(config, weights));
  quantizeModel(model, { bits: 4, head: 4, embedding: 4, block: 32 });
  const json = {
    'config.json': config,
    'generation_config.json': {},
    'tokenizer_config.json': {},
    'tokenizer.json': {
      ...{ version: '1.0', added_tokens: [], normalizer: null, pre_tokenizer: null },
      ...{ post_processor: null, decoder: null },
      model: { type: 'BPE', vocab: { a: 0 }, merges: [] },
    },
  };
  for (const [name, content] of Object.entries(json))
    writeFileSync(join(folder, name), JSON.stringify(content));
  whole(join(folder, 'onnx/model_q4.onnx'), writeOnnx(model));
}
