/** The files of a text-to-image model, a diffusers pipeline's folder. */
import { join } from 'node:path';
import { diffusionParameters, prefixes } from '../architecture/diffusion-loss.ts';
import { TIMESTEPS, transformerInference } from '../architecture/diffusion-transformer.ts';
import { countNumbers } from '../architecture/parameters.ts';
import { textEncoderInference } from '../architecture/text-encoder.ts';
import { toOnnx } from '../graph/onnx.ts';
import { autoencoderParts } from './autoencoder-folder.ts';
import type { ImageTrainingConfig } from './config.ts';
import { jsonLines, type ModelFiles } from './model-files.ts';

/** What a drawing takes unless it is told otherwise. */
const defaults = { num_inference_steps: 20, guidance_scale: 3 };

/** model_index.json, scheduler/, tokenizer/, text_encoder/ and transformer/, and the autoencoder's parts if it has one. */
export function diffusionFiles(
  { model, data, autoencoder }: ImageTrainingConfig,
  weights: ReadonlyMap<string, Float32Array>,
  steps: string,
): ModelFiles {
  const { text_encoder, transformer } = model;
  const metadata = { producer: 'wick', steps };
  const flow = transformer.prediction_type === 'flow_prediction';
  const scheduler = flow
    ? { _class_name: 'FlowMatchEulerDiscreteScheduler', num_train_timesteps: TIMESTEPS, shift: 1 }
    : {
        _class_name: 'DDIMScheduler',
        num_train_timesteps: TIMESTEPS,
        beta_schedule: 'squaredcos_cap_v2',
        prediction_type: transformer.prediction_type,
        clip_sample: !autoencoder,
        timestep_spacing: 'trailing',
      };
  return {
    parameters: countNumbers(diffusionParameters(model)),
    write: {
      'model_index.json': jsonLines({
        _class_name: 'WickPipeline',
        scheduler: ['diffusers', scheduler._class_name],
        text_encoder: ['wick', 'TextEncoder'],
        tokenizer: ['transformers', 'PreTrainedTokenizerFast'],
        transformer: ['wick', transformer._class_name],
        ...(autoencoder && {
          vae_encoder: ['diffusers', 'OnnxRuntimeModel'],
          vae_decoder: ['diffusers', 'OnnxRuntimeModel'],
        }),
        _wick: defaults,
      }),
      'scheduler/scheduler_config.json': jsonLines(scheduler),
      'text_encoder/config.json': jsonLines(text_encoder),
      'text_encoder/model.onnx': toOnnx(
        textEncoderInference(text_encoder, weights, prefixes.textEncoder),
        metadata,
      ),
      'transformer/config.json': jsonLines(transformer),
      'transformer/model.onnx': toOnnx(
        transformerInference(transformer, weights, prefixes.transformer),
        metadata,
      ),
    },
    copy: Object.fromEntries([
      ...['tokenizer.json', 'tokenizer_config.json'].map((name) => [`tokenizer/${name}`, join(data, name)]),
      ...(autoencoder ? autoencoderParts.map((part) => [part, join(autoencoder, part)]) : []),
    ]),
  };
}
