/**
 * A text-to-image model ready to draw: the graphs of a diffusers folder behind one interface. Read are wick's own
 * folders, and Stable Diffusion's in both dialects: that of diffusers' export script and that of optimum-onnx.
 */
import type { InferenceSession, TensorConstructor } from 'onnxruntime-common';
import { type GraphRunner, graphRunner } from './graph-runner.ts';
import { createPromptTokenizer, type PromptTokenizer, type TokenizerFiles } from './prompt-tokenizer.ts';
import type { SchedulerConfig } from './schedulers/index.ts';

/** What the denoiser is told of prompts, a row for each. */
export interface Conditioning {
  /** `[rows, tokens, width]` */
  states: { data: Float32Array; dims: readonly number[] };
  /** `[rows, width]`, for denoisers that take it. */
  pooled?: { data: Float32Array; dims: readonly number[] };
  /** `[rows, tokens]`, 1 for tokens, for denoisers that take it. */
  mask?: { data: readonly number[]; dims: readonly number[] };
}

export interface ImageModel {
  id: string;
  /** Pixels of the images it draws, unless others are asked for and it is not `fixed`. */
  width: number;
  height: number;
  /** Sides are multiples of it. */
  multiple: number;
  /** Whether it draws that size alone. */
  fixed: boolean;
  defaults: { num_inference_steps: number; guidance_scale: number };
  schedulerConfig: SchedulerConfig;
  /** What whoever loads the model should know: where something of its folder is not done as it says. */
  notes: readonly string[];
  /** Channels of what is denoised, and pixels a side that one of its places stands for. */
  channels: number;
  factor: number;
  /** Whether it reads the guidance scale itself (latent consistency models): then one evaluation does. */
  readsGuidance: boolean;
  encodePrompts(prompts: readonly { text: string; param: string }[]): Promise<Conditioning>;
  /** The denoiser's output for `rows` equal timesteps; sample `[rows, channels, height, width]`. */
  denoise(
    sample: Float32Array,
    dims: readonly number[],
    timestep: number,
    given: Conditioning,
    guidance: number,
  ): Promise<Float32Array>;
  /** From what was denoised, `[channels, h, w]`, to an image `[3, h·factor, w·factor]`, -1 to 1. */
  decode(sample: Float32Array, width: number, height: number): Promise<Float32Array>;
  /** The way back; absent where the folder has no encoder, which images to begin from need. */
  encode?(planes: Float32Array, width: number, height: number): Promise<Float32Array>;
  /** The safety checker, where the folder has one. */
  checker?: SafetyChecker;
  release(): Promise<void>;
}

export interface SafetyChecker {
  /** Pixels a side that the checker looks at, and by what they are normalised. */
  size: number;
  mean: readonly number[];
  deviation: readonly number[];
  /** @param input normalised `[3, size, size]` @param image `[height, width, 3]` from 0 to 1 */
  isUnsafe(input: Float32Array, image: Float32Array, width: number, height: number): Promise<boolean>;
  release(): Promise<void>;
}

/** The files of a folder: configurations, tokenizer, and a session for each graph that is there. */
export interface ImageModelFiles {
  id: string;
  /** model_index.json */
  index: object;
  scheduler: SchedulerConfig;
  tokenizer: TokenizerFiles;
  /** config.json of the denoiser, the text encoder, and the autoencoder. */
  denoiserConfig?: object;
  textEncoderConfig?: object;
  vaeConfig?: object;
  preprocessorConfig?: object;
  sessions: {
    textEncoder: InferenceSession;
    denoiser: InferenceSession;
    vaeDecoder?: InferenceSession;
    vaeEncoder?: InferenceSession;
    safetyChecker?: InferenceSession;
  };
  Tensor: TensorConstructor;
}

interface Configs {
  in_channels?: number;
  out_channels?: number;
  sample_size?: number | number[];
  scaling_factor?: number;
  shift_factor?: number | null;
  latent_channels?: number;
  block_out_channels?: number[];
  time_cond_proj_dim?: number | null;
  max_position_embeddings?: number;
  prediction_type?: string;
  crop_size?: number | { height: number };
  size?: number | { shortest_edge?: number; height?: number };
  image_mean?: number[];
  image_std?: number[];
}

/**
 * Puts the parts together.
 * @throws Error naming what a graph lacks
 */
export function createImageModel(files: ImageModelFiles): ImageModel {
  const { sessions, Tensor } = files;
  const [denoiserConfig, textConfig, vae, index] = [
    files.denoiserConfig,
    files.textEncoderConfig,
    files.vaeConfig,
    files.index,
  ].map((config) => (config ?? {}) as Configs);
  const runner = (session: InferenceSession | undefined, name: string) =>
    session && graphRunner(session, Tensor, name);
  const textEncoder = runner(sessions.textEncoder, 'text encoder')!;
  const denoiser = runner(sessions.denoiser, 'denoiser')!;
  const decoder = runner(sessions.vaeDecoder, 'decoder');
  const encoder = runner(sessions.vaeEncoder, 'encoder');
  const checker =
    sessions.safetyChecker && createSafetyChecker(sessions.safetyChecker, Tensor, files.preprocessorConfig);
  const sampleInput = firstOf(denoiser, ['sample', 'hidden_states'], 'denoiser');
  const [, declaredChannels, declaredHeight, declaredWidth] = denoiser.dimsOf(sampleInput);
  const channels = numberOr(declaredChannels, denoiserConfig.in_channels ?? (decoder ? 4 : 3));
  const inpainting = channels === 9;
  if (inpainting)
    throw new Error('The denoiser takes 9 channels: models made for inpainting alone are not read.');
  const factor = decoder ? 2 ** ((vae.block_out_channels?.length ?? 4) - 1) : 1;
  const fixed = typeof declaredHeight === 'number' && typeof declaredWidth === 'number';
  const [height, width] = sampleSize(denoiserConfig.sample_size, [declaredHeight, declaredWidth]);
  const readsGuidance = denoiser.inputs.includes('timestep_cond');
  const scale = vae.scaling_factor ?? 0.18215;
  const shift = vae.shift_factor ?? 0;
  const { schedulerConfig, notes } = schedulerOf(files.scheduler, denoiserConfig.prediction_type);
  const tokenize = createPromptTokenizer(files.tokenizer, textLength(textEncoder, textConfig));
  return {
    id: files.id,
    width: width * factor,
    height: height * factor,
    multiple: factor * (decoder ? 1 : height),
    fixed,
    defaults: defaultsOf(index, files.scheduler, readsGuidance),
    schedulerConfig,
    notes,
    channels,
    factor,
    readsGuidance,
    encodePrompts: promptEncoder(textEncoder, tokenize),
    denoise: denoiserOf(denoiser, sampleInput, denoiserConfig.time_cond_proj_dim ?? 256),
    decode: decoder
      ? async (sample, width, height) => {
          const unscaled = sample.map((value) => value / scale + shift);
          return onlyOutput(
            await decoder.run({
              [decoder.inputs[0]]: { data: unscaled, dims: [1, channels, height, width] },
            }),
            decoder,
          );
        }
      : async (sample) => sample,
    encode: decoder
      ? encoder &&
        (async (planes, width, height) => {
          const latents = onlyOutput(
            await encoder.run({ [encoder.inputs[0]]: { data: planes, dims: [1, 3, height, width] } }),
            encoder,
          );
          // Where both mean and variance are given, the mean comes first.
          const count = (channels * width * height) / factor ** 2;
          return latents.subarray(0, count).map((value) => (value - shift) * scale);
        })
      : async (planes) => planes,
    checker,
    async release() {
      await Promise.all([textEncoder, denoiser, decoder, encoder, checker].map((graph) => graph?.release()));
    },
  };
}

function promptEncoder(textEncoder: GraphRunner, tokenize: PromptTokenizer): ImageModel['encodePrompts'] {
  return async (prompts) => {
    const rows = prompts.map(({ text, param }) => tokenize(text, param));
    const dims = [rows.length, rows[0].ids.length];
    const mask = { data: rows.flatMap(({ mask }) => mask), dims };
    const feeds = { [textEncoder.inputs[0]]: { data: rows.flatMap(({ ids }) => ids), dims } };
    if (textEncoder.inputs.includes('attention_mask')) feeds.attention_mask = mask;
    const outputs = await textEncoder.run(feeds);
    const states = outputs.last_hidden_state ?? outputs[textEncoder.outputs[0]];
    const pooled =
      outputs.pooler_output ??
      outputs.text_embeds ??
      Object.values(outputs).find(({ dims }) => dims.length === 2);
    return { states, pooled, mask };
  };
}

function denoiserOf(
  denoiser: GraphRunner,
  sampleInput: string,
  guidanceWidth: number,
): ImageModel['denoise'] {
  const scalarTime = denoiser.dimsOf('timestep').length === 0;
  const takes = (name: string) => denoiser.inputs.includes(name);
  return async (sample, dims, timestep, { states, pooled, mask }, guidance) => {
    const rows = dims[0];
    const outputs = await denoiser.run({
      [sampleInput]: { data: sample, dims },
      timestep: scalarTime
        ? { data: [timestep], dims: [] }
        : { data: Array<number>(rows).fill(timestep), dims: [rows] },
      encoder_hidden_states: states,
      ...(takes('pooled_projections') && pooled && { pooled_projections: pooled }),
      ...(takes('encoder_attention_mask') && mask && { encoder_attention_mask: mask }),
      ...(takes('timestep_cond') && {
        timestep_cond: { data: guidanceEmbedding(guidance - 1, guidanceWidth), dims: [rows, guidanceWidth] },
      }),
    });
    return onlyOutput(outputs, denoiser);
  };
}

/** sin and cos of a guidance weight at 1,000 times its size, as latent consistency models read it (Luo et al., 2023). */
export function guidanceEmbedding(weight: number, width: number): Float32Array {
  const half = Math.floor(width / 2);
  const out = new Float32Array(width);
  for (let i = 0; i < half; i++) {
    const angle = weight * 1000 * Math.exp((-Math.log(10_000) * i) / (half - 1));
    out[i] = Math.sin(angle);
    out[half + i] = Math.cos(angle);
  }
  return out;
}

/**
 * The safety checker of Stable Diffusion (Rando et al., 2022), as a graph that takes `clip_input` and says
 * `has_nsfw_concepts`: yes or no.
 * @param preprocessor the parsed preprocessor_config.json that goes with it
 */
export function createSafetyChecker(
  session: InferenceSession,
  Tensor: TensorConstructor,
  preprocessor: object = {},
): SafetyChecker {
  const { crop_size, size, image_mean, image_std } = preprocessor as Configs;
  const graph = graphRunner(session, Tensor, 'safety checker');
  const side =
    typeof crop_size === 'object'
      ? crop_size.height
      : (crop_size ?? (typeof size === 'number' ? size : undefined));
  const clip = side ?? 224;
  return {
    size: clip,
    mean: image_mean ?? [0.48145466, 0.4578275, 0.40821073],
    deviation: image_std ?? [0.26862954, 0.26130258, 0.27577711],
    async isUnsafe(input, image, width, height) {
      const outputs = await graph.run({
        clip_input: { data: input, dims: [1, 3, clip, clip] },
        ...(graph.inputs.includes('images') && { images: { data: image, dims: [1, height, width, 3] } }),
      });
      const verdict = outputs.has_nsfw_concepts ?? outputs[graph.outputs.at(-1)!];
      return verdict.data[0] !== 0;
    },
    release: () => graph.release(),
  };
}

/** Schedulers that many models are published with and that are not built, and what draws with their noise levels instead. */
const standIns: Readonly<Record<string, string>> = {
  PNDMScheduler: 'DPMSolverMultistepScheduler',
  LMSDiscreteScheduler: 'EulerDiscreteScheduler',
  UniPCMultistepScheduler: 'DPMSolverMultistepScheduler',
};

function schedulerOf(
  config: SchedulerConfig,
  prediction: string | undefined,
): Pick<ImageModel, 'schedulerConfig' | 'notes'> {
  const standIn = standIns[config._class_name ?? ''];
  return {
    schedulerConfig: {
      ...(prediction && { prediction_type: prediction }),
      ...config,
      ...(standIn && { _class_name: standIn }),
    } as SchedulerConfig,
    notes: standIn ? [`${config._class_name} is not built; ${standIn} draws with its noise levels.`] : [],
  };
}

/** What a model's makers recommend; told apart by the scheduler where the folder does not say. */
function defaultsOf(
  index: object,
  scheduler: SchedulerConfig,
  readsGuidance: boolean,
): ImageModel['defaults'] {
  const own = (index as { _wick?: Partial<ImageModel['defaults']> })._wick;
  const usual =
    scheduler._class_name === 'LCMScheduler' || readsGuidance
      ? { num_inference_steps: 4, guidance_scale: readsGuidance ? 8.5 : 1 }
      : // Turbo models are distilled to one step without guidance, and are the ones spaced from the trailing end.
        scheduler.timestep_spacing === 'trailing' && String(scheduler._class_name).startsWith('Euler')
        ? { num_inference_steps: 1, guidance_scale: 1 }
        : { num_inference_steps: 30, guidance_scale: 7.5 };
  return { ...usual, ...own };
}

function sampleSize(
  configured: number | number[] | undefined,
  declared: readonly (number | string | undefined)[],
): [height: number, width: number] {
  const [height, width] = Array.isArray(configured) ? configured : [configured, configured];
  return [numberOr(declared[0], height ?? 64), numberOr(declared[1], width ?? 64)];
}

const numberOr = (value: number | string | undefined, otherwise: number) =>
  typeof value === 'number' && value > 0 ? value : otherwise;

function textLength(textEncoder: GraphRunner, config: Configs): number | undefined {
  const [, declared] = textEncoder.dimsOf(textEncoder.inputs[0]);
  return typeof declared === 'number' && declared > 0 ? declared : config.max_position_embeddings;
}

function firstOf(graph: GraphRunner, names: readonly string[], what: string): string {
  const found = names.find((name) => graph.inputs.includes(name));
  if (!found)
    throw new Error(
      `The ${what} has none of the inputs ${names.join(', ')}; it has ${graph.inputs.join(', ')}.`,
    );
  return found;
}

function onlyOutput(outputs: Record<string, { data: Float32Array }>, graph: GraphRunner): Float32Array {
  return outputs[graph.outputs[0]].data;
}
