/**
 * Answers held to OpenAI's published description: the types of its package are made from it, and the compiler says
 * whether what the Worker really answered fits them, to the field.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readServerSentEvents } from '../../src/api/server-sent-events.ts';
import { type Started, secret, startWorker } from '../edge/worker.ts';
import { type ServiceProcess, startService } from '../fixtures/service.ts';
import { tinyImageModel } from '../fixtures/tiny-images.ts';
import { type Typed, typeFaults } from './type-check.ts';

const model = 'Llama-wick-3M';
let service: ServiceProcess;
let worker: Started;
beforeAll(async () => {
  service = await startService('--models', 'models/Llama-wick-3M', await tinyImageModel());
  worker = await startWorker({ WICK_SERVICE_URL: service.url, WICK_SECRET: secret });
});
afterAll(async () => {
  await worker?.stop();
  await service?.stop();
});

/** OpenAI's types, and what wick adds to them: nothing that is not here. */
const types = `
import type OpenAI from 'openai';
/** Who answered, where that was not who was asked, and how long its parts took where it is whole. */
type Timings = {
  queue: number; tokenize: number; prefill: number; first_token: number; total: number;
  cached?: number; proposed?: number; accepted?: number;
};
/** What the site's policy did. */
type Filtered = { type: string; direction: 'input' | 'output'; action: string; count: number };
type Wick<T> = T & { wick?: { placement?: 'edge' | 'service'; fallback?: boolean; timings?: Timings; filtered?: Filtered[] } };
export type Chat = Wick<OpenAI.Chat.ChatCompletion>;
export type ChatChunk = Wick<OpenAI.Chat.ChatCompletionChunk>;
export type Completion = Wick<OpenAI.Completion>;
/** OpenAI describes a completion's chunks as whole ones; its own have null until the end, as these have. */
export type CompletionChunk = Wick<Omit<OpenAI.Completion, 'choices' | 'usage'>> & {
  choices: (Omit<OpenAI.CompletionChoice, 'finish_reason'> & { finish_reason: OpenAI.CompletionChoice['finish_reason'] | null })[];
  usage?: OpenAI.CompletionUsage | null;
};
export type Model = OpenAI.Model & { wick: { placements: ('edge' | 'service')[]; revisions: { edge?: string; service?: string }; kind?: 'image'; size?: number[]; state?: 'idle' | 'loading' | 'loaded' } };
export type Models = { object: 'list'; data: Model[] };
/** Labels of ours beside OpenAI's. */
type Own = { categories: Record<string, boolean>; category_scores: Record<string, number> };
export type Moderation = Omit<OpenAI.ModerationCreateResponse, 'results'> & { results: (OpenAI.Moderation & { wick?: Own })[] };
export type Embeddings = OpenAI.CreateEmbeddingResponse;
/** output_text is what the client adds to a response by itself; that a response says whether it is kept, OpenAI does and does not describe. */
export type Respond = Wick<Omit<OpenAI.Responses.Response, 'output_text' | 'output'>> & { output: Said[]; store: boolean };
/** The published description wants the logprobs of a text, where these types only allow them. */
type Part = Required<OpenAI.Responses.ResponseOutputText> | OpenAI.Responses.ResponseOutputRefusal;
type Said = (Omit<OpenAI.Responses.ResponseOutputMessage, 'content'> & { content: Part[] }) | OpenAI.Responses.ResponseFunctionToolCall;
/**
 * A text's tokens have their bytes while it is streamed, too: characters may be made of several. Of a call that is done
 * the published description wants the name, which these types have not.
 */
type Token = OpenAI.Responses.ResponseOutputText.Logprob;
type Responding<T> = T extends { response: OpenAI.Responses.Response } ? Omit<T, 'response'> & { response: Respond }
  : T extends { logprobs: unknown } ? Omit<T, 'logprobs'> & { logprobs: Token[] }
  : T extends { item: unknown } ? Omit<T, 'item'> & { item: Said }
  : T extends { type: 'response.function_call_arguments.done' } ? T & { name: string }
  : T extends { part: unknown } ? Omit<T, 'part'> & { part: Part } : T;
export type RespondEvent = Responding<OpenAI.Responses.ResponseStreamEvent>;
export type Items = {
  object: 'list'; has_more: boolean; first_id: string; last_id: string;
  data: (OpenAI.Responses.ResponseInputMessageItem | Said | OpenAI.Responses.ResponseFunctionToolCallOutputItem)[];
};
/** A refusal tells the id of its request. */
export type Refusal = { error: OpenAI.ErrorObject; request_id: string };
/** An image has its seed and any size; what was drawn is told beside tokens. */
type Drawn = { images: number; steps: number; seconds?: number };
export type Images = Omit<OpenAI.ImagesResponse, 'size' | 'data' | 'usage'> & {
  model: string; size: string; expires_at?: number;
  data: (OpenAI.Image & { seed: number })[];
  usage: OpenAI.ImagesResponse.Usage & Drawn;
};
type Streamed<T extends { size: string }> = Omit<T, 'size'> & { size: string; image_index: number };
export type ImageEvent =
  | Streamed<OpenAI.ImageGenPartialImageEvent>
  | (Omit<Streamed<OpenAI.ImageGenCompletedEvent>, 'usage'> & { usage: OpenAI.ImageGenCompletedEvent.Usage & Drawn; seed: number });
`;

const post = (path: string, body: unknown) =>
  fetch(new URL(path, worker.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

/** What a route answers to a request, whole or each chunk, as values of a type. */
async function answers(what: string, type: string, path: string, body: object): Promise<Typed[]> {
  const response = await post(path, body);
  expect(response.status, what).toBe(200);
  if (!response.headers.get('content-type')?.includes('event-stream'))
    return [{ what, type, value: await response.json() }];
  const chunks: Typed[] = [];
  for await (const { data } of readServerSentEvents(response.body!, 1e7)) {
    if (data !== '[DONE]')
      chunks.push({ what: `${what}, chunk ${chunks.length}`, type, value: JSON.parse(data) });
  }
  return chunks;
}

/** Every kind of item that a response can be given, in each of the ways in which clients write it. */
const conversation = [
  { role: 'developer', content: [{ type: 'input_text', text: 'Be brief.' }] },
  { role: 'user', content: 'How is the weather?' },
  { role: 'assistant', content: 'Where?' },
  { role: 'user', content: [{ type: 'output_text', text: 'In Oslo.' }] },
  { role: 'assistant', content: [{ type: 'input_text', text: 'I look.' }] },
  { type: 'function_call', call_id: 'call_1', name: 'weather', arguments: '{}' },
  { type: 'function_call_output', call_id: 'call_1', output: 'Rain.' },
  {
    ...{ type: 'message', role: 'assistant' },
    content: [
      { type: 'output_text', text: 'Rain.' },
      { type: 'refusal', refusal: 'More I do not say.' },
    ],
  },
  { role: 'user', content: 'And in Rome?' },
];

/** What is told of the items that a response was given. */
async function itemsOf(body: object): Promise<Typed[]> {
  const { id } = (await (await post('/v1/responses', body)).json()) as { id: string };
  const response = await fetch(new URL(`/v1/responses/${id}/input_items?limit=50`, worker.url));
  expect(response.status).toBe(200);
  return [{ what: 'the items of a response', type: 'Items', value: await response.json() }];
}

async function refusal(path: string, init: RequestInit, status: number): Promise<Typed> {
  const response = await fetch(new URL(path, worker.url), init);
  expect(response.status, path).toBe(status);
  return { what: `${init.method} ${path} ${status}`, type: 'Refusal', value: await response.json() };
}

test('the judge sees a field too many, one too few and a wrong one', async () => {
  const right = {
    id: 'a',
    created: 1,
    object: 'model',
    owned_by: 'b',
    wick: { placements: ['edge'], revisions: {} },
  };
  const { owned_by, ...few } = right;
  const faults = await typeFaults(types, [
    { what: 'right', type: 'Model', value: right },
    { what: 'many', type: 'Model', value: { ...right, more: 1 } },
    { what: 'few', type: 'Model', value: few },
    { what: 'wrong', type: 'Model', value: { ...right, object: 'modle' } },
  ]);
  expect(faults.map((fault) => fault.split(':')[0])).toEqual(['many', 'few', 'wrong']);
});

test('every answer and every chunk is as OpenAI describes it', async () => {
  const messages = [{ role: 'user', content: 'Write a story about a cat.' }];
  const chat = { model, messages, max_tokens: 4 };
  const card = 'My card is 4111 1111 1111 1111.';
  const paying = [{ role: 'user', content: card }];
  const completion = { model, prompt: 'Once upon a time', max_tokens: 4 };
  const stream = { stream: true, stream_options: { include_usage: true } };
  const likely = { logprobs: true, top_logprobs: 2, n: 2, seed: 1 };
  const tools = ['weather', 'time'].map((name) => ({
    type: 'function',
    function: { name, parameters: { type: 'object', properties: { city: { enum: ['Oslo', 'Rome'] } } } },
  }));
  const calling = { ...chat, tools, tool_choice: 'required', max_tokens: 60, seed: 1 };
  const schema = { type: 'object', properties: { city: { enum: ['Oslo', 'Rome'] } }, required: ['city'] };
  const format = { type: 'json_schema', json_schema: { name: 'place', schema } };
  const held = { ...chat, response_format: format, max_tokens: 40 };
  const responding = { model, input: 'Write a story about a cat.', max_output_tokens: 16, temperature: 0 };
  const thought = { include: ['message.output_text.logprobs'], top_logprobs: 2 };
  const functions = tools.map(({ type, function: described }) => ({ type, ...described }));
  const picking = { ...responding, tools: functions, tool_choice: 'required', max_output_tokens: 80 };
  const placed = { text: { format: { type: 'json_schema', name: 'place', schema, description: null } } };
  const embedding = { model, input: ['A cat.', 'A dog.'] };
  const image = { prompt: 'a red square', size: '64x64', steps: 2 };
  const json = { method: 'POST', headers: { 'content-type': 'application/json' } };
  const values = await Promise.all([
    answers('a chat', 'Chat', '/v1/chat/completions', chat),
    answers('a chat of the service', 'Chat', '/v1/chat/completions', { ...chat, placement: 'service' }),
    answers('choices with logprobs', 'Chat', '/v1/chat/completions', { ...chat, ...likely }),
    answers('a streamed chat', 'ChatChunk', '/v1/chat/completions', { ...chat, stream: true }),
    answers('a chat of a tier', "Chat & { service_tier: 'default' }", '/v1/chat/completions', {
      ...{ ...chat, service_tier: 'auto' },
    }),
    answers('streamed choices', 'ChatChunk', '/v1/chat/completions', { ...chat, ...likely, ...stream }),
    answers('a chat that calls tools', 'Chat', '/v1/chat/completions', calling),
    answers('a streamed chat that calls tools', 'ChatChunk', '/v1/chat/completions', {
      ...calling,
      ...stream,
    }),
    answers('a chat held to a schema', 'Chat', '/v1/chat/completions', held),
    answers('a streamed chat held to a schema', 'ChatChunk', '/v1/chat/completions', { ...held, ...stream }),
    answers('a chat of which something is masked', 'Chat', '/v1/chat/completions', {
      ...chat,
      messages: paying,
    }),
    answers('a streamed chat of which something is masked', 'ChatChunk', '/v1/chat/completions', {
      ...{ ...chat, ...stream, messages: paying },
    }),
    answers('a completion of which something is masked', 'Completion', '/v1/completions', {
      ...{ ...completion, prompt: card, logprobs: 1 },
    }),
    answers('a response of which something is masked', 'Respond', '/v1/responses', {
      ...responding,
      input: card,
    }),
    answers('a response', 'Respond', '/v1/responses', responding),
    answers('a streamed response', 'RespondEvent', '/v1/responses', { ...responding, stream: true }),
    answers('a response with logprobs', 'Respond', '/v1/responses', { ...responding, ...thought }),
    answers('a streamed response with logprobs', 'RespondEvent', '/v1/responses', {
      ...{ ...responding, ...thought, stream: true },
    }),
    answers('a response that calls tools', 'Respond', '/v1/responses', picking),
    answers('a streamed response that calls tools', 'RespondEvent', '/v1/responses', {
      ...{ ...picking, stream: true },
    }),
    answers('a response held to a schema', 'Respond', '/v1/responses', { ...responding, ...placed }),
    itemsOf({ ...responding, input: conversation, tools: functions }),
    answers('embeddings', 'Embeddings', '/v1/embeddings', embedding),
    answers('moderations', 'Moderation', '/v1/moderations', { input: ['a text', 'another'] }),
    answers('a completion', 'Completion', '/v1/completions', completion),
    answers('completions with logprobs', 'Completion', '/v1/completions', {
      ...{ ...completion, prompt: ['Once', 'The'], n: 2, best_of: 3, logprobs: 2 },
    }),
    answers('a streamed completion', 'CompletionChunk', '/v1/completions', { ...completion, stream: true }),
    answers('streamed completions', 'CompletionChunk', '/v1/completions', {
      ...{ ...completion, prompt: ['Once', 'The'], logprobs: 1, ...stream },
    }),
    fetch(new URL('/v1/models', worker.url)).then(async (response) => [
      { what: 'the models', type: 'Models', value: await response.json() },
    ]),
    fetch(new URL(`/v1/models/${model}`, worker.url)).then(async (response) => [
      { what: 'a model', type: 'Model', value: await response.json() },
    ]),
    answers('an image', 'Images', '/v1/images/generations', image),
    answers('images by address', 'Images', '/v1/images/generations', {
      ...image,
      response_format: 'url',
      n: 2,
    }),
    answers('a streamed image', 'ImageEvent', '/v1/images/generations', {
      ...{ ...image, stream: true, partial_images: 1 },
    }),
    Promise.all([
      refusal('/v1/chat/completions', { ...json, body: '{' }, 400),
      refusal('/v1/chat/completions', { ...json, body: JSON.stringify({ ...chat, n: 'x' }) }, 400),
      refusal('/v1/completions', { ...json, body: JSON.stringify({ ...completion, model: 'none' }) }, 404),
      refusal('/v1/images/generations', { ...json, body: '{}' }, 400),
      refusal('/v1/models/none', {}, 404),
      refusal('/v1/completions', {}, 405),
      refusal('/nowhere', {}, 404),
      refusal('/v1/completions', { ...json, body: 'x'.repeat(2_000_000) }, 413),
    ]),
  ]);
  expect(values.every((each) => each.length > 0)).toBe(true);
  expect(await typeFaults(types, values.flat())).toEqual([]);
});
