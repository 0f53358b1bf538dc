/** The configuration of a Llama-shaped decoder, in the form of Hugging Face's `LlamaForCausalLM`. */

export interface GptConfig {
  architectures: string[];
  model_type: string;
  vocab_size: number;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim: number;
  hidden_act: string;
  max_position_embeddings: number;
  rms_norm_eps: number;
  rope_theta: number;
  initializer_range: number;
  tie_word_embeddings: boolean;
  attention_bias: boolean;
  mlp_bias: boolean;
  bos_token_id: number;
  eos_token_id: number;
  pad_token_id?: number;
  torch_dtype?: string;
}

const defaults = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_act: 'silu',
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  initializer_range: 0.02,
  tie_word_embeddings: true,
  attention_bias: false,
  mlp_bias: false,
  bos_token_id: 0,
  eos_token_id: 2,
};

const counts = [
  'vocab_size',
  'hidden_size',
  'intermediate_size',
  'num_hidden_layers',
  'num_attention_heads',
  'num_key_value_heads',
  'head_dim',
  'max_position_embeddings',
] as const;

/** What this architecture is, of the values that Llama configurations can have. */
const fixed: Partial<Record<keyof GptConfig, unknown>> = {
  model_type: 'llama',
  hidden_act: 'silu',
  tie_word_embeddings: true,
  attention_bias: false,
  mlp_bias: false,
};

/**
 * Completes and checks a configuration.
 * @throws Error naming the field, its value and what would be right
 */
export function parseGptConfig(json: unknown): GptConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new Error('A model configuration is a JSON object in the form of LlamaForCausalLM.');
  }
  const given = json as Partial<GptConfig>;
  const heads = given.num_attention_heads;
  const config = {
    ...defaults,
    num_key_value_heads: heads,
    head_dim: heads && given.hidden_size ? given.hidden_size / heads : undefined,
    ...given,
  } as GptConfig;
  for (const name of counts) {
    const value = config[name];
    if (!Number.isInteger(value) || value < 1 || value > 2 ** 24) {
      throw new Error(
        `The model configuration needs "${name}" as a whole number from 1 to 2^24, got ${JSON.stringify(value)}.`,
      );
    }
  }
  for (const [name, value] of Object.entries(fixed)) {
    const got = config[name as keyof GptConfig];
    if (got !== value) {
      throw new Error(
        `The model configuration has "${name}": ${JSON.stringify(got)}; wick builds ${JSON.stringify(value)}.`,
      );
    }
  }
  if (config.num_attention_heads % config.num_key_value_heads !== 0) {
    throw new Error(
      `num_key_value_heads (${config.num_key_value_heads}) has to divide num_attention_heads (${config.num_attention_heads}).`,
    );
  }
  if (config.head_dim % 16 !== 0) {
    throw new Error(
      `head_dim (${config.head_dim}) has to be a multiple of 16, as onnxruntime's attention with a cache needs it.`,
    );
  }
  for (const name of ['rms_norm_eps', 'rope_theta', 'initializer_range'] as const) {
    if (!(Number.isFinite(config[name]) && config[name] > 0)) {
      throw new Error(
        `The model configuration needs "${name}" as a positive number, got ${JSON.stringify(config[name])}.`,
      );
    }
  }
  return config;
}
