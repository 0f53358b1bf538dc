/** Responses in OpenAI's form, and the events of their streams, made of a generation's events. */
import type { GenerationEvent, TokenLogprob, Usage } from '../events.ts';
import { withoutNulls } from '../parameters.ts';
import { type TokenTrace, type WickAnswer, wickPart } from '../trace.ts';
import { newId } from './items.ts';
import type { ResponsesRequest } from './request.ts';

interface TextPart {
  type: 'output_text';
  text: string;
  annotations: [];
  logprobs: object[];
}
type Status = 'in_progress' | 'completed' | 'incomplete';
type IncompleteReason = 'max_output_tokens' | 'content_filter';
interface OutputMessage {
  type: 'message';
  id: string;
  status: Status;
  role: 'assistant';
  content: TextPart[];
}
interface OutputCall {
  type: 'function_call';
  id: string;
  status: Status;
  call_id: string;
  name: string;
  arguments: string;
}
export type OutputItem = OutputMessage | OutputCall;

/** A response as far as it has come. */
export interface ResponseObject {
  id: string;
  object: 'response';
  /** Unix seconds. */
  created_at: number;
  completed_at: number | null;
  status: 'in_progress' | 'completed' | 'incomplete' | 'failed';
  model: string;
  output: OutputItem[];
  error: { code: string; message: string } | null;
  incomplete_details: { reason: IncompleteReason } | null;
  /** Of one that has ended by itself. */
  usage?: object;
  wick?: WickAnswer;
  [field: string]: unknown;
}

/** One event of a stream; each is numbered. */
export interface ResponseEvent {
  type: string;
  sequence_number: number;
  response?: ResponseObject;
  [field: string]: unknown;
}

/** Ends that are not the answer's own. */
const incompleteReasons: Readonly<Record<string, IncompleteReason | undefined>> = {
  length: 'max_output_tokens',
  content_filter: 'content_filter',
};

const now = () => Math.floor(Date.now() / 1000);

/** A response that has begun. */
export function newResponse(
  { sent, store }: ResponsesRequest,
  model: string,
  wick?: { placement: 'edge' | 'service'; fallback: boolean },
): ResponseObject {
  const { metadata, instructions, previous_response_id, max_output_tokens, temperature, top_p } = sent;
  const { user, safety_identifier, prompt_cache_key } = sent;
  return {
    id: newId('resp'),
    object: 'response',
    created_at: now(),
    completed_at: null,
    status: 'in_progress',
    background: false,
    access_programs: null,
    error: null,
    incomplete_details: null,
    instructions: instructions ?? null,
    max_output_tokens: max_output_tokens ?? null,
    max_tool_calls: null,
    metadata: metadata ?? {},
    model,
    output: [],
    parallel_tool_calls: sent.parallel_tool_calls ?? true,
    previous_response_id: previous_response_id ?? null,
    reasoning: { effort: null, summary: null },
    service_tier: 'default',
    store,
    temperature: temperature ?? null,
    text: { format: withoutNulls(sent.text?.format) ?? { type: 'text' }, verbosity: 'medium' },
    tool_choice: sent.tool_choice ?? 'auto',
    tools: (sent.tools ?? []).map(({ parameters = null, strict = null, ...tool }) => ({
      ...tool,
      parameters,
      strict,
    })),
    top_logprobs: sent.top_logprobs ?? 0,
    top_p: top_p ?? null,
    truncation: sent.truncation ?? 'disabled',
    ...(user !== undefined && { user }),
    ...(safety_identifier !== undefined && { safety_identifier }),
    ...(prompt_cache_key !== undefined && { prompt_cache_key }),
    ...(wick && { wick }),
  };
}

/** Numbers events from 0 on. */
export function numbered(): (type: string, fields: object) => ResponseEvent {
  let next = 0;
  return (type, fields) => ({ type, sequence_number: next++, ...fields });
}

/**
 * The events of a response, which is filled on the way; the last is `response.completed` or `response.incomplete`.
 * @param event numbers the events
 * @param finish is waited for before the last event: what keeps the response
 * @throws what the generation throws; Error if it ends without its last event
 */
export async function* responseEvents(
  response: ResponseObject,
  events: AsyncIterable<GenerationEvent>,
  event: ReturnType<typeof numbered>,
  finish: (response: ResponseObject) => Promise<void>,
): AsyncGenerator<ResponseEvent> {
  const { output } = response;
  /** The item that is written just now, and which call it is, if it is one. */
  let open: { item: OutputItem; call?: number } | undefined;
  let usage: Usage | undefined;
  let own = {};
  /** How all tokens came about, and those of the next event. */
  const traced: TokenTrace[] = [];
  let untold: TokenTrace[] = [];
  const tokens = () => {
    const told = untold.length > 0 ? wickPart({ tokens: untold }) : {};
    untold = [];
    return told;
  };
  let incomplete: IncompleteReason | undefined;
  yield event('response.created', { response });
  yield event('response.in_progress', { response });
  for await (const each of events) {
    if (each.type === 'delta') {
      if (open?.item.type !== 'message') {
        yield* close('completed');
        yield* openMessage();
      }
      const { item } = open as unknown as { item: OutputMessage };
      const logprobs = (each.logprobs ?? []).map(told);
      item.content[0].text += each.text;
      item.content[0].logprobs.push(...logprobs);
      yield event('response.output_text.delta', {
        ...place(item),
        content_index: 0,
        delta: each.text,
        logprobs,
        ...tokens(),
      });
    } else if (each.type === 'tool_call') {
      if (open?.call !== each.call) {
        yield* close('completed');
        yield* openCall(each.call, each.id ?? newId('fc'), each.name ?? '');
      }
      const { item } = open as unknown as { item: OutputCall };
      item.arguments += each.arguments;
      if (each.arguments)
        yield event('response.function_call_arguments.delta', {
          ...place(item),
          delta: each.arguments,
          ...tokens(),
        });
    } else if (each.type === 'trace') {
      traced.push(...each.tokens);
      untold.push(...each.tokens);
    } else if (each.type === 'end') {
      incomplete = incompleteReasons[each.finish_reason];
    } else if (each.type === 'done') {
      usage = each.usage;
      own = wickPart({ ...response.wick, ...each, ...(each.trace && { tokens: traced }) });
    }
  }
  if (!usage) throw new Error('The generation ended without its last event.');
  if (output.length === 0) yield* openMessage();
  const ending = incomplete ? 'incomplete' : 'completed';
  yield* close(ending);
  Object.assign(response, {
    status: ending,
    completed_at: ending === 'completed' ? now() : null,
    incomplete_details: incomplete ? { reason: incomplete } : null,
    usage: toldUsage(usage),
    ...own,
  });
  await finish(response);
  yield event(`response.${ending}`, { response });

  function place(item: OutputItem) {
    return { item_id: item.id, output_index: output.indexOf(item) };
  }

  function* opened(item: OutputItem, call?: number): Generator<ResponseEvent> {
    output.push(item);
    open = { item, call };
    yield event('response.output_item.added', { output_index: output.length - 1, item });
  }

  function* openMessage(): Generator<ResponseEvent> {
    const part: TextPart = { type: 'output_text', text: '', annotations: [], logprobs: [] };
    const item: OutputMessage = {
      ...{ type: 'message', id: newId('msg'), status: 'in_progress', role: 'assistant', content: [] },
    };
    yield* opened(item);
    item.content.push(part);
    yield event('response.content_part.added', { ...place(item), content_index: 0, part });
  }

  function openCall(call: number, call_id: string, name: string): Generator<ResponseEvent> {
    const id = newId('fc');
    return opened({ type: 'function_call', id, status: 'in_progress', call_id, name, arguments: '' }, call);
  }

  function* close(status: 'completed' | 'incomplete'): Generator<ResponseEvent> {
    if (!open) return;
    const { item } = open;
    open = undefined;
    if (item.type === 'message') {
      const [part] = item.content;
      const at = { ...place(item), content_index: 0 };
      yield event('response.output_text.done', { ...at, text: part.text, logprobs: part.logprobs });
      yield event('response.content_part.done', { ...at, part });
    } else {
      const { name, arguments: whole } = item;
      yield event('response.function_call_arguments.done', { ...place(item), name, arguments: whole });
    }
    item.status = status;
    yield event('response.output_item.done', { output_index: output.indexOf(item), item });
  }
}

/** The end of a stream that failed: OpenAI's clients throw at `error`, and others look for `response.failed`. */
export function* failedEvents(
  response: ResponseObject,
  failure: { message: string; code: string | null; param: string | null },
  event: ReturnType<typeof numbered>,
): Generator<ResponseEvent> {
  const { message, code, param } = failure;
  yield event('error', { code, message, param });
  Object.assign(response, { status: 'failed', error: { code: 'server_error', message } });
  for (const item of response.output) if (item.status === 'in_progress') item.status = 'incomplete';
  yield event('response.failed', { response });
}

const likelihood = ({ text, logprob, bytes }: Omit<TokenLogprob, 'top'>) => ({
  token: text,
  logprob: logprob ?? -9999,
  bytes,
});
const told = (token: TokenLogprob) => ({ ...likelihood(token), top_logprobs: token.top.map(likelihood) });

const toldUsage = ({
  prompt_tokens,
  completion_tokens,
  total_tokens,
  prompt_tokens_details: details,
}: Usage) => ({
  input_tokens: prompt_tokens,
  input_tokens_details: { cached_tokens: details?.cached_tokens ?? 0, cache_write_tokens: 0 },
  output_tokens: completion_tokens,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens,
});
