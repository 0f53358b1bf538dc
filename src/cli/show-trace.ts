/** A trace as lines for a terminal: each token with its candidates and small bars. */

import { styled } from './output.ts';
import { printable } from './remote/server.ts';
import type { AnswerTrace } from './trace-file.ts';

/** Cells of a bar that stands for certainty. */
const BAR = 16;
const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** A probability as a bar. */
export function bar(probability: number): string {
  const parts = Math.round(probability * BAR * 8);
  return `${'█'.repeat(parts >> 3)}${eighths[parts & 7]}`.padEnd(BAR);
}

const percent = (probability: number): string => `${(100 * probability).toFixed(1)}%`.padStart(6);
const ms = (milliseconds: number): string => `${milliseconds.toFixed(1)} ms`;
/** A token's text in quotation marks, with nothing in it that a terminal obeys. */
const quoted = (text: string): string => printable(JSON.stringify(text));

/** The lines of a trace. What a step left is shown where it is not as the step before left it. */
export function* traceLines({ request, choices }: AnswerTrace): Generator<string> {
  const { model, revision, ran, timings, parameters, prompt, whole } = request;
  yield `${model} ${styled('dim', `revision ${revision}`)}, seed ${parameters.seed}`;
  yield `${ran.place}: ${ran.runtime}, ${ran.provider}, ${ran.threads} ${ran.threads === 1 ? 'thread' : 'threads'}`;
  yield `queue ${ms(timings.queue)}, tokenize ${ms(timings.tokenize)}, prefill ${ms(timings.prefill)}, total ${ms(timings.total)}`;
  const { cached, proposed, accepted } = timings;
  if (cached) yield `${cached} tokens of the prompt were in the cache`;
  if (proposed) yield `${accepted} of ${proposed} tokens that were computed ahead were drawn`;
  yield `prompt, ${prompt.length} tokens: ${prompt.map(({ text }) => quoted(text)).join(' ')}`;
  for (const [index, tokens] of choices.entries()) {
    if (choices.length > 1) yield `\nchoice ${index}`;
    for (const [place, token] of tokens.entries()) {
      const facts = `rank ${token.rank}, entropy ${token.entropy.toFixed(2)}, ${ms(token.milliseconds)}`;
      yield `\n${String(place + 1).padStart(4)} ${styled('bold', quoted(token.text))}  ${styled('dim', facts)}`;
      for (const { name, left, candidates } of token.steps) {
        yield `     ${styled('dim', `${name}, ${left} left`)}`;
        for (const { id, text, probability } of candidates) {
          const line = `${bar(probability)} ${percent(probability)} ${quoted(text)}`;
          yield `       ${id === token.id ? styled('green', line) : line}`;
        }
      }
    }
  }
  if (!whole) yield '\nThe steps of later tokens were too many to be told.';
}
