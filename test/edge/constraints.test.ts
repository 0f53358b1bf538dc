import { Ajv } from 'ajv';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ServiceProcess, startService } from '../fixtures/service.ts';
import { schemas } from '../generation/constraint/schemas.ts';
import { type Started, secret, startWorker, until } from './worker.ts';

const model = 'Llama-wick-3M';
let service: ServiceProcess;
let worker: Started;
beforeAll(async () => {
  service = await startService();
  worker = await startWorker({ WICK_SERVICE_URL: service.url, WICK_SECRET: secret });
});
afterAll(async () => {
  await worker?.stop();
  await service?.stop();
});

interface Answer {
  choices: { text: string; message: { content: string }; finish_reason: string }[];
  error?: { message: string; param: string | null; code: string | null };
}
const post = (path: string, body: object, signal?: AbortSignal) =>
  fetch(new URL(path, worker.url), { method: 'POST', body: JSON.stringify({ model, ...body }), signal });
const ask = async (path: string, body: object) => {
  const response = await post(path, body);
  return { status: response.status, ...((await response.json()) as Answer) };
};
const messages = [{ role: 'user', content: 'Tell me of a fox.' }];
const schema = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 30 },
    age: { type: 'integer', minimum: 0, maximum: 30 },
    colours: { type: 'array', items: { enum: ['red', 'grey', 'weiß'] }, minItems: 1, maxItems: 2 },
  },
  required: ['name', 'age', 'colours'],
  additionalProperties: false,
};
const asSchema = (of: unknown) => ({
  type: 'json_schema',
  json_schema: { name: 'fox', schema: of, strict: true },
});

test('edge and service write the same answer, and it is one to the schema', async () => {
  const validate = new Ajv().compile(schema);
  for (const temperature of [0, 1, 2]) {
    const wish = { messages, response_format: asSchema(schema), temperature, seed: 3, max_tokens: 80 };
    const [edge, other] = await Promise.all(
      ['edge', 'service'].map((placement) => ask('/v1/chat/completions', { ...wish, placement })),
    );
    expect(edge.status).toBe(200);
    expect(edge.choices[0].message.content).toBe(other.choices[0].message.content);
    expect(edge.choices[0].finish_reason).toBe(other.choices[0].finish_reason);
    expect(validate(JSON.parse(edge.choices[0].message.content)), edge.choices[0].message.content).toBe(true);
  }
});

test('a constraint is met on either route, streamed or not, in each of its spellings', async () => {
  const prompt = 'The answer is';
  const forms: [object, RegExp][] = [
    [{ regex: '(yes|no)!' }, /^(yes|no)!$/],
    [{ grammar: 'root ::= "a" [0-9]{3}' }, /^a\d{3}$/],
    [{ structured_outputs: { regex: '\\d\\d' } }, /^\d\d$/],
    [{ structured_outputs: { choice: ['red "one"', 'blau\n', '\\d'] } }, /^(red "one"|blau\n|\\d)$/],
    [{ structured_outputs: { grammar: 'root ::= "x"{2,3}' } }, /^xx+$/],
    [{ structured_outputs: { json: { type: 'boolean' }, regex: null } }, /^(true|false)$/],
    [{ structured_outputs: { json: '{"enum": [1, 2]}' } }, /^[12]$/],
    [{ response_format: { type: 'json_object' } }, /^\{.*\}$/s],
    [{ response_format: { type: 'json_schema', json_schema: { name: 'any' } } }, /^\{.*\}$/s],
    [{ response_format: { type: 'text' }, regex: 'b+c' }, /^b+c$/],
  ];
  for (const [form, matches] of forms) {
    const wish = { ...form, seed: 1, max_tokens: 40 };
    const whole = await ask('/v1/completions', { ...wish, prompt });
    expect(whole.choices?.[0].text, JSON.stringify(whole.error)).toMatch(matches);
    const response = await post('/v1/completions', { ...wish, prompt, stream: true });
    const streamed = (await response.text())
      .split('\n\n')
      .filter((line) => line.startsWith('data: {'))
      .map((line) => (JSON.parse(line.slice(6)) as Answer).choices[0].text)
      .join('');
    expect(streamed).toBe(whole.choices[0].text);
    expect((await ask('/v1/chat/completions', { ...wish, messages })).choices[0].message.content).toMatch(
      matches,
    );
  }
});

test('together with what else a request says of its end', async () => {
  const wish = { prompt: 'One', regex: '[a-c]{4}', temperature: 1, seed: 2, max_tokens: 20 };
  const answer = async (more: object) => (await ask('/v1/completions', { ...wish, ...more })).choices?.[0];
  expect(await answer({ ignore_eos: true, min_tokens: 19 })).toMatchObject({
    text: expect.stringMatching(/^[a-c]{4}$/),
    finish_reason: 'stop',
  });
  expect((await answer({ stop: ['b', 'a', 'c'] })).text).toBe('');
  expect((await answer({ n: 3, best_of: 4 })).text).toMatch(/^[a-c]{4}$/);
  expect((await answer({ echo: true })).text).toMatch(/^One[a-c]{4}$/);
  const shut = await ask('/v1/completions', { ...wish, allowed_token_ids: [300] });
  expect(shut).toMatchObject({
    status: 400,
    error: { param: 'regex', message: expect.stringMatching(/nothing to choose/) },
  });
});

test.each<[string, object, string, RegExp]>([
  [
    'two at once',
    { regex: 'a', response_format: { type: 'json_object' } },
    'regex',
    /`response_format` and `regex` cannot both/,
  ],
  [
    'two in one',
    { structured_outputs: { regex: 'a', choice: ['a'] } },
    'structured_outputs.choice',
    /cannot both/,
  ],
  [
    'a keyword',
    { response_format: asSchema({ properties: { a: { not: {} } } }) },
    'response_format.json_schema.schema.properties.a.not',
    /does not enforce/,
  ],
  [
    'a reference to the network',
    { response_format: asSchema({ $ref: 'http://localhost/x' }) },
    'response_format.json_schema.schema.$ref',
    /not in this schema/,
  ],
  ['no schema', { response_format: asSchema(3) }, 'response_format.json_schema.schema', /JSON Schema/],
  [
    'no name',
    { response_format: { type: 'json_schema', json_schema: { schema: {} } } },
    'response_format.json_schema.name',
    /./,
  ],
  ['an unknown type', { response_format: { type: 'xml' } }, 'response_format.type', /./],
  [
    'a megabyte',
    { response_format: asSchema({ enum: ['x'.repeat(900_000)] }) },
    'response_format.json_schema.schema',
    /at most/,
  ],
  [
    'depth',
    { structured_outputs: { json: `${'{"items":'.repeat(3000)}{}${'}'.repeat(3000)}` } },
    'structured_outputs.json',
    /at most/,
  ],
  ['no JSON', { structured_outputs: { json: '{' } }, 'structured_outputs.json', /no JSON/],
  ['an empty pattern', { regex: '' }, 'regex', /at least one/],
  ['a pattern that is none', { regex: '(' }, 'regex', /not a regular expression/],
  ['left recursion', { grammar: 'root ::= root "a" | "a"' }, 'grammar', /begin with itself/],
  ['half a surrogate pair', { grammar: 'root ::= "\ud800"' }, 'grammar', /well-formed/],
])('is refused by name: %s', async (_, form, param, sentence) => {
  for (const placement of ['edge', 'service']) {
    const refused = await ask('/v1/completions', { prompt: 'a', placement, ...form });
    expect(refused.status, JSON.stringify(refused)).toBe(400);
    expect(refused.error?.param).toBe(param);
    expect(refused.error?.message).toMatch(sentence);
    expect(refused.error?.message).not.toMatch(/\.ts|at \w+ \(/);
  }
});

test('constraints are not parameters of their own on the wire', async () => {
  const refused = await ask('/v1/completions', { prompt: 'a', constraint: { type: 'json_object' } });
  expect(refused.error?.param).toBe('constraint');
});

test('many at once, some hostile and some left, and then one more', async () => {
  const hostile = { regex: '(.*.*.*)*(a|.)*'.repeat(20) };
  const wishes = Array.from({ length: 12 }, (_, i) => {
    const form = i % 3 === 0 ? hostile : { response_format: asSchema(schemas[i * 3]) };
    const leaving = i % 4 === 1 ? AbortSignal.timeout(50) : undefined;
    return post('/v1/completions', { prompt: 'Once', max_tokens: 30, ...form }, leaving).then(
      (response) => response.text(),
      () => 'left',
    );
  });
  expect(await Promise.all(wishes)).toHaveLength(12);
  await until('an idle isolate', async () => {
    const health = (await (await fetch(new URL('/health', worker.url))).json()) as {
      edge: { running: number };
    };
    return health.edge.running === 0;
  });
  expect((await ask('/v1/completions', { prompt: 'Once', regex: 'ok' })).choices[0].text).toBe('ok');
});
