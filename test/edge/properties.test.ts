/** What holds for any request, drawn at random from the wire's own schemas. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import {
  chatCompletionAnswer,
  chatCompletionChunk,
  completionAnswer,
  completionChunk,
} from '../../src/api/answers.ts';
import { chatCompletionRequest, completionRequest } from '../../src/api/openai.ts';
import { looseParameters } from '../../src/api/parameters.ts';
import { readServerSentEvents } from '../../src/api/server-sent-events.ts';
import { type Started, startWorker } from './worker.ts';

const model = 'Llama-wick-3M';
const { vocab_size: vocabulary } = JSON.parse(readFileSync(`models/${model}/config.json`, 'utf8'));
let worker: Started;
beforeAll(async () => {
  worker = await startWorker();
});
afterAll(() => worker?.stop());

const messages = [{ role: 'user', content: 'Erzähle von 🦊 und Bär.' }];
const completion = { model, prompt: 'Once upon a time 🦊', max_tokens: 5 };
const routes = {
  '/v1/completions': {
    ...{ request: completionRequest, answer: completionAnswer, chunk: completionChunk },
    least: completion as object,
  },
  '/v1/chat/completions': {
    ...{ request: chatCompletionRequest, answer: chatCompletionAnswer, chunk: chatCompletionChunk },
    least: { model, messages, max_tokens: 5 },
  },
};
type Path = keyof typeof routes;
const path = fc.constantFrom(...(Object.keys(routes) as Path[]));

const post = (path: string, body: unknown) =>
  fetch(new URL(path, worker.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
const choicesOf = async (response: Response) => ((await response.json()) as { choices: object[] }).choices;

test('a body is the same however it is cut into chunks', async () => {
  const asked = { ...completion, temperature: 0, stop: ['ü', '🦊'] };
  const expected = await choicesOf(await post('/v1/completions', asked));
  const bytes = Buffer.from(JSON.stringify(asked));
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(cuts, fc.boolean(), async (cuts, announced) => {
      const headers = {
        'content-type': 'application/json',
        ...(announced && { 'content-length': bytes.length }),
      };
      const request = httpRequest(new URL('/v1/completions', worker.url), { method: 'POST', headers });
      request.setNoDelay(true);
      const places = [0, ...cuts.sort((a, b) => a - b), bytes.length];
      for (let i = 1; i < places.length; i++) {
        request.write(bytes.subarray(places[i - 1], places[i]));
        await new Promise(setImmediate);
      }
      request.end();
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      const body = Buffer.concat(await response.toArray()).toString();
      expect(JSON.parse(body).choices).toEqual(expected);
    }),
    { numRuns: 40 },
  );
});

test('fields may stand in any order', async () => {
  const asked = {
    ...{ ...completion, n: 2, seed: 4, temperature: 0.8, top_p: 0.9, logit_bias: { 40: -5, 7: 2 } },
    ...{ stop: ['.'], presence_penalty: 0.5, logprobs: 1, stream: false, user: 'me' },
  };
  const expected = await choicesOf(await post('/v1/completions', asked));
  const fields = Object.entries(asked);
  const order = fc.shuffledSubarray(fields, { minLength: fields.length });
  await fc.assert(
    fc.asyncProperty(order, async (order) => {
      const response = await post('/v1/completions', Object.fromEntries(order));
      expect(await choicesOf(response)).toEqual(expected);
    }),
    { numRuns: 30 },
  );
});

/** What a schema of the wire takes, as far as its JSON Schema tells; what it refuses all the same is not drawn. */
function drawn(schema: z.ZodType): fc.Arbitrary<unknown> {
  const described = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  return valuesOf(described).filter((value) => schema.safeParse(value).success);
}
interface JsonSchema {
  type?: string;
  enum?: unknown[];
  const?: unknown;
  anyOf?: JsonSchema[];
  items?: JsonSchema;
  minimum?: number;
  maximum?: number;
  additionalProperties?: JsonSchema;
}
function valuesOf({
  type,
  anyOf,
  items,
  minimum = 0,
  maximum = 1,
  ...schema
}: JsonSchema): fc.Arbitrary<unknown> {
  if ('const' in schema) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (anyOf) return fc.oneof(...anyOf.map(valuesOf));
  const range = { min: minimum, max: maximum };
  const whole = { min: Math.ceil(minimum), max: Math.floor(maximum) };
  const kinds: Record<string, fc.Arbitrary<unknown>> = {
    null: fc.constant(null),
    boolean: fc.boolean(),
    string: fc.string({ unit: 'binary', minLength: 1, maxLength: 8 }),
    integer: fc.integer(whole),
    // Among whole numbers, too: one that has to be whole is hardly ever drawn from all.
    number: fc.oneof(fc.integer(whole), fc.double({ ...range, noNaN: true })),
    array: items ? fc.array(valuesOf(items), { maxLength: 4 }) : fc.constant([]),
  };
  return kinds[type ?? 'null'];
}

const token = fc.nat({ max: vocabulary - 1 });
/** Where the model, or the test's patience, has a smaller range than the wire. */
const narrower: Record<string, fc.Arbitrary<unknown>> = {
  max_tokens: fc.integer({ min: 1, max: 5 }),
  n: fc.integer({ min: 1, max: 2 }),
  logit_bias: fc.dictionary(token.map(String), fc.double({ min: -100, max: 100, noNaN: true }), {
    maxKeys: 5,
  }),
  // Enough that there is always one that nothing else forbids.
  allowed_token_ids: fc.uniqueArray(token, { minLength: 300, maxLength: 400 }),
  stop_token_ids: fc.array(token, { maxLength: 5 }),
};
const { best_of, echo, top_logprobs, ...both } = looseParameters.shape;
const parameters = fc.record(
  Object.fromEntries(
    Object.entries(both).map(([name, schema]) => [
      name,
      narrower[name] ?? drawn(schema.unwrap() as z.ZodType),
    ]),
  ),
  { requiredKeys: [] },
);
/** Parameters that have a form of their own on each route. */
const own: Record<Path, fc.Arbitrary<object>> = {
  '/v1/completions': fc.record(
    { echo: fc.boolean(), logprobs: fc.integer({ min: 0, max: 20 }) },
    { requiredKeys: [] },
  ),
  '/v1/chat/completions': fc.oneof(
    fc.constant({}),
    fc.record({ logprobs: fc.constant(true), top_logprobs: fc.integer({ min: 0, max: 20 }) }),
  ),
};

test('any parameters that are right have an answer that is right, whole or streamed', async () => {
  const asked = path.chain((path) => fc.tuple(fc.constant(path), parameters, own[path], fc.boolean()));
  await fc.assert(
    fc.asyncProperty(asked, async ([path, parameters, own, stream]) => {
      const { least, answer, chunk } = routes[path];
      const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
      const body = { ...least, ...Object.fromEntries(given), ...own, ...(stream && { stream }) };
      const response = await post(path, body);
      if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
      const choices = (parameters as { n?: number }).n ?? 1;
      if (!stream) {
        const { choices: given, usage } = answer.parse(await response.json());
        expect(given.map(({ index }) => index)).toEqual([...Array(choices).keys()]);
        expect(usage.completion_tokens).toBeLessThanOrEqual(5 * choices);
        return;
      }
      const events: string[] = [];
      for await (const { data } of readServerSentEvents(response.body!, 1e6)) events.push(data);
      expect(events.pop()).toBe('[DONE]');
      const ended = events
        .map((data) => chunk.parse(JSON.parse(data)).choices[0])
        .filter(({ finish_reason }) => finish_reason !== null);
      expect(ended.map(({ index }) => index).sort()).toEqual([...Array(choices).keys()]);
    }),
    { numRuns: 100 },
  );
});

const anything = fc.oneof(
  fc.jsonValue(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
  fc.array(fc.oneof(fc.integer(), fc.string(), fc.constant(null)), { maxLength: 3 }),
  fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 2 }),
);

test('any value that is not right is refused with the name of its field', async () => {
  const wrong = path.chain((path) => {
    const shape: Record<string, z.ZodType> = routes[path].request.shape;
    return fc.constantFrom(...Object.keys(shape)).chain((name) =>
      fc.tuple(
        fc.constant(path),
        fc.constant(name),
        // null says nothing, and then the field is not there.
        anything.filter((value) => value !== null && !shape[name].safeParse(value).success),
      ),
    );
  });
  await fc.assert(
    fc.asyncProperty(wrong, async ([path, name, value]) => {
      const response = await post(path, { ...routes[path].least, [name]: value });
      const { error } = (await response.json()) as { error: { message: string; param: string | null } };
      expect([response.status, error.message]).toEqual([400, expect.stringMatching(/\w.*\.$/s)]);
      expect(error.param).toMatch(new RegExp(`^${name}($|[.[])`));
    }),
    { numRuns: 250 },
  );
});
