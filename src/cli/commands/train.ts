import { Command, InvalidArgumentError } from 'commander';
import { readJson } from '../../training/export.ts';
import type { Measures } from '../../training/metrics.ts';
import { type TrainingResult, train } from '../../training/trainer.ts';
import { chooseDevice, type Device, deviceOption } from '../device.ts';
import { formatCount, printJson } from '../output.ts';
import { createProgress } from '../progress.ts';

/** `wick train CONFIG`: trains a model, or goes on where a run was stopped. */
export function trainCommand(): Command {
  return new Command('train')
    .description(
      'Train a model from a configuration; a run that was stopped goes on from its last checkpoint.',
    )
    .argument('<config>', 'a JSON file: task, model, data, out, batch_size, max_steps, learning_rate, …')
    .addOption(deviceOption())
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
      const note = (line: string) => console.error(line);
      const result = await train(json, {
        ...options,
        provider: await chooseDevice(options.device, note),
        signal: stop.signal,
        onNote: note,
        onProgress: (p) =>
          progress.update(
            p.step,
            [
              `loss ${p.smooth_loss.toFixed(3)}`,
              p.validation_loss && `validation ${validation(p)}`,
              `${formatCount(p.per_second)} ${p.unit}s/s`,
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
          `${result.steps} steps, ${seen(result)}: validation ${validation(result)}.\n${result.checkpoint}`,
        );
      }
      if (stop.signal.aborted) process.exitCode = 130;
    });
}

const seen = ({ tokens, texts, images }: TrainingResult) => {
  if (tokens !== undefined) return `${formatCount(tokens)} tokens`;
  return texts === undefined ? `${formatCount(images!)} images` : `${formatCount(texts)} texts`;
};

const validation = ({
  validation_loss,
  validation_bits_per_byte: bits,
  validation_auroc: area,
  validation_f1: f1,
}: Partial<Measures>) => {
  if (bits !== undefined)
    return `${validation_loss!.toFixed(4)} nats a token, ${bits.toFixed(4)} bits a byte`;
  const told = [
    ['AUROC', area],
    ['F1', f1],
  ].flatMap(([name, value]) => (value === undefined ? [] : [`, ${name} ${Number(value).toFixed(4)}`]));
  return `loss ${validation_loss!.toFixed(4)}${told.join('')}`;
};

interface Options {
  device: Device;
  threads: number;
  resume?: string;
  json?: boolean;
}

function parseCount(value: string): number {
  if (!/^\d{1,4}$/.test(value)) throw new InvalidArgumentError('It is a whole number from 0.');
  return Number(value);
}
