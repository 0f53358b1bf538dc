/** The files of a text model, in Hugging Face's layout. */
import { join } from 'node:path';
import { countParameters, gptInference } from '../architecture/gpt.ts';
import { toOnnx } from '../graph/onnx.ts';
import type { TextTrainingConfig } from './config.ts';
import { jsonLines, type ModelFiles } from './model-files.ts';

/** config.json, generation_config.json, the tokenizer's files and onnx/model.onnx. */
export function gptFiles(
  { model: config, data }: TextTrainingConfig,
  weights: ReadonlyMap<string, Float32Array>,
  steps: string,
): ModelFiles {
  const { bos_token_id, eos_token_id, pad_token_id = eos_token_id } = config;
  return {
    parameters: countParameters(config),
    write: {
      'config.json': jsonLines({
        ...config,
        torch_dtype: 'float32',
        use_cache: true,
      }),
      'generation_config.json': jsonLines({
        bos_token_id,
        eos_token_id,
        pad_token_id,
        do_sample: true,
        temperature: 0.7,
        top_p: 0.9,
      }),
      'onnx/model.onnx': toOnnx(gptInference(config, weights), { producer: 'wick', steps }),
    },
    copy: Object.fromEntries(
      ['tokenizer.json', 'tokenizer_config.json'].map((name) => [name, join(data, name)]),
    ),
  };
}
