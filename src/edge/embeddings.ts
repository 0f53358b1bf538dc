/** `POST /v1/embeddings` */
import { embeddingsJson, parseEmbeddingsRequest } from '../api/embeddings.ts';
import type { TaskEvent } from '../api/tasks.ts';
import type { EdgeContext } from './context.ts';
import { Failure } from './failure.ts';
import { filteredPart, readFiltered } from './filtering/filtered-body.ts';
import { filterTokens } from './filtering/token-prompts.ts';
import { whenWhole } from './responses.ts';
import { doTask } from './tasks.ts';

export async function embeddings(c: EdgeContext): Promise<Response> {
  const { filter, body } = await readFiltered(c);
  const request = parseEmbeddingsRequest(body);
  const { inputs } = request.task;
  for (const [i, input] of inputs.entries()) {
    if (!('tokens' in input)) continue;
    const param = inputs.length > 1 ? `input[${i}]` : 'input';
    input.tokens = await filterTokens(c, filter, request, input.tokens, param, c.req.raw.signal);
  }
  return doTask(c, request, ({ model, events }, caller) => {
    const count = inputs.length;
    const answer = collected(events, count).then(({ vectors, promptTokens }) => {
      const pieces = embeddingsJson(model, request.encoding, vectors, promptTokens, filteredPart(filter));
      return count === 1 ? [...pieces] : pieces;
    });
    return whenWhole(c, caller, answer);
  });
}

/** Characters of the vectors in base64 that an isolate holds for one request. */
const held = 24_000_000;

/** All vectors, in the order of the inputs. @throws Failure 400 where they are more than an isolate can hold */
async function collected(
  events: AsyncGenerator<TaskEvent>,
  count: number,
): Promise<{ vectors: string[]; promptTokens: number }> {
  const vectors = new Array<string>(count);
  let [promptTokens, seen] = [0, 0];
  for await (const event of events) {
    if (event.type === 'embedding' && event.index < count) {
      if (event.embedding.length * count > held) {
        throw new Failure(
          'invalid_value',
          `That many vectors are too much at once: ask for ${most(event.embedding)} inputs.`,
          { param: 'input' },
        );
      }
      vectors[event.index] = event.embedding;
      seen++;
    }
    if (event.type === 'done') promptTokens = event.prompt_tokens;
  }
  if (seen !== count) throw new Error('The task ended without all its vectors.');
  return { vectors, promptTokens };
}

const most = (embedding: string) => Math.floor(held / embedding.length);
