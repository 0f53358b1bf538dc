import { Command } from 'commander';
import { openWriter } from '../open-writer.ts';
import { printJson } from '../output.ts';
import { readPrompt } from '../prompt.ts';
import { addTextOptions, parametersOf, type TextOptions } from '../text-options.ts';
import { forTerminal } from '../writer.ts';

type Options = TextOptions & { chat?: boolean; json?: boolean };

/** `wick generate PROMPT`: an answer of a model, on this machine or of a server. */
export function generateCommand(): Command {
  const command = new Command('generate')
    .description('Generate text on this machine or a server, shown as it comes.')
    .argument(
      '[prompt...]',
      'how the text begins; what is piped follows it, or stands in the place of a - among its words',
    )
    .option('--chat', "the prompt is a message, put in the model's chat template");
  return addTextOptions(command)
    .option('--json', 'print text, finish_reason and usage as one line of JSON')
    .action(async (words: string[], options: Options) => {
      const prompt = await readPrompt(words);
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      const input = options.chat ? { messages: [{ role: 'user', content: prompt }] } : { text: prompt };
      const choices: { text: string; finish_reason?: string; logprobs?: object[] }[] = [];
      let shown = false;
      try {
        const writer = await openWriter(command, stop.signal);
        for await (const event of writer.write(input, parametersOf(options), stop.signal)) {
          if (event.type === 'delta') {
            if (!options.json) process.stdout.write(forTerminal(event.text));
            shown = true;
            choices[event.index] ??= { text: '' };
            const choice = choices[event.index];
            choice.text += event.text;
            if (event.logprobs) choice.logprobs = [...(choice.logprobs ?? []), ...event.logprobs];
          }
          if (event.type === 'end') {
            choices[event.index] ??= { text: '' };
            choices[event.index].finish_reason = event.finish_reason;
            if (!options.json) process.stdout.write('\n');
            shown = false;
          }
          if (event.type === 'done' && options.json) {
            const what = choices.length === 1 ? choices[0] : { choices };
            printJson({ model: writer.id, ...what, ...(event.usage && { usage: event.usage }) });
          }
        }
      } catch (error) {
        if (shown && !options.json) process.stdout.write('\n');
        if (!stop.signal.aborted) throw error;
        process.exitCode = 130;
      }
    });
}
