/** A text model ready to answer: its configuration, tokenizer and session. */
import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-common';
import { isStepGraph, newRows, stepInputs } from '../graph/rewrites/step-inputs.ts';
import type { GenerationParameters } from './parameters.ts';
import { createTextTokenizer, type TextTokenizer } from './text-tokenizer.ts';

export interface TextModel {
  id: string;
  vocabSize: number;
  /** Tokens that fit in the model at once: prompt and answer together. */
  contextLength: number;
  /** Tokens that end an answer. */
  endTokens: ReadonlySet<number>;
  /** What the model's makers recommend, from generation_config.json. */
  defaults: Partial<GenerationParameters>;
  tokenizer: TextTokenizer;
  session: InferenceSession;
  Tensor: TensorConstructor;
  cache: CacheSpec[];
  /** Tells this graph with these files from all others; see `modelRevision`. */
  revision: string;
  execution: Execution;
}

/** What steps of a decoder need of a model. */
export type DecodingModel = Pick<TextModel, 'session' | 'Tensor' | 'cache' | 'contextLength'>;

/** What a model runs on. */
export interface Execution {
  /** `onnxruntime-node 1.30.0` */
  runtime: string;
  /** `cpu` */
  provider: string;
  threads: number;
}

/** One tensor that a step hands to the next. */
export interface CacheSpec {
  /** `past_key_values.0.key` */
  input: string;
  /** `present.0.key` */
  output: string;
  type: 'float32' | 'float16';
  /** Its shape before the first step: no positions yet. */
  empty: number[];
}

export interface TextModelFiles {
  id: string;
  /** config.json */
  config: object;
  /** generation_config.json */
  generationConfig?: object;
  /** tokenizer.json */
  tokenizer: object;
  /** tokenizer_config.json */
  tokenizerConfig: object;
  session: InferenceSession;
  Tensor: TensorConstructor;
  revision: string;
  execution: Execution;
}

interface ConfigFile {
  vocab_size?: number;
  max_position_embeddings?: number;
  n_positions?: number;
  max_seq_len?: number;
  seq_length?: number;
  eos_token_id?: number | number[];
  num_key_value_heads?: number;
  num_attention_heads?: number;
  n_head?: number;
  hidden_size?: number;
  n_embd?: number;
  head_dim?: number;
}

/** What wick gives a graph besides the cache. */
const knownInputs = [
  'input_ids',
  'attention_mask',
  'position_ids',
  'use_cache_branch',
  'num_logits_to_keep',
] as const;
export type GraphInput = (typeof knownInputs)[number];

/** How architectures call the positions that they have; the first is what most of them say. */
const contextNames = ['max_position_embeddings', 'n_positions', 'max_seq_len', 'seq_length'] as const;

const sampling = ['temperature', 'top_k', 'top_p', 'min_p', 'repetition_penalty'] as const;

/**
 * Puts a model together from the files of a Hugging Face folder and a session of its graph.
 * @throws Error naming the field or the input that is missing
 */
export function createTextModel({
  id,
  config: json,
  generationConfig = {},
  tokenizer,
  tokenizerConfig,
  session,
  Tensor,
  revision,
  execution,
}: TextModelFiles): TextModel {
  const config = json as ConfigFile;
  const vocabSize = wholeNumber(id, config, 'vocab_size');
  const contextLength = wholeNumber(id, config, contextName(config));
  checkGraph(id, session, vocabSize);
  const generation = generationConfig as ConfigFile & Partial<GenerationParameters> & { do_sample?: boolean };
  const ends = [generation.eos_token_id ?? config.eos_token_id ?? []].flat();
  if (!ends.every((end) => Number.isSafeInteger(end) && end >= 0)) {
    const file = generation.eos_token_id == null ? 'config.json' : 'generation_config.json';
    throw new Error(`${file} of ${id} has an eos_token_id that is no token's number, nor a list of such.`);
  }
  const recommended = Object.fromEntries(
    sampling.flatMap((name) => (typeof generation[name] === 'number' ? [[name, generation[name]]] : [])),
  );
  return {
    id,
    vocabSize,
    contextLength,
    endTokens: new Set(ends),
    defaults: recommended,
    tokenizer: readTokenizer(id, tokenizer, tokenizerConfig),
    session,
    Tensor,
    cache: cacheSpecs(id, session, config),
    revision,
    execution,
  };
}

/** Under which name a config.json has the tokens that fit in the model at once. */
export const contextName = (config: object): (typeof contextNames)[number] =>
  contextNames.find((name) => name in config) ?? contextNames[0];

function wholeNumber(
  id: string,
  config: ConfigFile,
  name: 'vocab_size' | (typeof contextNames)[number],
): number {
  const value = config[name];
  if (Number.isSafeInteger(value) && value! > 0) return value!;
  throw new Error(
    value === undefined
      ? `config.json of ${id} lacks ${name}.`
      : `config.json of ${id} has ${JSON.stringify(value)} as ${name}: it has to be a whole number from 1 on.`,
  );
}

function readTokenizer(id: string, tokenizer: object, config: object): TextTokenizer {
  try {
    return createTextTokenizer(tokenizer, config);
  } catch (error) {
    throw new Error(
      `tokenizer.json of ${id} is not a tokenizer that wick knows: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

/** @throws Error telling what in a graph is not as in a decoder of tokens */
function checkGraph(id: string, session: InferenceSession, vocabSize: number): void {
  const logits = session.outputMetadata.find(({ name }) => name === 'logits');
  if (!session.inputNames.includes('input_ids') || !logits?.isTensor) {
    throw new Error(
      `The graph of ${id} is no decoder: it needs an input "input_ids" and an output "logits".`,
    );
  }
  const known: readonly string[] = [...knownInputs, ...Object.values(stepInputs)];
  const other = session.inputNames.find(
    (name) => !known.includes(name) && !name.startsWith('past_key_values.'),
  );
  if (other) {
    throw new Error(
      `The graph of ${id} takes "${other}", which wick has nothing for: it gives ${knownInputs.join(', ')} and past_key_values.`,
    );
  }
  for (const input of session.inputMetadata) {
    const whole =
      (knownInputs as readonly string[]).includes(input.name) && input.name !== 'use_cache_branch';
    if (whole && input.isTensor && input.type !== 'int64' && input.type !== 'int32')
      throw new Error(`The graph of ${id} takes ${input.name} as ${input.type}; wick gives int64 and int32.`);
  }
  if (logits.type !== 'float32' && logits.type !== 'float16')
    throw new Error(`The graph of ${id} gives logits of ${logits.type}; wick knows float32 and float16.`);
  const width = logits.shape.at(-1);
  if (typeof width === 'number' && width !== vocabSize) {
    throw new Error(
      `The graph of ${id} gives logits of ${width} tokens, and its config.json has ${vocabSize} as vocab_size.`,
    );
  }
}

/**
 * The cache's tensors as the graph declares them.
 * @throws Error naming the tensor that is not of a kind that wick knows
 */
export function cacheSpecs(id: string, session: InferenceSession, config: ConfigFile): CacheSpec[] {
  const heads = config.num_attention_heads ?? config.n_head;
  const width = config.hidden_size ?? config.n_embd;
  const usual = [
    1,
    config.num_key_value_heads ?? heads,
    0,
    config.head_dim ?? (width && heads && width / heads),
  ];
  return session.inputMetadata.flatMap((input) => {
    if (!input.name.startsWith('past_key_values.') || !input.isTensor) return [];
    const output = isStepGraph(session.inputNames)
      ? newRows(input.name)
      : input.name.replace('past_key_values', 'present');
    if (!session.outputNames.includes(output))
      throw new Error(`The graph of ${id} takes ${input.name} and does not give ${output}.`);
    const empty = input.shape.map((dim, axis) =>
      axis === 0 ? 1 : axis === 2 ? 0 : typeof dim === 'number' ? dim : usual[axis],
    );
    if (empty.length !== 4 || empty.some((dim) => dim === undefined)) {
      throw new Error(
        `The graph of ${id} takes ${input.name} of a shape that wick does not know: [${input.shape.join(', ')}].`,
      );
    }
    if (input.type !== 'float32' && input.type !== 'float16') {
      throw new Error(`The graph of ${id} keeps its cache as ${input.type}; wick knows float32 and float16.`);
    }
    return [{ input: input.name, output, type: input.type, empty: empty as number[] }];
  });
}

/** Frees a tensor that lives outside JavaScript's memory. */
export function release(tensor: Tensor | undefined): void {
  if (tensor && tensor.location !== 'cpu') tensor.dispose();
}
