/** The `wick` command: finds the command that is named, loads it alone, and runs it. */
import { type Command, CommanderError } from 'commander';
import { styled } from './output.ts';

interface Entry {
  summary: string;
  load: () => Promise<Command>;
}

/** All commands. Each is loaded when it is called: listing models should not wait for onnxruntime. */
export const commands: Readonly<Record<string, Entry>> = {
  prepare: {
    summary: 'read, clean and deduplicate files, learn a tokenizer, write training data',
    load: async () => (await import('./commands/prepare.ts')).prepareCommand(),
  },
  'prepare-images': {
    summary: 'clean, deduplicate and vectorise images with captions',
    load: async () => (await import('./commands/prepare-images.ts')).prepareImagesCommand(),
  },
  'prepare-labels': {
    summary: 'gather, deduplicate and split texts with labels',
    load: async () => (await import('./commands/prepare-labels.ts')).prepareLabelsCommand(),
  },
  'prepare-tags': {
    summary: 'fill in sentences with what is to be found in them',
    load: async () => (await import('./commands/prepare-tags.ts')).prepareTagsCommand(),
  },
  train: {
    summary: 'train a model, or go on where a run was stopped',
    load: async () => (await import('./commands/train.ts')).trainCommand(),
  },
  export: {
    summary: 'make a checkpoint into a model folder',
    load: async () => (await import('./commands/export.ts')).exportCommand(),
  },
  pull: {
    summary: 'bring a published model here',
    load: async () => (await import('./commands/pull.ts')).pullCommand(),
  },
  quantize: {
    summary: 'make a model smaller: 8 or 4 bits a weight, or half precision',
    load: async () => (await import('./commands/quantize.ts')).quantizeCommand(),
  },
  eval: {
    summary: 'measure a model',
    load: async () => (await import('./commands/eval.ts')).evalCommand(),
  },
  generate: {
    summary: 'generate text on this machine or a server',
    load: async () => (await import('./commands/generate.ts')).generateCommand(),
  },
  chat: {
    summary: 'talk with a model on this machine or a server',
    load: async () => (await import('./commands/chat.ts')).chatCommand(),
  },
  trace: {
    summary: 'show how each token of an answer came about',
    load: async () => (await import('./commands/trace.ts')).traceCommand(),
  },
  replay: {
    summary: 'make an answer again from its trace, and compare',
    load: async () => (await import('./commands/replay.ts')).replayCommand(),
  },
  draw: {
    summary: 'draw an image on this machine or a server',
    load: async () => (await import('./commands/draw.ts')).drawCommand(),
  },
  filter: {
    summary: 'find personal data and secrets in texts, and mask, replace or refuse them',
    load: async () => (await import('./commands/filter.ts')).filterCommand(),
  },
  serve: {
    summary: 'run the service that generates for the edge',
    load: async () => (await import('./commands/serve.ts')).serveCommand(),
  },
  start: {
    summary: 'run the service and the Worker together',
    load: async () => (await import('./commands/start.ts')).startCommand(),
  },
  models: {
    summary: 'list model folders, or the models of a server',
    load: async () => (await import('./commands/models.ts')).modelsCommand(),
  },
};

/**
 * Runs the command line. Exit codes: 0 done, 1 failed, 2 not understood, 130 stopped by Ctrl-C.
 * @param argv what follows the program's name
 */
export async function main(argv: readonly string[]): Promise<void> {
  standLeavingReaders();
  const [name, ...rest] = argv;
  if (name === 'help' && rest.length > 0) return run(rest[0], ['--help']);
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(help());
    if (name === undefined) process.exitCode = 2;
    return;
  }
  if (name === '--json') {
    const list = Object.entries(commands).map(([command, { summary }]) => ({
      command,
      summary,
    }));
    process.stdout.write(`${JSON.stringify({ commands: list })}\n`);
    return;
  }
  if (name === 'complete') return complete(rest);
  await run(name, rest);
}

/** `wick complete SHELL` and, as the shells ask, `wick complete -- WORDS`. */
async function complete([shell, ...words]: readonly string[]): Promise<void> {
  const { printCompletions, printScript, shells } = await import('./completion.ts');
  if (shell === '--') return printCompletions(commands, words);
  const known = shells.find((each) => each === shell);
  if (known && words.length === 0) return printScript(known);
  fail(`Say for which shell: wick complete ${shells.join(' | ')}.`, shell === '--help' ? 0 : 2);
}

/** Runs one command with what follows its name. */
async function run(name: string, args: readonly string[]): Promise<void> {
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!entry) return fail(`There is no command "${name}". There is: ${Object.keys(commands).join(', ')}.`, 2);
  try {
    const command = await entry.load();
    strict(command.name(`wick ${name}`));
    await command.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 2;
      return;
    }
    fail((error as Error).message ?? String(error), 1);
    if (process.env.WICK_DEBUG) console.error(error);
  }
}

/** A reader that has left (`wick … | head`) is no failure; one of the log alone stops nothing. */
function standLeavingReaders(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
  process.stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

/** Bad usage throws instead of ending the process, is told as all errors are, and says where help is. */
function strict(command: Command): void {
  command
    .exitOverride()
    .showHelpAfterError(`(${command.name()} --help tells more)`)
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, prefix())) });
  for (const child of command.commands) strict(child);
}

const prefix = () => styled('red', 'wick:', process.stderr);

function fail(message: string, code: number): void {
  process.stderr.write(`${prefix()} ${message}\n`);
  process.exitCode = code;
}

function help(): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return `Usage: wick <command> [options]

Generative AI the whole way, from raw data to a streamed answer, on ONNX graphs.

${lines.join('\n')}

wick <command> --help tells a command's options; each has --json.
source <(wick complete bash) completes them at Tab; zsh, fish and powershell have theirs.
`;
}
