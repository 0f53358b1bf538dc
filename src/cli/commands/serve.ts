import { readFileSync } from 'node:fs';
import { isatty } from 'node:tty';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { LogEntry } from '../../service/account.ts';
import { type RunningService, startService } from '../../service/serve.ts';
import { CACHE_BYTES } from '../../service/worker-messages.ts';
import { chooseDevice, type Device, deviceOption } from '../device.ts';
import { resolveModel } from '../hub/model-cache.ts';
import { printJson } from '../output.ts';
import { readPolicyFile } from '../policy-file.ts';

interface Options {
  models: string[];
  preload?: true | string[];
  memory?: number;
  host: string;
  port: number;
  device: Device;
  threads: number;
  variant: string;
  maxConcurrent: number;
  maxQueue: number;
  cache: number;
  draft?: string;
  readerPatience: number;
  drainTimeout: number;
  policy?: string;
  safetyChecker?: string;
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
      '--preload [models...]',
      'load these at the start and keep them (all where none is named); others are loaded when they are asked for',
    )
    .option(
      '--memory <size>',
      'weights that may be loaded at a time, as 8GB: who was not asked for longest makes room',
      bytes,
    )
    .option(
      '--port <n>',
      'port (or WICK_SERVICE_PORT)',
      whole(0, 65_535),
      Number(process.env.WICK_SERVICE_PORT) || 8788,
    )
    .option('--host <address>', 'address to listen at', '127.0.0.1')
    .addOption(deviceOption('where models run'))
    .option(
      '--threads <n>',
      'threads of the processor for each model; 0 takes one for each core',
      whole(0, 1024),
      0,
    )
    .option('--variant <name>', 'which graph of a model folder: fp16, quantized, q4, …', '')
    .option('--max-concurrent <n>', 'generations of one model that are computed together', whole(1, 1024), 64)
    .option('--max-queue <n>', 'requests to one model that wait', whole(0, 100_000), 64)
    .addOption(
      new Option('--cache <size>', "what one model's keys and values of tokens may take")
        .argParser(bytes)
        .default(CACHE_BYTES, '1GiB'),
    )
    .option('--draft <model>', 'a smaller model that proposes tokens to those with the same ones')
    .option(
      '--reader-patience <s>',
      'seconds for which a reader may take nothing before its answer is given up',
      whole(1, 86_400),
      30,
    )
    .option('--drain-timeout <s>', 'seconds that running answers get after SIGTERM', whole(0, 86_400), 30)
    .option('--policy <file>', 'a policy, by whose rules on safety the prompts of images are judged')
    .option(
      '--safety-checker <dir>',
      "the folder of a safety checker (Stable Diffusion's) that looks at all images that are drawn, and at those that are to be moderated",
    )
    .addOption(
      new Option(
        '--c2pa-certificate <file>',
        'sign images (PNG, JPEG) with Content Credentials: certificates, PEM',
      ).env('WICK_C2PA_CERTIFICATE'),
    )
    .addOption(new Option('--c2pa-key <file>', 'the key of the first certificate, PEM').env('WICK_C2PA_KEY'))
    .option('--json', 'write the log as one JSON object a line')
    .action(async (options: Options) => {
      const note = (text: string) =>
        options.json ? printJson({ time: now(), note: text }) : console.log(text);
      const log = options.json
        ? (entry: LogEntry) => printJson({ time: now(), ...entry })
        : (entry: LogEntry) => console.log(logLine(entry));
      const service = await startService({
        ...options,
        provider: await chooseDevice(options.device, note),
        models: options.models.map(resolveModel),
        cacheBytes: options.cache,
        draft: options.draft && resolveModel(options.draft),
        policy: options.policy === undefined ? undefined : readPolicyFile(options.policy).policy,
        credentials: credentialsOf(options),
        readerPatience: options.readerPatience * 1000,
        secret: process.env.WICK_SECRET ?? '',
        metricsToken: process.env.WICK_METRICS_TOKEN || undefined,
        log,
        note,
      });
      note(`The service listens at http://${options.host}:${service.port}`);
      const end = untilEnd(service, options.drainTimeout * 1000, note);
      try {
        await service.preloaded;
        if (options.preload) note('The preloaded models are there.');
      } catch (error) {
        await service.drain(0);
        throw error;
      }
      await end;
    });
}

const now = () => new Date().toISOString();

/** Resolves when a signal has asked for the end, and what ran is over. SIGHUP asks to look at the folders again. */
function untilEnd(service: RunningService, timeout: number, note: (text: string) => void): Promise<void> {
  const onTerminal = isatty(1);
  return new Promise((resolve) => {
    let ending = false;
    const end = (code: number) => {
      if (ending) process.exit(code);
      ending = true;
      note('Ending: running answers are finished first.');
      void service.drain(timeout).then(() => {
        process.exitCode = code;
        resolve();
      });
    };
    process.on('SIGINT', () => end(130)).on('SIGTERM', () => end(0));
    process.on('SIGHUP', () => {
      // A terminal that is closed sends it, too.
      if (onTerminal && !isatty(1)) return end(0);
      note('Looking at the model folders again.');
      service.reload().catch((error: Error) => note(`The models stay as they were: ${error.message}`));
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

function logLine(entry: LogEntry): string {
  const { method, path, status, ms, id, model, error, tokens, images, first_token_ms } = entry;
  const rate = tokens && ms > 0 ? `${tokens} tokens, ${((tokens / ms) * 1000).toFixed(0)} tokens/s` : '';
  const first = first_token_ms !== undefined && `first after ${first_token_ms} ms`;
  const drawn = images !== undefined && `${images} ${images === 1 ? 'image' : 'images'}`;
  return [method, path, status, error, `${ms} ms`, model, rate, first, drawn, id].filter(Boolean).join(' ');
}

const whole = (min: number, max: number) => (value: string) => {
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < min || number > max)
    throw new InvalidArgumentError(`It is a whole number from ${min} to ${max}.`);
  return number;
};

/** 8GB, 8GiB, 512MB or a number of bytes. */
function bytes(text: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)\s*([kmgt]i?b|b)?$/i.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError('It is a size, like 8GB, 512MB or 1.5GiB.');
  const power = 'bkmgt'.indexOf(unit.toLowerCase().charAt(0) || 'b');
  return Math.round(Number(number) * (/i/i.test(unit) ? 1024 : 1000) ** power);
}
