/** `POST /tokenize`, `POST /detokenize` and `POST /apply-template`: what a model reads, and as which tokens. */
import { parseDetokenizeRequest, parseTemplateRequest, parseTokenizeRequest } from '../api/tokenization.ts';
import type { EdgeContext } from './context.ts';
import { readFiltered } from './filtering/filtered-body.ts';
import { inOnePiece } from './responses.ts';
import { doTask, resultsOf } from './tasks.ts';

export async function tokenize(c: EdgeContext): Promise<Response> {
  const request = parseTokenizeRequest((await readFiltered(c)).body);
  return doTask(c, request, ({ events }, caller) =>
    inOnePiece(
      c,
      caller,
      resultsOf(events, 'tokens').then(([{ tokens, token_strs, max_model_len }]) => ({
        ...{ count: tokens.length, max_model_len, tokens },
        ...(request.strings && { token_strs }),
      })),
    ),
  );
}

/** vLLM's clients look for `prompt`, llama.cpp's for `content`. */
export async function detokenize(c: EdgeContext): Promise<Response> {
  const { filter, body } = await readFiltered(c);
  const request = parseDetokenizeRequest(body);
  return doTask(c, request, ({ events }, caller) =>
    inOnePiece(
      c,
      caller,
      resultsOf(events, 'text').then(async ([{ text: read }]) => {
        const text = await filter.checkInput(read, 'tokens');
        return { prompt: text, content: text };
      }),
    ),
  );
}

export async function applyTemplate(c: EdgeContext): Promise<Response> {
  const request = parseTemplateRequest((await readFiltered(c)).body);
  return doTask(c, request, ({ events }, caller) =>
    inOnePiece(
      c,
      caller,
      resultsOf(events, 'text').then(([{ text }]) => ({ prompt: text })),
    ),
  );
}
