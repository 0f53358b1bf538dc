import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { LogEntry } from '../../service/app.ts';
import { type Provider, providers } from '../../service/model-folder.ts';
import { startService } from '../../service/serve.ts';
import { resolveModel } from '../hub/model-cache.ts';
import { printJson } from '../output.ts';

interface Options {
  models: string[];
  host: string;
  port: number;
  provider: Provider;
  threads: number;
  variant: string;
  maxConcurrent: number;
  maxQueue: number;
  readerPatience: number;
  drainTimeout: number;
  c2paCertificate?: string;
  c2paKey?: string;
  json?: boolean;
}

/** `wick serve`: the service that generates for the edge. */
export function serveCommand(): Command {
  return new Command('serve')
    .description(
      'Run the service: signed requests from the edge in, events of generations out. WICK_SECRET is what both share.',
    )
    .option('--models <dirs...>', 'model folders, or folders of them', ['models'])
    .option(
      '--port <n>',
      'port (or WICK_SERVICE_PORT)',
      whole(0, 65_535),
      Number(process.env.WICK_SERVICE_PORT) || 8788,
    )
    .option('--host <address>', 'address to listen at', '127.0.0.1')
    .addOption(new Option('--provider <name>', 'where models run').choices(providers).default('cpu'))
    .option(
      '--threads <n>',
      'threads of the processor for each model; 0 takes one for each core',
      whole(0, 1024),
      0,
    )
    .option('--variant <name>', 'which graph of a model folder: fp16, quantized, q4, …', '')
    .option('--max-concurrent <n>', 'generations of one model that run in turns', whole(1, 1024), 4)
    .option('--max-queue <n>', 'requests to one model that wait', whole(0, 100_000), 64)
    .option(
      '--reader-patience <s>',
      'seconds for which a reader may take nothing before its answer is given up',
      whole(1, 86_400),
      30,
    )
    .option('--drain-timeout <s>', 'seconds that running answers get after SIGTERM', whole(0, 86_400), 30)
    .addOption(
      new Option(
        '--c2pa-certificate <file>',
        'sign images (PNG, JPEG) with Content Credentials: certificates, PEM',
      ).env('WICK_C2PA_CERTIFICATE'),
    )
    .addOption(new Option('--c2pa-key <file>', 'the key of the first certificate, PEM').env('WICK_C2PA_KEY'))
    .option('--json', 'write the log as one JSON object a line')
    .action(async (options: Options) => {
      const note = (text: string) => (options.json ? printJson({ note: text }) : console.log(text));
      const log = options.json
        ? (entry: LogEntry) => printJson(entry)
        : (entry: LogEntry) => console.log(logLine(entry));
      const service = await startService({
        ...options,
        models: options.models.map(resolveModel),
        credentials: credentialsOf(options),
        readerPatience: options.readerPatience * 1000,
        secret: process.env.WICK_SECRET ?? '',
        log,
        note,
      });
      note(`The service listens at http://${options.host}:${service.port}`);
      await new Promise<void>((resolve) => {
        let ending = false;
        const end = (code: number) => () => {
          if (ending) process.exit(code);
          ending = true;
          note('Ending: running answers are finished first.');
          void service.drain(options.drainTimeout * 1000).then(() => {
            process.exitCode = code;
            resolve();
          });
        };
        process.on('SIGINT', end(130)).on('SIGTERM', end(0));
      });
    });
}

function credentialsOf({ c2paCertificate, c2paKey }: Options) {
  if (!c2paCertificate && !c2paKey) return undefined;
  if (!c2paCertificate || !c2paKey)
    throw new Error('Content Credentials need both --c2pa-certificate and --c2pa-key.');
  const read = (file: string) => {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      throw new Error(`There is no file ${file} that can be read.`);
    }
  };
  return { certificate: read(c2paCertificate), key: read(c2paKey) };
}

function logLine({ method, path, status, ms, id, model, tokens, images }: LogEntry): string {
  const rate = tokens && ms > 0 ? `${tokens} tokens, ${((tokens / ms) * 1000).toFixed(0)} tokens/s` : '';
  const drawn = images !== undefined && `${images} ${images === 1 ? 'image' : 'images'}`;
  return [method, path, status, `${ms} ms`, model, rate, drawn, id].filter(Boolean).join(' ');
}

const whole = (min: number, max: number) => (value: string) => {
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < min || number > max)
    throw new InvalidArgumentError(`It is a whole number from ${min} to ${max}.`);
  return number;
};
