/** The options of commands that write: which model, and how it takes its tokens. */
import { type Command, InvalidArgumentError } from 'commander';
import { type Device, deviceOption } from './device.ts';
import { addServerOptions, type ServerOptions } from './remote/server.ts';
import { usualFolder } from './writer.ts';

export interface TextOptions extends ServerOptions {
  model?: string;
  device: Device;
  threads: number;
  variant: string;
  maxTokens?: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repetitionPenalty?: number;
  presencePenalty?: number;
  frequencyPenalty?: number;
  logitBias?: Record<string, number>;
  seed?: number;
  stop?: string[];
  stopTokenIds?: number[];
  set: Record<string, unknown>;
}

/** Adds them to a command. */
export const addTextOptions = (command: Command): Command =>
  addServerOptions(
    command.option(
      '--model <name>',
      `model folder (${usualFolder} where none is named), or the name of a server's model`,
    ),
  )
    .addOption(deviceOption())
    .option('--threads <n>', 'threads of the processor; 0 takes one for each core', number, 0)
    .option('--variant <name>', 'which graph of the folder: fp16, quantized, q4, …', '')
    .option('--max-tokens <n>', 'tokens at most', number)
    .option('--temperature <t>', '0 takes the likeliest token each time', number)
    .option('--top-k <k>', 'only the k likeliest tokens', number)
    .option('--top-p <p>', 'only the likeliest tokens whose probabilities sum to p', number)
    .option('--min-p <p>', 'only tokens at least p times as likely as the likeliest', number)
    .option('--repetition-penalty <r>', 'above 1, tokens that stood before become less likely', number)
    .option('--presence-penalty <p>', 'taken from the logits of generated tokens', number)
    .option('--frequency-penalty <p>', 'taken for each time a token was generated', number)
    .option('--logit-bias <json>', 'added to the logits of tokens: {"42": -100}', json)
    .option('--seed <n>', 'the same seed gives the same text', number)
    .option('--stop <texts...>', 'texts that end the answer')
    .option(
      '--stop-token-ids <ids...>',
      'tokens that end the answer',
      (value: string, all: number[] = []) => [...all, number(value)],
    )
    .option(
      '--set <name=value>',
      "any other of the API's parameters: --set dry_multiplier=0.8; may be said again",
      setting,
      {},
    );

/** The parameters that were given, under the names of the wire. */
export function parametersOf(options: TextOptions): Record<string, unknown> {
  const all = {
    max_tokens: options.maxTokens,
    temperature: options.temperature,
    top_k: options.topK,
    top_p: options.topP,
    min_p: options.minP,
    repetition_penalty: options.repetitionPenalty,
    presence_penalty: options.presencePenalty,
    frequency_penalty: options.frequencyPenalty,
    logit_bias: options.logitBias,
    seed: options.seed,
    stop: options.stop,
    stop_token_ids: options.stopTokenIds,
    ...options.set,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

function number(value: string): number {
  const parsed = Number(value);
  if (value.trim() === '' || !Number.isFinite(parsed)) throw new InvalidArgumentError('It is a number.');
  return parsed;
}

/** A value is JSON where it can be, and a text otherwise. */
function setting(text: string, all: Record<string, unknown>): Record<string, unknown> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It is a name and its value, like min_tokens=20.');
  const value = text.slice(at + 1);
  try {
    return { ...all, [text.slice(0, at)]: JSON.parse(value) };
  } catch {
    return { ...all, [text.slice(0, at)]: value };
  }
}

function json(value: string): Record<string, number> {
  try {
    return JSON.parse(value) as Record<string, number>;
  } catch {
    throw new InvalidArgumentError('It is a JSON object of token ids and numbers.');
  }
}
