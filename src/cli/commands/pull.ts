import { Command } from 'commander';
import { cachedFolder, isHubName } from '../hub/model-cache.ts';
import { pull } from '../hub/pull.ts';
import { formatBytes, printJson } from '../output.ts';
import { createProgress } from '../progress.ts';

interface Options {
  revision: string;
  file?: string[];
  variant: string;
  to?: string;
  hub?: string;
  json?: boolean;
}

/** `wick pull OWNER/NAME`: a published model brought to this machine. */
export function pullCommand(): Command {
  return new Command('pull')
    .description(
      'Bring a published model here: what is needed to run it, checked by its checksums. What was cut goes on where it was. Afterwards --model OWNER/NAME opens it, without a network.',
    )
    .argument('<model>', "the model's name on the hub, OWNER/NAME")
    .option('--revision <name>', 'a branch, a tag or a commit', 'main')
    .option('--variant <name>', 'which of its graphs: fp16, quantized, q4, …', '')
    .option('--file <names...>', 'exactly these files')
    .option('--to <dir>', 'where to, instead of the folder of pulled models (WICK_CACHE)')
    .option('--hub <url>', 'the hub, or a mirror of it (or HF_ENDPOINT); HF_TOKEN is what it knows you by')
    .option('--json', 'print the result as one line of JSON')
    .action(async (name: string, { file, to, hub, json, ...options }: Options) => {
      if (!isHubName(name)) throw new Error(`"${name}" is no model's name on the hub: it is OWNER/NAME.`);
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      let progress: ReturnType<typeof createProgress> | undefined;
      try {
        const pulled = await pull({
          ...{ name, ...options, files: file, folder: to ?? cachedFolder(name), signal: stop.signal },
          url: (hub ?? process.env.HF_ENDPOINT)?.replace(/\/+$/, ''),
          token: process.env.HF_TOKEN || undefined,
          onProgress(done, total, path) {
            progress ??= createProgress({ label: 'pull', total, unit: 'byte' });
            progress.update(done, path);
          },
        });
        progress?.finish();
        if (json) return printJson(pulled);
        const fetched = pulled.files.filter((each) => each.fetched);
        const bytes = fetched.reduce((sum, each) => sum + each.bytes, 0);
        console.log(`${pulled.folder}: ${name} at ${pulled.revision.slice(0, 12)}`);
        for (const each of pulled.files)
          console.log(`  ${each.path}  ${formatBytes(each.bytes)}${each.fetched ? '' : ', there already'}`);
        console.log(`${formatBytes(bytes)} fetched.`);
      } catch (error) {
        progress?.finish();
        if (!stop.signal.aborted) throw error;
        console.error('wick: Stopped; the same command goes on.');
        process.exitCode = 130;
      }
    });
}
