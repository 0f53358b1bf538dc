import { Command } from 'commander';
import { bitsPerByteCommand } from './eval/bits-per-byte.ts';
import { filterCommand } from './eval/filter.ts';
import { imagesCommand } from './eval/images.ts';

/** `wick eval`: what a model is worth, in figures. */
export function evalCommand(): Command {
  return new Command('eval')
    .description('Measure a model.')
    .addCommand(bitsPerByteCommand())
    .addCommand(imagesCommand())
    .addCommand(filterCommand());
}
