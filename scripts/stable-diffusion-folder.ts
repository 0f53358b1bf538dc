/**
 * Builds small folders with random weights that have the names, types and shapes of Stable Diffusion exports in ONNX, to
 * test and try what opens such folders: `node scripts/node.js scripts/stable-diffusion-folder.ts OUT [--dialect optimum]
 * [--kind turbo|lcm] [--precision fp16] [--external-data] [--safety-checker]`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { createRandom, normal } from '../src/data/random.ts';
import { byteAlphabet } from '../src/data/tokenizer/train-bpe.ts';
import { type DType, elementTypes, Graph, type Value } from '../src/graph/graph.ts';
import { type OnnxModel, toModel, writeOnnx } from '../src/graph/onnx.ts';
import { conv } from '../src/graph/operators/convolution.ts';
import { add, cast, greater, mul, tanh } from '../src/graph/operators/elementwise.ts';
import { gather } from '../src/graph/operators/indexing.ts';
import { identity, range, reshape, transpose } from '../src/graph/operators/layout.ts';
import { matmul } from '../src/graph/operators/matmul.ts';
import { reduceMean } from '../src/graph/operators/reduction.ts';
import { toFloat16 } from '../src/graph/rewrites/float16.ts';

export interface FolderOptions {
  /** Whose names and types: diffusers' script's, or optimum-onnx's. */
  dialect?: 'diffusers' | 'optimum';
  kind?: 'sd15' | 'turbo' | 'lcm';
  precision?: 'fp32' | 'fp16';
  /** Weights in model.onnx_data beside model.onnx. */
  externalData?: boolean;
  safetyChecker?: boolean;
  /** Latent places a side; 64 is Stable Diffusion's, for 512 pixels. */
  sampleSize?: number;
  seed?: number;
}

/** Sizes of Stable Diffusion 1.5, and of the small parts inside. */
export const shape = {
  vocabulary: 49_408,
  tokens: 77,
  width: 768,
  latents: 4,
  factor: 8,
  inner: 8,
  guidance: 256,
  clip: 224,
} as const;

/** The random weights of the graphs, by name. */
export type FolderWeights = Record<keyof typeof weightShapes, Float32Array>;

const { vocabulary, tokens, width, latents, factor, inner, guidance } = shape;
/** Each tensor's dimensions and deviation. */
const weightShapes = {
  embedding: { dims: [vocabulary, 4], deviation: 1 },
  projection: { dims: [4, width], deviation: 0.5 },
  positions: { dims: [tokens, width], deviation: 0.5 },
  convIn: { dims: [inner, latents, 3, 3], deviation: 0.2 },
  time: { dims: [1, inner, 1, 1], deviation: 1 },
  context: { dims: [width, inner], deviation: 0.1 },
  condition: { dims: [guidance, inner], deviation: 0.1 },
  convOut: { dims: [latents, inner, 3, 3], deviation: 0.2 },
  decode: { dims: [3 * factor * factor, latents, 1, 1], deviation: 0.3 },
  encode: { dims: [2 * latents, 3, factor, factor], deviation: 0.05 },
} as const;

/** Writes a folder. Returns the weights as they are in it (rounded, in half precision), for computing beside it. */
export function buildStableDiffusionFolder(folder: string, options: FolderOptions = {}): FolderWeights {
  const {
    dialect = 'diffusers',
    kind = 'sd15',
    precision = 'fp32',
    safetyChecker = false,
    seed = 1,
  } = options;
  const random = createRandom(seed);
  const type: DType = precision === 'fp16' ? 'float16' : 'float32';
  const weights = Object.fromEntries(
    Object.entries(weightShapes).map(([name, { dims, deviation }]) => [
      name,
      Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () =>
        Math.fround(deviation * normal(random)),
      ),
    ]),
  ) as FolderWeights;
  const optimum = dialect === 'optimum';
  const write = (name: string, content: string | Uint8Array) => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  };
  const json = (name: string, value: object) => write(name, JSON.stringify(value, null, 2));
  const graph = (part: string, build: (graph: Graph, tensors: Tensors) => void) => {
    const made = new Graph(part);
    build(made, tensorsOf(made, type, weights));
    const model = toModel(made);
    if (options.externalData) write(`${part}/model.onnx_data`, moveOut(model, 'model.onnx_data'));
    write(`${part}/model.onnx`, writeOnnx(model));
  };
  graph('text_encoder', (graph, { constant }) => {
    const ids = graph.input('input_ids', optimum ? 'int64' : 'int32', [
      'batch',
      optimum ? tokens : 'sequence',
    ]);
    const rows = gather(constant('embedding'), ids);
    // The script's sequence has a name, and is 77 when it runs.
    const states = tanh(
      add(
        matmul(rows, constant('projection')),
        optimum ? constant('positions') : gather(constant('positions'), range(ids, 'sequence')),
      ),
    );
    graph.output('last_hidden_state', states);
    graph.output('pooler_output', reduceMean(states, [1], false));
  });
  graph('unet', (graph, { constant, number }) => {
    const sample = graph.input('sample', type, ['batch', latents, 'height', 'width']);
    const timestep = graph.input('timestep', optimum ? 'int64' : type, optimum ? [] : ['batch']);
    const states = graph.input('encoder_hidden_states', type, ['batch', 'sequence', width]);
    const time = mul(cast(timestep, type), number(0.001));
    const byTime = optimum
      ? mul(constant('time'), time)
      : mul(constant('time'), reshape(time, ['batch', 1, 1, 1]));
    const perChannel = (x: Value) => reshape(x, ['batch', inner, 1, 1]);
    let hidden = add(conv(sample, constant('convIn')), byTime);
    hidden = add(hidden, perChannel(matmul(reduceMean(states, [1], false), constant('context'))));
    if (kind === 'lcm') {
      const condition = graph.input('timestep_cond', type, ['batch', guidance]);
      hidden = add(hidden, perChannel(matmul(condition, constant('condition'))));
    }
    graph.output('out_sample', conv(tanh(hidden), constant('convOut')));
  });
  graph('vae_decoder', (graph, { constant }) => {
    const sample = graph.input('latent_sample', type, ['batch', latents, 'height', 'width']);
    const cut = reshape(conv(sample, constant('decode'), 0), ['batch', 3, factor, factor, 'height', 'width']);
    const image = reshape(transpose(cut, [0, 1, 4, 2, 5, 3]), [
      'batch',
      3,
      `${factor}*height`,
      `${factor}*width`,
    ]);
    graph.output('sample', tanh(image));
  });
  graph('vae_encoder', (graph, { constant }) => {
    const sample = graph.input('sample', type, ['batch', 3, 'sample_height', 'sample_width']);
    const parameters = conv(sample, constant('encode'), 0, factor);
    graph.output(
      optimum ? 'latent_parameters' : 'latent_sample',
      optimum ? parameters : gather(parameters, graph.list([0, 1, 2, 3]), 1),
    );
  });
  if (safetyChecker) {
    graph('safety_checker', (graph, { number }) => {
      const clip = graph.input('clip_input', type, ['batch', 3, shape.clip, shape.clip]);
      const images = graph.input('images', type, ['batch', 'height', 'width', 3]);
      graph.output('out_images', identity(images));
      // What is bright is taken for unsafe.
      graph.output('has_nsfw_concepts', greater(reduceMean(clip, [1, 2, 3], false), number(0)));
    });
    json('feature_extractor/preprocessor_config.json', {
      crop_size: shape.clip,
      image_mean: [0.5, 0.5, 0.5],
      image_std: [0.5, 0.5, 0.5],
    });
  }
  json('model_index.json', {
    _class_name: optimum ? 'ORTStableDiffusionPipeline' : 'OnnxStableDiffusionPipeline',
    _diffusers_version: '0.30.0',
    scheduler: ['diffusers', schedulers[kind]._class_name],
  });
  json('scheduler/scheduler_config.json', schedulers[kind]);
  json('unet/config.json', {
    in_channels: latents,
    out_channels: latents,
    sample_size: options.sampleSize ?? 64,
    time_cond_proj_dim: kind === 'lcm' ? guidance : null,
  });
  json('text_encoder/config.json', {
    hidden_size: width,
    max_position_embeddings: tokens,
    vocab_size: vocabulary,
  });
  const vae = { latent_channels: latents, scaling_factor: 0.18215, block_out_channels: [8, 8, 8, 8] };
  for (const part of ['vae_decoder', 'vae_encoder']) json(`${part}/config.json`, vae);
  writeClipTokenizer(write);
  return weights;
}

/** scheduler_config.json as the models are published with. */
const schedulers = {
  sd15: {
    ...{
      _class_name: 'PNDMScheduler',
      _diffusers_version: '0.6.0',
      beta_end: 0.012,
      beta_schedule: 'scaled_linear',
    },
    ...{ beta_start: 0.00085, num_train_timesteps: 1000, set_alpha_to_one: false, skip_prk_steps: true },
    ...{ steps_offset: 1, trained_betas: null, clip_sample: false },
  },
  turbo: {
    ...{
      _class_name: 'EulerDiscreteScheduler',
      beta_end: 0.012,
      beta_schedule: 'scaled_linear',
      beta_start: 0.00085,
    },
    ...{
      num_train_timesteps: 1000,
      prediction_type: 'epsilon',
      timestep_spacing: 'trailing',
      steps_offset: 1,
    },
  },
  lcm: {
    ...{ _class_name: 'LCMScheduler', beta_end: 0.012, beta_schedule: 'scaled_linear', beta_start: 0.00085 },
    ...{
      num_train_timesteps: 1000,
      prediction_type: 'epsilon',
      original_inference_steps: 50,
      set_alpha_to_one: true,
    },
  },
} as const;

interface Tensors {
  constant(name: keyof FolderWeights): Value;
  number(value: number): Value;
}

/** Weights as constants of a graph, in its type; what half precision rounds is rounded in `weights` too. */
function tensorsOf(graph: Graph, type: DType, weights: FolderWeights): Tensors {
  const stored = (name: string, data: Float32Array, dims: readonly number[]) =>
    graph.constant(name, type === 'float16' ? toFloat16(data) : data, dims, type);
  return {
    constant: (name) => stored(name, weights[name], weightShapes[name].dims),
    number: (value) => stored('number', Float32Array.of(value), []),
  };
}

/** Moves the weights of a model out of it, and returns them. */
function moveOut(model: OnnxModel, location: string): Uint8Array {
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const tensor of model.graph.initializer) {
    // Shapes are read before the data is there.
    if (!tensor.rawData || tensor.dataType === elementTypes.int64) continue;
    const { length } = tensor.rawData;
    const entries = { location, offset: String(offset), length: String(length) };
    tensor.externalData = Object.entries(entries).map(([key, value]) => ({ key, value }));
    tensor.dataLocation = 1;
    parts.push(tensor.rawData);
    tensor.rawData = undefined;
    offset += length;
  }
  return Buffer.concat(parts);
}

/** vocab.json and merges.txt in CLIP's form, with few merges; the special tokens have CLIP's ids. */
function writeClipTokenizer(write: (name: string, content: string) => void): void {
  const merges = [
    'i n',
    't h',
    'a n',
    'th e</w>',
    'an d</w>',
    'a p',
    'p l',
    'ap pl',
    'appl e</w>',
    'r e',
    're d</w>',
  ];
  const vocab = [
    ...byteAlphabet,
    ...byteAlphabet.map((sign) => `${sign}</w>`),
    ...merges.map((merge) => merge.replace(' ', '')),
  ];
  const ids: Record<string, number> = Object.fromEntries(vocab.map((token, id) => [token, id]));
  ids['<|startoftext|>'] = vocabulary - 2;
  ids['<|endoftext|>'] = vocabulary - 1;
  write('tokenizer/vocab.json', JSON.stringify(ids));
  write('tokenizer/merges.txt', `#version: 0.2\n${merges.join('\n')}\n`);
  write(
    'tokenizer/tokenizer_config.json',
    JSON.stringify({
      model_max_length: tokens,
      bos_token: '<|startoftext|>',
      eos_token: '<|endoftext|>',
      pad_token: '<|endoftext|>',
      tokenizer_class: 'CLIPTokenizer',
    }),
  );
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      dialect: { type: 'string' },
      kind: { type: 'string' },
      precision: { type: 'string' },
      'external-data': { type: 'boolean' },
      'safety-checker': { type: 'boolean' },
    },
  });
  const [out] = positionals;
  if (!out) throw new Error('Name the folder to write.');
  const { 'external-data': externalData, 'safety-checker': safetyChecker, ...rest } = values;
  buildStableDiffusionFolder(out, { ...(rest as FolderOptions), externalData, safetyChecker });
  console.log(out);
}
