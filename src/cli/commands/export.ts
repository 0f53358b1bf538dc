import { Command } from 'commander';
import { exportModel } from '../../training/export.ts';
import { formatBytes, formatCount, printJson } from '../output.ts';

/** `wick export SOURCE --out DIR`: a checkpoint made into a model folder. */
export function exportCommand(): Command {
  return new Command('export')
    .description(
      "Make a checkpoint into a model folder: config, tokenizer and ONNX graph in Hugging Face's layout.",
    )
    .argument('<source>', "a run's folder, or one of its checkpoints")
    .requiredOption('--out <dir>', 'the model folder')
    .option('--json', 'print the result as one line of JSON')
    .action(async (source: string, options: { out: string; json?: boolean }) => {
      const result = await exportModel(source, options.out);
      if (options.json) return printJson(result);
      console.log(
        `${result.folder}: ${formatCount(result.parameters)} parameters after ${formatCount(result.steps)} steps`,
      );
      for (const { name, bytes } of result.files) console.log(`  ${name}  ${formatBytes(bytes)}`);
    });
}
