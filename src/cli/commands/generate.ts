import { text as readAll } from 'node:stream/consumers';
import { Command, InvalidArgumentError, Option } from 'commander';
import { generate } from '../../generation/generate.ts';
import type { GenerationParameters } from '../../generation/parameters.ts';
import { loadModelFolder, type Provider, providers } from '../../service/model-folder.ts';
import { printJson } from '../output.ts';

interface Options {
  model: string;
  chat?: boolean;
  provider: Provider;
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
  json?: boolean;
}

/** `wick generate PROMPT`: an answer of a model, on this machine. */
export function generateCommand(): Command {
  return new Command('generate')
    .description('Generate text on this machine, shown as it comes.')
    .argument('[prompt...]', 'how the text begins; read from stdin where there is none')
    .option('--model <dir>', 'model folder', 'models/Llama-wick-3M')
    .option('--chat', "the prompt is a message, put in the model's chat template")
    .addOption(new Option('--provider <name>', 'where it runs').choices(providers).default('cpu'))
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
    )
    .option('--json', 'print text, finish_reason and usage as one line of JSON')
    .action(async (words: string[], options: Options) => {
      const prompt = words.length > 0 ? words.join(' ') : await readAll(process.stdin);
      const model = await loadModelFolder(options.model, options);
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      const input = options.chat ? { messages: [{ role: 'user', content: prompt }] } : { text: prompt };
      const choices: { text: string; finish_reason?: string; logprobs?: object[] }[] = [];
      try {
        for await (const event of generate(model, input, parametersOf(options), stop.signal)) {
          if (event.type === 'delta') {
            if (!options.json) process.stdout.write(event.text);
            choices[event.index] ??= { text: '' };
            const choice = choices[event.index];
            choice.text += event.text;
            if (event.logprobs) choice.logprobs = [...(choice.logprobs ?? []), ...event.logprobs];
          }
          if (event.type === 'end') {
            choices[event.index] ??= { text: '' };
            choices[event.index].finish_reason = event.finish_reason;
            if (!options.json) process.stdout.write('\n');
          }
          if (event.type === 'done' && options.json) {
            const what = choices.length === 1 ? choices[0] : { choices };
            printJson({ model: model.id, ...what, usage: event.usage });
          }
        }
      } catch (error) {
        if (!stop.signal.aborted) throw error;
        process.stdout.write('\n');
        process.exitCode = 130;
      }
    });
}

/** The flags that were given, under the names of the wire. */
function parametersOf(options: Options): Partial<GenerationParameters> {
  const all: Partial<GenerationParameters> = {
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
