/** The service as the edge sees it: signed requests, and its stream of events. */
import type { ErrorObject } from '../api/errors.ts';
import { type GenerateRequest, type GenerationEvent, readEvents } from '../api/events.ts';
import { signRequest } from '../api/signature.ts';
import { readTaskEvents, type TaskEvent, type TaskRequest } from '../api/tasks.ts';
import { Failure } from './failure.ts';

export interface ServiceAccess {
  /** Where the service listens, e.g. `http://localhost:8788`. */
  url: string;
  secret: string;
  /** The id of the request that it is asked for, for the service's log. */
  requestId?: string;
}

export interface ServiceModel {
  id: string;
  object: 'model';
  created: number;
  owned_by: string;
  /** What it makes; text where nothing is said. */
  kind?: 'text' | 'image';
  /** Of a model that draws: the width and height at which it does. */
  size?: [width: number, height: number];
  /** Whether it is the one of its kind that answers where none is named. */
  default?: boolean;
  /** Changes with the model's weights, where the service tells. */
  version?: string;
  /** Whether it is in the service's memory; one that is not is loaded when it is asked for. */
  state?: 'idle' | 'loading' | 'loaded';
}

/** Milliseconds: until the service begins to answer, and between two events of a text's stream. */
const patience = { answer: 30_000, event: 60_000, health: 1_000 };
/** Milliseconds for which the list of the service's models stays known. */
const listLife = 5_000;

/** The service cannot be reached, or is not fit to answer: what `fallback` is for. */
export class ServiceDown extends Failure {
  constructor(message: string, { code, retryAfter = 5 }: { code?: string; retryAfter?: number } = {}) {
    super(code ? { status: 503, code } : 'service_unavailable', message, { retryAfter });
  }
}

let known: { url: string; until: number; models: ServiceModel[] } | undefined;

/**
 * The models of the service, from a short memory where it holds the one that is wanted.
 * @throws ServiceDown
 */
export async function serviceModels(
  access: ServiceAccess,
  signal: AbortSignal,
  wanted?: string,
): Promise<ServiceModel[]> {
  const fresh = known?.url === access.url && Date.now() < known.until ? known.models : undefined;
  if (fresh && (!wanted || fresh.some(({ id }) => id === wanted))) return fresh;
  known = undefined;
  const response = await ask(access, 'GET', '/v1/models', '', signal);
  const { data } = (await response.json().catch(() => ({}))) as { data?: ServiceModel[] };
  if (!response.ok || !Array.isArray(data))
    throw new ServiceDown('The service does not say which models it has.');
  known = { url: access.url, until: Date.now() + listLife, models: data };
  return data;
}

/** Whether the service answers at all. */
export async function serviceIsUp(access: ServiceAccess): Promise<boolean> {
  try {
    const response = await fetch(new URL('/health', access.url), {
      signal: AbortSignal.timeout(patience.health),
    });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

/** A generation on the service; see `eventsOnService`. */
export const generateOnService = (
  access: ServiceAccess,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<GenerationEvent> =>
  eventsOnService(access, '/v1/generate', request, readEvents, patience.event, signal);

/** A task on the service; see `eventsOnService`. */
export const runTaskOnService = (
  access: ServiceAccess,
  request: TaskRequest,
  signal: AbortSignal,
): AsyncGenerator<TaskEvent> =>
  eventsOnService(access, '/v1/tasks', request, readTaskEvents, patience.event, signal);

/**
 * Whether the service's safety checker objects to an image.
 * @param image a file in base64
 * @param param what in the request it is
 * @throws ServiceDown; Failure 501 where there is no checker, 400 for what is no image
 */
export async function checkImageOnService(
  access: ServiceAccess | undefined,
  image: string,
  param: string,
  signal: AbortSignal,
): Promise<{ unsafe: boolean }> {
  if (!access)
    throw new Failure(
      'moderation_unavailable',
      'Images are judged on the service, and this Worker has none behind it.',
      { param },
    );
  const response = await ask(access, 'POST', '/v1/check-image', JSON.stringify({ image }), signal);
  const body = (await response
    .clone()
    .json()
    .catch(() => ({}))) as Partial<ErrorObject> & { unsafe?: boolean };
  if (response.ok && typeof body.unsafe === 'boolean') return { unsafe: body.unsafe };
  const { code, message = '' } = body.error ?? {};
  if (code === 'moderation_unavailable') throw new Failure(code, message, { param });
  if (response.status === 400 && code) throw new Failure({ status: 400, code }, message, { param });
  throw await refusal(response);
}

/** What is told of it here: all but its failure and its signs of life. */
type Told<Event> = Exclude<Event, { type: 'error' } | { type: 'waiting' }>;

type ServiceFailure = { type: 'error'; status: number } & ErrorObject;

/**
 * The events of something that the service does. Leaving the generator, or the signal's abort, ends it there too.
 * @param read makes events of the answer's body
 * @param silence milliseconds that may pass between two events
 * @throws ServiceDown before the first event if the service is down, refuses the edge or is busy
 * @throws Failure with the service's own refusal of the request, or when its stream breaks off
 */
export async function* eventsOnService<Event extends { type: string }>(
  access: ServiceAccess,
  path: string,
  request: object,
  read: (body: ReadableStream<Uint8Array>) => AsyncGenerator<Event>,
  silence: number,
  signal: AbortSignal,
): AsyncGenerator<Told<Event>> {
  const leaving = new AbortController();
  const either = AbortSignal.any([signal, leaving.signal]);
  try {
    const response = await ask(access, 'POST', path, JSON.stringify(request), either);
    if (!response.ok || !response.body) throw await refusal(response);
    const events = read(response.body);
    for (;;) {
      const { done, value: event } = await inTime(events.next(), silence);
      if (done) return;
      if (isFailure(event)) throw failureOf(event.status, event.error);
      if (event.type !== 'waiting') yield event as Told<Event>;
    }
  } catch (thrown) {
    if (thrown instanceof Failure) throw thrown;
    signal.throwIfAborted();
    console.warn(`The service broke off: ${(thrown as Error).message}`);
    throw new ServiceDown('The service broke off in the middle of its answer.', {
      code: 'service_broke_off',
    });
  } finally {
    leaving.abort();
  }
}

const isFailure = (event: { type: string }): event is ServiceFailure => event.type === 'error';

async function ask(
  access: ServiceAccess,
  method: 'GET' | 'POST',
  path: string,
  body: string,
  signal: AbortSignal,
): Promise<Response> {
  const slow = new AbortController();
  const timer = setTimeout(() => slow.abort(), patience.answer);
  const signature = await signRequest({ secret: access.secret, method, path, body });
  const send = () =>
    fetch(new URL(path, access.url), {
      method,
      headers: {
        ...signature,
        ...(body && { 'content-type': 'application/json' }),
        ...(access.requestId && { 'x-request-id': access.requestId }),
      },
      body: body || undefined,
      signal: AbortSignal.any([signal, slow.signal]),
    });
  try {
    // A connection kept from before may be to a service that has been started anew since.
    return await send().catch((thrown: Error & { retryable?: boolean }) => {
      if (!thrown.retryable || signal.aborted) throw thrown;
      return send();
    });
  } catch (thrown) {
    known = undefined;
    signal.throwIfAborted();
    console.warn(`The service does not answer: ${(thrown as Error).message}`);
    throw new ServiceDown('The service that has this model does not answer now.');
  } finally {
    clearTimeout(timer);
  }
}

async function refusal(response: Response): Promise<Failure> {
  const body = (await response.json().catch(() => ({}))) as Partial<ErrorObject>;
  if (response.status === 503) {
    return new ServiceDown(body.error?.message ?? 'The service is busy. Try again in a moment.', {
      code: body.error?.code ?? 'overloaded',
      retryAfter: Number(response.headers.get('retry-after')) || 5,
    });
  }
  if (response.status === 401 || response.status >= 500 || !body.error) {
    console.warn(`The service answers ${response.status}: ${body.error?.message ?? 'no error object'}`);
    return new ServiceDown('The service that has this model cannot answer now.');
  }
  return failureOf(response.status, body.error);
}

/** The service's refusal in its own words, under a status that is one. */
function failureOf(status: number, error: ErrorObject['error']): Failure {
  return new Failure(
    { ...error, status: status >= 400 && status <= 599 ? status : 500 },
    error.message,
    error,
  );
}

async function inTime<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`There was no event in ${milliseconds} ms.`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
