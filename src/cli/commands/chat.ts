import { createInterface, type Interface } from 'node:readline';
import { Command } from 'commander';
import type { ChatMessage } from '../../generation/text-tokenizer.ts';
import { openWriter } from '../open-writer.ts';
import { printJson, styled } from '../output.ts';
import { addTextOptions, parametersOf, type TextOptions } from '../text-options.ts';
import { forTerminal, type Writer } from '../writer.ts';

type Options = TextOptions & { system?: string; json?: boolean };

/** A conversation and who answers in it. */
interface Chat {
  writer: Writer;
  parameters: Record<string, unknown>;
  /** With the system's message first, where there is one. */
  messages: ChatMessage[];
  json: boolean;
}

/** `wick chat`: a conversation in the terminal, with a model on this machine or of a server. */
export function chatCommand(): Command {
  const command = new Command('chat')
    .description('Talk with a model. Ctrl-C stops an answer, Ctrl-D ends; /help tells more.')
    .option('--system <text>', 'how it should behave');
  return addTextOptions(command)
    .option('--json', 'print each answer as one line of JSON')
    .action(async (options: Options) => {
      const parameters = parametersOf(options);
      for (const name of ['n', 'best_of', 'echo', 'top_logprobs']) {
        if (name in parameters) throw new Error(`\`${name}\` is not for a conversation.`);
      }
      const writer = await openWriter(command);
      const chat: Chat = { writer, parameters, messages: [], json: options.json ?? false };
      if (options.system) directions.system(chat, options.system);
      await talk(chat);
    });
}

/** What a line that begins with / does, and what is told then. */
const directions: Readonly<Record<string, (chat: Chat, rest: string) => string>> = {
  help: () =>
    `/reset forgets what was said. /system TEXT says how to behave, /system alone takes it back. //text says /text.
Ctrl-C stops an answer, Ctrl-D ends.`,
  reset: (chat) => {
    chat.messages = chat.messages.filter(({ role }) => role === 'system');
    return 'Forgotten.';
  },
  system: (chat, content) => {
    const others = chat.messages.filter(({ role }) => role !== 'system');
    chat.messages = content ? [{ role: 'system', content }, ...others] : others;
    return content ? 'Understood.' : 'Taken back.';
  },
};

/** Answers each line until there is no more. Off a terminal, a line that fails makes the exit code 1. */
async function talk(chat: Chat): Promise<void> {
  const terminal = Boolean(process.stdin.isTTY && process.stdout.isTTY && !chat.json);
  const lines = createInterface({
    input: process.stdin,
    output: terminal ? process.stdout : undefined,
    terminal,
    prompt: styled('bold', '> '),
  });
  let answering: AbortController | undefined;
  const interrupt = () => {
    if (answering) answering.abort();
    else if (terminal) clearLine(lines);
    else process.exit(130);
  };
  // A terminal in readline's hands tells of Ctrl-C as a key; elsewhere it is a signal.
  lines.on('SIGINT', interrupt);
  process.on('SIGINT', interrupt);
  const note = (text: string) => process.stderr.write(`${styled('dim', text, process.stderr)}\n`);
  if (terminal) {
    note(`${chat.writer.id} listens. /help tells more.`);
    lines.prompt();
  }
  for await (const line of lines) {
    const [, name, rest] = /^\/(?!\/)(\S*)\s*(.*)$/s.exec(line) ?? [];
    try {
      if (name !== undefined) {
        if (!Object.hasOwn(directions, name)) {
          const names = Object.keys(directions).map((each) => `/${each}`);
          throw new Error(`There is no /${name}. There is: ${names.join(', ')}.`);
        }
        const told = directions[name](chat, rest.trim());
        if (terminal) note(told);
      } else if (line.trim() !== '') {
        answering = new AbortController();
        await answer(chat, line.replace(/^\/\//, '/'), answering.signal);
      }
    } catch (error) {
      process.stderr.write(`${styled('red', 'wick:', process.stderr)} ${(error as Error).message}\n`);
      if (!terminal) process.exitCode = 1;
    } finally {
      answering = undefined;
    }
    if (terminal) lines.prompt();
  }
  process.removeListener('SIGINT', interrupt);
  if (terminal) process.stdout.write('\n');
}

/** Says something and shows the answer. What fails was not said; of an answer that is stopped, its beginning stays. */
async function answer(chat: Chat, content: string, signal: AbortSignal): Promise<void> {
  const messages = [...chat.messages, { role: 'user', content }];
  let text = '';
  let finish_reason = 'stopped';
  let usage: object | undefined;
  try {
    for await (const event of chat.writer.write({ messages }, chat.parameters, signal)) {
      if (event.type === 'delta') {
        text += event.text;
        if (!chat.json) process.stdout.write(forTerminal(event.text));
      }
      if (event.type === 'end') finish_reason = event.finish_reason;
      if (event.type === 'done') usage = event.usage;
    }
  } catch (error) {
    if (!signal.aborted) {
      if (text && !chat.json) process.stdout.write('\n');
      throw error;
    }
  }
  if (text || !signal.aborted) chat.messages = [...messages, { role: 'assistant', content: text }];
  if (chat.json) printJson({ model: chat.writer.id, text, finish_reason, ...(usage && { usage }) });
  else process.stdout.write('\n');
}

/** What Ctrl-C does where nobody answers: the line is begun anew. */
function clearLine(lines: Interface): void {
  process.stdout.write('\n');
  lines.write(null, { ctrl: true, name: 'e' });
  lines.write(null, { ctrl: true, name: 'u' });
  lines.prompt();
}
