/** Pictures drawn while training, a grid of all prompts: what numbers do not tell. */
import { join } from 'node:path';
import type { PredictionType } from '../architecture/diffusion-config.ts';
import { diffusionParameters, prefixes, type Shares, sharesAt } from '../architecture/diffusion-loss.ts';
import { denoise, TIMESTEPS } from '../architecture/diffusion-transformer.ts';
import { parameterInputs } from '../architecture/parameters.ts';
import { encodeText } from '../architecture/text-encoder.ts';
import { createRandom, normal } from '../data/random.ts';
import { Graph } from '../graph/graph.ts';
import { toOnnx } from '../graph/onnx.ts';
import type { Autoencoder } from './autoencoder-folder.ts';
import type { ImageTrainingConfig } from './config.ts';
import { gridName, writeGrid } from './image-grid.ts';
import { createSession, type RuntimeOptions, Tensor } from './runtime.ts';
import type { Feeds } from './task.ts';

const STEPS = 16;

/** Prepares drawing of the configuration's prompts: from parameters and a step to a picture's path. */
export async function sampleGrid(
  config: ImageTrainingConfig,
  encode: (caption: string) => BigInt64Array,
  autoencoder: Autoencoder | undefined,
  options: RuntimeOptions,
): Promise<(parameters: Feeds, step: number) => Promise<string>> {
  const { sample_prompts: prompts, model, sample_guidance_scale: guidance } = config;
  const { in_channels, sample_size: size, prediction_type } = model.transformer;
  const session = await createSession(predictionGraph(config), options);
  const rows = 2 * prompts.length;
  const captions = [...prompts, ...prompts.map(() => '')].map(encode);
  const input_ids = new Tensor('int64', new BigInt64Array(captions.flatMap((ids) => [...ids])), [
    rows,
    captions[0].length,
  ]);
  const length = prompts.length * in_channels * size ** 2;
  return async (parameters, step) => {
    // The same noise every time, so that pictures of two steps can be compared.
    const random = createRandom(config.seed);
    let sample = Float32Array.from({ length }, () => normal(random));
    const levels = Array.from({ length: STEPS + 1 }, (_, i) => (1 - i / STEPS) * TIMESTEPS);
    for (let i = 0; i < STEPS; i++) {
      const twice = new Float32Array(2 * length);
      twice.set(sample);
      twice.set(sample, length);
      const { prediction } = await session.run({
        ...parameters,
        noisy: new Tensor('float32', twice, [rows, in_channels, size, size]),
        timestep: new Tensor('float32', new Float32Array(rows).fill(levels[i]), [rows]),
        input_ids,
      });
      const both = prediction.data as Float32Array;
      const guided = Float32Array.from(
        sample,
        (_, j) => both[length + j] + guidance * (both[j] - both[length + j]),
      );
      sample = advance(
        prediction_type,
        sample,
        guided,
        sharesAt(prediction_type, levels[i]),
        sharesAt(prediction_type, levels[i + 1]),
      );
    }
    const images = autoencoder ? await autoencoder.decode(sample, prompts.length) : sample;
    const path = join(config.out, gridName(step));
    await writeGrid(path, images, autoencoder?.config.sample_size ?? size);
    return path;
  };
}

/** Prediction of the model with parameters as inputs; inputs `noisy`, `timestep` and `input_ids`. */
function predictionGraph({ model, sample_prompts }: ImageTrainingConfig): Uint8Array {
  const graph = new Graph('prediction');
  const { in_channels, sample_size } = model.transformer;
  const batch = 2 * sample_prompts.length;
  const noisy = graph.input('noisy', 'float32', [batch, in_channels, sample_size, sample_size]);
  const timestep = graph.input('timestep', 'float32', [batch]);
  const tokens = graph.input('input_ids', 'int64', [batch, model.text_encoder.max_position_embeddings]);
  const { weights } = parameterInputs(graph, diffusionParameters(model));
  const caption = encodeText(model.text_encoder, weights, tokens, prefixes.textEncoder);
  graph.output(
    'prediction',
    denoise(model.transformer, weights, { noisy, timestep, caption }, prefixes.transformer),
  );
  return toOnnx(graph);
}

/** From one noise level to the next: the image and the noise that a prediction stands for, mixed anew (Song et al., 2021). */
function advance(
  type: PredictionType,
  sample: Float32Array,
  prediction: Float32Array,
  now: Shares,
  next: Shares,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(sample.length);
  for (let i = 0; i < out.length; i++) {
    const [x, p] = [sample[i], prediction[i]];
    let [image, noise] = [0, 0];
    if (type === 'flow_prediction') [image, noise] = [x - now.noise * p, x + now.image * p];
    else if (type === 'v_prediction')
      [image, noise] = [now.image * x - now.noise * p, now.noise * x + now.image * p];
    else [image, noise] = [(x - now.noise * p) / now.image, p];
    out[i] = next.image * image + next.noise * noise;
  }
  return out;
}
