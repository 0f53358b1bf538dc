import { Command, InvalidArgumentError } from 'commander';
import { readJson } from '../../training/export.ts';
import { type Provider, providers } from '../../training/runtime.ts';
import { train } from '../../training/trainer.ts';
import { formatCount, printJson } from '../output.ts';
import { createProgress } from '../progress.ts';

/** `wick train CONFIG`: trains a model, or goes on where a run was stopped. */
export function trainCommand(): Command {
  return new Command('train')
    .description(
      'Train a model from a configuration; a run that was stopped goes on from its last checkpoint.',
    )
    .argument(
      '<config>',
      'a JSON file: model, data, out, sequence_length, batch_size, max_steps, learning_rate, …',
    )
    .option('--provider <name>', `where it runs: ${providers.join(', ')}`, parseProvider, 'cpu')
    .option('--threads <n>', 'threads of the processor; 0 takes one for each core', parseCount, 0)
    .option('--resume <file>', 'go on from this checkpoint instead of the newest')
    .option('--json', 'print the result as one line of JSON')
    .action(async (path: string, options: Options) => {
      const json = readJson(path);
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      process.once('SIGTERM', () => stop.abort());
      const progress = createProgress({
        label: 'train',
        total: (json as { max_steps?: number }).max_steps,
        unit: 'step',
      });
      const result = await train(json, {
        ...options,
        signal: stop.signal,
        onNote: (note) => console.error(note),
        onProgress: (p) =>
          progress.update(
            p.step,
            [
              `loss ${p.smooth_loss.toFixed(3)}`,
              p.validation_bits_per_byte && `validation ${p.validation_bits_per_byte.toFixed(3)} bits/byte`,
              `${formatCount(p.tokens_per_second)} tokens/s`,
              `${(p.flops_per_second / 1e9).toFixed(0)} GFLOP/s`,
            ]
              .filter(Boolean)
              .join(' · '),
          ),
      });
      progress.finish();
      if (options.json) printJson(result);
      else {
        console.log(
          `${result.steps} steps, ${formatCount(result.tokens)} tokens: validation ${result.validation_loss.toFixed(4)} nats a token, ${result.validation_bits_per_byte.toFixed(4)} bits a byte.\n${result.checkpoint}`,
        );
      }
      if (stop.signal.aborted) process.exitCode = 130;
    });
}

interface Options {
  provider: Provider;
  threads: number;
  resume?: string;
  json?: boolean;
}

function parseProvider(value: string): Provider {
  if (!providers.includes(value as Provider))
    throw new InvalidArgumentError(`It is one of ${providers.join(', ')}.`);
  return value as Provider;
}

function parseCount(value: string): number {
  if (!/^\d{1,4}$/.test(value)) throw new InvalidArgumentError('It is a whole number from 0.');
  return Number(value);
}
