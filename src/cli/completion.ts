/** What a shell offers when Tab is pressed: `wick complete SHELL` prints its script, which asks `wick complete -- WORDS`. */
import { readdirSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { type Command as Completed, RootCommand } from '@bomb.sh/tab';
import type { Argument, Command, Option } from 'commander';
import { serverModels } from './remote/models.ts';
import { serverOf } from './remote/server.ts';

type Commands = Readonly<Record<string, { summary: string; load: () => Promise<Command> }>>;

export const shells = ['bash', 'zsh', 'fish', 'powershell'] as const;

/** Milliseconds for which a server may be asked for its models while somebody waits at the keyboard. */
const PATIENCE = 1_500;

/** Prints what makes a shell complete `wick`. */
export const printScript = (shell: (typeof shells)[number]): void =>
  new RootCommand().setup('wick', 'wick', shell);

/**
 * Prints what may stand in the place of the last of the words, in the form that the scripts read.
 * @param words what follows the program's name, the last one unfinished, and perhaps empty
 */
export async function printCompletions(commands: Commands, words: readonly string[]): Promise<void> {
  const root = new RootCommand();
  const [name = ''] = words;
  for (const [each, { summary }] of Object.entries(commands)) root.command(each, summary);
  root.command('complete', 'print what makes a shell complete these');
  for (const shell of shells) root.command(`complete ${shell}`, `completion for ${shell}`);
  // One command is loaded, the one that is written: Tab should not wait for the others.
  if (words.length > 1 && Object.hasOwn(commands, name))
    await describe(root, name, await commands[name].load(), words);
  root.parse([...words]);
}

async function describe(root: RootCommand, name: string, command: Command, words: readonly string[]) {
  const described = root.command(name, command.description());
  for (const child of command.commands) await describe(root, `${name} ${child.name()}`, child, words);
  for (const option of [...command.options, help]) await addOption(described, option, words);
  for (const argument of command.registeredArguments) addArgument(described, argument, words);
}

const help = { long: '--help', description: "tells the command's options" };

async function addOption(
  described: Completed,
  option: Pick<Option, 'description'> & Partial<Option>,
  words: readonly string[],
): Promise<void> {
  const name = option.long!.slice(2);
  const short = option.short?.slice(1);
  if (!option.required && !option.optional) {
    if (short) described.option(name, option.description, short);
    else described.option(name, option.description);
    return;
  }
  const [before, word] = [words.at(-2), words.at(-1) ?? ''];
  const inline = word.startsWith(`--${name}=`);
  const asked = inline || before === option.long || (short !== undefined && before === option.short);
  const typed = inline ? word.slice(word.indexOf('=') + 1) : word;
  const values = asked ? await valuesOf(option, typed, words) : [];
  described.option(
    name,
    option.description,
    (complete) => {
      for (const value of values) complete(value, '');
    },
    short,
  );
}

async function valuesOf(option: Partial<Option>, typed: string, words: readonly string[]): Promise<string[]> {
  if (option.argChoices) return option.argChoices;
  if (option.long === '--model') return (await modelsOfServer(words)) ?? files(typed || `models${sep}`);
  return /<(file|dir|dirs)\b/.test(option.flags ?? '') ? files(typed) : [];
}

/** The names that a server has, where one is to be asked. */
async function modelsOfServer(words: readonly string[]): Promise<string[] | undefined> {
  try {
    const server = serverOf({
      url: words[words.indexOf('--url') + 1 || words.length] ?? process.env.WICK_URL,
    });
    if (!server) return undefined;
    return (await serverModels(server, AbortSignal.timeout(PATIENCE))).map(({ id }) => id);
  } catch {
    return [];
  }
}

/** Arguments that are no files. */
const written = new Set(['generate prompt', 'draw prompt', 'pull model']);

function addArgument(described: Completed, argument: Argument, words: readonly string[]): void {
  const values =
    argument.argChoices ??
    (written.has(`${described.value} ${argument.name()}`) ? [] : files(words.at(-1) ?? ''));
  described.argument(
    argument.name(),
    (complete) => {
      for (const value of values) complete(value, '');
    },
    argument.variadic,
  );
}

/** The files and folders whose names begin so; hidden ones where a dot is typed. */
function files(typed: string): string[] {
  const folder = typed.endsWith(sep) ? typed : typed.includes(sep) ? `${dirname(typed)}${sep}` : '';
  try {
    return readdirSync(folder || '.', { withFileTypes: true })
      .filter((entry) => !entry.name.startsWith('.') || typed.slice(folder.length).startsWith('.'))
      .map((entry) => `${folder && join(folder, sep)}${entry.name}${entry.isDirectory() ? sep : ''}`);
  } catch {
    return [];
  }
}
