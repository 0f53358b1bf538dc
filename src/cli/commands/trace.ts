import { Command } from 'commander';
import { printJson } from '../output.ts';
import { traceLines } from '../show-trace.ts';
import { readTraceFile } from '../trace-file.ts';

/** `wick trace FILE`: how each token of an answer came about. */
export function traceCommand(): Command {
  return new Command('trace')
    .description('Show how each token of an answer came about, which was asked for with "trace": true.')
    .argument('<file>', 'the answer as it was saved, whole or streamed')
    .option('--json', 'print it as one line of JSON')
    .action((file: string, { json }: { json?: boolean }) => {
      const trace = readTraceFile(file);
      if (json) return printJson(trace);
      for (const line of traceLines(trace)) process.stdout.write(`${line}\n`);
    });
}
