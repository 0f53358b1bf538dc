import { Command } from 'commander';
import type { RequestTrace } from '../../api/trace.ts';
import { printJson } from '../output.ts';
import {
  addServerOptions,
  askServer,
  jsonOf,
  type Server,
  type ServerOptions,
  serverOf,
} from '../remote/server.ts';
import { type AnswerTrace, parseTrace, readTraceFile } from '../trace-file.ts';

type Options = ServerOptions & { model?: string; force?: boolean; json?: boolean };

/** Who can make an answer again. */
interface Player {
  revision: string | undefined;
  play(signal: AbortSignal): Promise<(number | null)[][]>;
}

/** `wick replay FILE`: an answer made again from its trace, and compared token by token. */
export function replayCommand(): Command {
  return addServerOptions(new Command('replay'))
    .description('Make an answer again from its trace, and say whether its tokens are the same.')
    .argument('<file>', 'the answer as it was saved, whole or streamed, asked for with "trace": true')
    .option('--model <dir>', 'model folder; models/NAME where nothing is said')
    .option('--force', 'do it with another revision of the model, too')
    .option('--json', 'print what was found as one line of JSON')
    .action(async (file: string, options: Options) => {
      const trace = readTraceFile(file);
      if (trace.choices.some((tokens) => tokens.some(({ id }) => id === null)))
        throw new Error('Tokens of this answer are masked, so that another cannot be compared with it.');
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      const server = serverOf(options);
      if (server && options.model) throw new Error('--model and --url are two places: give one of them.');
      const player = server
        ? await remotePlayer(server, trace.request, stop.signal)
        : await localPlayer(options.model ?? `models/${trace.request.model}`, trace.request);
      const { revision } = trace.request;
      if (player.revision !== revision && !options.force) {
        throw new Error(
          `The answer is of revision ${revision}, and here is ${player.revision ?? 'one that is not told'}: --force replays it all the same.`,
        );
      }
      const found = compare(trace, await player.play(stop.signal));
      if (found.departs) process.exitCode = 1;
      if (options.json) return printJson(found);
      console.log(sentenceOf(found));
    });
}

interface Found {
  tokens: number;
  same: boolean;
  /** Where the first differing token is, counted from 0; null where there is none. */
  departs?: { choice: number; token: number; was: number | null; is: number | null };
}

/** Compares an answer's tokens with those that were made again. */
export function compare({ choices }: AnswerTrace, again: readonly (number | null)[][]): Found {
  const tokens = choices.reduce((sum, { length }) => sum + length, 0);
  for (let choice = 0; choice < Math.max(choices.length, again.length); choice++) {
    const [before, after] = [(choices[choice] ?? []).map(({ id }) => id), again[choice] ?? []];
    for (let token = 0; token < Math.max(before.length, after.length); token++) {
      const [was, is] = [before[token] ?? null, after[token] ?? null];
      if (was !== is) return { tokens, same: false, departs: { choice, token, was, is } };
    }
  }
  return { tokens, same: true };
}

function sentenceOf({ tokens, departs }: Found): string {
  if (!departs) return `The same: all ${tokens} tokens.`;
  const { choice, token, was, is } = departs;
  const name = (id: number | null) => (id === null ? 'none' : String(id));
  return `It departs in choice ${choice} at token ${token + 1}: it was ${name(was)} and is ${name(is)}.`;
}

async function localPlayer(folder: string, { prompt, parameters }: RequestTrace): Promise<Player> {
  const [{ generate }, { loadModelFolder }] = await Promise.all([
    import('../../generation/generate.ts'),
    import('../../service/model-folder.ts'),
  ]);
  const model = await loadModelFolder(folder);
  return {
    revision: model.revision,
    async play(signal) {
      const input = { tokens: prompt.map(({ id }) => id) };
      const choices: number[][] = [];
      const options = { trace: { candidates: 0 } };
      for await (const event of generate(model, input, parameters, signal, options)) {
        if (event.type !== 'trace') continue;
        choices[event.index] ??= [];
        choices[event.index].push(...event.tokens.map(({ id }) => id));
      }
      return choices;
    },
  };
}

async function remotePlayer(server: Server, trace: RequestTrace, signal: AbortSignal): Promise<Player> {
  const { model, prompt, parameters, ran } = trace;
  if (parameters.constraint)
    throw new Error(
      'An answer that was held to a form is replayed on this machine: --model names its folder.',
    );
  const place = ran.place === 'service' ? 'service' : 'edge';
  const known = (await jsonOf(server, await askServer(server, `models/${model}`, undefined, signal))) as {
    wick?: { revisions?: { edge?: string; service?: string } };
  };
  // The parameters that OpenAI's route has; it tells of probabilities and echoes in ways of its own.
  const { top_logprobs, echo, constraint, ...asked } = parameters;
  const body = {
    ...asked,
    model,
    placement: place,
    prompt: prompt.map(({ id }) => id),
    trace: true,
    trace_candidates: 0,
  };
  return {
    revision: known.wick?.revisions?.[place],
    async play(signal) {
      const answer = await jsonOf(server, await askServer(server, 'completions', body, signal));
      const { choices } = parseTrace(JSON.stringify(answer), server.base.host);
      return choices.map((tokens) => tokens.map(({ id }) => id));
    },
  };
}
