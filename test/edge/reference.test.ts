import { readdirSync, readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { errorCodes } from '../../src/api/error-codes.ts';
import { fields, ownFields } from '../../src/edge/reference/fields.ts';
import { type Started, startWorker } from './worker.ts';

/** What OpenAPI 3.1 says of the objects that the reference is made of. */
const name = z.string().regex(/^[a-zA-Z0-9._-]+$/);
const schema = z.record(z.string(), z.unknown());
const media = z.strictObject({ schema, example: z.unknown().optional() });
const content = z.record(z.string().regex(/^[a-z]+\/[a-z.+-]+$/), media);
const reference = z.strictObject({ $ref: z.string() });
const response = z.strictObject({ description: z.string().min(1), content: content.optional() });
const parameter = z.strictObject({
  name: z.string(),
  in: z.enum(['path', 'query']),
  required: z.boolean(),
  description: z.string().optional(),
  schema,
});
const operation = z.strictObject({
  operationId: name,
  tags: z.array(z.string()).length(1),
  summary: z.string().min(1),
  description: z.string().optional(),
  parameters: z.array(parameter),
  requestBody: z.strictObject({ required: z.literal(true), content }).optional(),
  responses: z.record(z.string().regex(/^[1-5](\d\d|XX)$/), z.union([response, reference])),
  'x-codeSamples': z
    .array(z.strictObject({ lang: z.string(), label: z.string(), source: z.string() }))
    .optional(),
});
const openApi = z.strictObject({
  openapi: z.literal('3.1.1'),
  info: z.strictObject({ title: z.string(), version: z.string(), description: z.string() }),
  servers: z.array(z.strictObject({ url: z.url() })).min(1),
  tags: z.array(z.strictObject({ name: z.string() })),
  paths: z.record(z.string().startsWith('/'), z.partialRecord(z.enum(['get', 'post', 'delete']), operation)),
  components: z.strictObject({
    schemas: z.record(name, schema),
    responses: z.record(name, response),
  }),
});

let worker: Started;
let description: z.infer<typeof openApi>;
const ajv = new Ajv2020({ strict: false, validateFormats: false });
beforeAll(async () => {
  worker = await startWorker();
  const json = await (await call('/openapi.json')).json();
  description = openApi.parse(json);
  ajv.addSchema({ ...(json as object), $id: 'wick' });
});
afterAll(() => worker?.stop());

const call = async (path: string, init: RequestInit = {}) => {
  // Schemas are compiled for seconds, in which a connection is closed without being noticed.
  await new Promise((resolve) => setTimeout(resolve, 20));
  return fetch(new URL(path, worker.url), init);
};
const operations = () =>
  Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, each]) => ({
      path,
      method: method.toUpperCase(),
      operation: each!,
    })),
  );
/** What of a value does not fit a schema of the reference. */
function misfits(schema: string, value: unknown): unknown {
  const validate = ajv.getSchema(`wick#/components/schemas/${schema}`)!;
  return validate(value) ? [] : validate.errors;
}

test('every field of a request is described, and nothing that is no field', () => {
  const told = new Set<string>();
  const silent: string[] = [];
  const look = (where: string, name: string, text: unknown) => {
    told.add(name);
    if (typeof text !== 'string' || !/^\S.{8,}\.$/.test(text)) silent.push(`${where}: ${name}`);
  };
  for (const { path, operation } of operations()) {
    for (const { name, description } of operation.parameters) look(path, name, description);
    for (const { schema } of Object.values(operation.requestBody?.content ?? {})) {
      const body = String(schema.$ref ?? '')
        .split('/')
        .at(-1)!;
      const { properties = {} } = (description.components.schemas[body] ?? {}) as {
        properties?: Record<string, { description?: string }>;
      };
      for (const [name, each] of Object.entries(properties)) look(body, name, each.description);
      for (const name of Object.keys(ownFields[body] ?? {})) expect(properties).toHaveProperty(name);
    }
  }
  expect(silent).toEqual([]);
  expect(Object.keys(fields).filter((name) => !told.has(name))).toEqual([]);
});

test('the description is one of OpenAPI 3.1: its parts, its schemas, its references', () => {
  expect(description.servers[0].url).toBe(worker.url.origin);
  for (const [name, schema] of Object.entries(description.components.schemas))
    expect(ajv.validateSchema(schema), `${name}: ${ajv.errorsText()}`).toBe(true);
  const references = [...JSON.stringify(description).matchAll(/"\$ref":"#\/([^"]+)"/g)];
  expect(references.length).toBeGreaterThan(10);
  for (const [, path] of references) {
    const target = path
      .split('/')
      .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], description);
    expect(target, path).toBeDefined();
  }
  const ids = operations().map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { path, operation } of operations()) {
    const parts = operation.parameters.filter((each) => each.in === 'path').map((each) => each.name);
    expect(parts.every((part) => path.includes(`{${part}}`)) && parts.length).toBe(
      path.split('{').length - 1,
    );
    for (const body of Object.values(operation.requestBody?.content ?? {})) {
      const named = /schemas\/(\w+)$/.exec(String(body.schema.$ref))?.[1];
      if (named && body.example !== undefined) expect(misfits(named, body.example)).toEqual([]);
    }
  }
});

test('what is described is there, and takes just what is described', async () => {
  expect(operations().length).toBeGreaterThan(10);
  for (const [path, methods] of Object.entries(description.paths)) {
    const described = Object.keys(methods).map((method) => method.toUpperCase());
    const options = await call(path.replace(/\{\w+\}/g, 'x'), { method: 'OPTIONS' });
    expect(options.status, path).toBe(204);
    const allowed = options.headers.get('allow')!.split(', ');
    expect(allowed.filter((method) => !['HEAD', 'OPTIONS'].includes(method)).sort()).toEqual(
      described.sort(),
    );
    expect(allowed.includes('HEAD')).toBe(described.includes('GET'));
    const other = await call(path.replace(/\{\w+\}/g, 'x'), {
      method: 'PATCH',
      headers: { accept: 'application/json' },
    });
    expect(other.status).toBe(405);
    expect(other.headers.get('allow')).toBe(options.headers.get('allow'));
    expect(misfits('Error', await other.json())).toEqual([]);
  }
});

test('no route is added past the table, so none goes undescribed', () => {
  const folder = new URL('../../src/edge/', import.meta.url);
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
    /\.ts$/.test(file),
  );
  const adding = files.filter((file) =>
    /\bapp\s*(\.(get|post|put|patch|delete|all|on|route|mount|options)\(|\[)/.test(
      readFileSync(new URL(file, folder), 'utf8'),
    ),
  );
  expect(adding).toEqual(['route.ts']);
});

test('every code that is told stands in the table', () => {
  const folder = new URL('../../src/', import.meta.url);
  for (const room of ['generation', 'filtering', 'service']) {
    let files: string[] = [];
    try {
      files = readdirSync(new URL(`${room}/`, folder), { recursive: true, encoding: 'utf8' });
    } catch {}
    for (const file of files.filter((each) => each.endsWith('.ts'))) {
      const text = readFileSync(new URL(`${room}/${file}`, folder), 'utf8');
      // Zod's name for what a schema adds.
      for (const [, code] of text.matchAll(/\bcode: '(\w+)'/g))
        if (code !== 'custom') expect(Object.keys(errorCodes)).toContain(code);
    }
  }
});

const model = 'Llama-wick-3M';
const chat = { model, messages: [{ role: 'user', content: 'Hi' }], max_tokens: 5, temperature: 0 };
const completion = { model, prompt: 'Once', max_tokens: 5, temperature: 0 };
const asked: [schema: string, path: string, body?: object][] = [
  ['ChatCompletion', '/v1/chat/completions', chat],
  ['ChatCompletion', '/v1/chat/completions', { ...chat, logprobs: true, top_logprobs: 2, n: 2 }],
  ['ChatCompletionChunk', '/v1/chat/completions', { ...chat, logprobs: true, stream: true }],
  ['Completion', '/v1/completions', { ...completion, logprobs: 2, echo: true }],
  [
    'CompletionChunk',
    '/v1/completions',
    { ...completion, stream: true, stream_options: { include_usage: true } },
  ],
  ['Error', '/v1/completions', { ...completion, temprature: 1 }],
  ['Error', '/nowhere'],
  ['ModelList', '/v1/models'],
  ['Model', `/v1/models/${model}`],
  ['Health', '/health'],
];
test.each(asked)('a real %s from %s is as described', async (schema, path, body) => {
  const response = await call(path, body && { method: 'POST', body: JSON.stringify(body) });
  const text = await response.text();
  const values = response.headers.get('content-type')!.startsWith('text/event-stream')
    ? [...text.matchAll(/^data: (\{.*)$/gm)].map(([, data]) => JSON.parse(data))
    : [JSON.parse(text)];
  expect(values.length).toBeGreaterThan(0);
  for (const value of values) expect(misfits(schema, value)).toEqual([]);
});
