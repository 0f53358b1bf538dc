/** Who answers: a model in this isolate, or one of the service's. */
import type { GenerationEvent, GenerationInput } from '../api/events.ts';
import type { Parameters } from '../api/openai.ts';
import type { Timings, TraceOptions } from '../api/trace.ts';
import { Failure } from './failure.ts';
import { generateInIsolate } from './isolate.ts';
import { type EdgeModel, edgeModels, revisionOf } from './models.ts';
import {
  generateOnService,
  type ServiceAccess,
  ServiceDown,
  type ServiceModel,
  serviceModels,
} from './service.ts';

/** Where a model answers. */
export type Placement = 'edge' | 'service';

/** Who is to answer. */
export interface Place {
  /** The edge's default where there is none. */
  model?: string;
  /** The edge for the models it has, where there is none. */
  placement?: Placement;
  /** Whether the edge's model may answer in the place of a service that is down. */
  fallback?: boolean;
}

/** What a caller asks for, whichever door it came through. */
export interface Wish extends Place {
  input: GenerationInput;
  parameters: Parameters;
  trace?: TraceOptions;
}

/** How something is done in either place. */
export interface Doers<Event> {
  atEdge(model: EdgeModel): AsyncGenerator<Event>;
  onService(access: ServiceAccess, model: string): AsyncGenerator<Event>;
}

/** An answer that has begun: what could be refused was refused before. */
export interface Answer<Event = GenerationEvent> {
  /** The model that answers. */
  model: string;
  placement: Placement;
  /** Whether it stands in for the service. */
  fallback: boolean;
  /** How long it took to begin, where that is told. */
  timings?: Pick<Timings, 'queue' | 'tokenize'>;
  /** From the first event on. */
  events: AsyncGenerator<Event>;
}

export interface Model {
  id: string;
  object: 'model';
  /** Unix seconds. */
  created: number;
  owned_by: string;
  wick: {
    placements: Placement[];
    /** Of the graph and its files, at each place where they are known. */
    revisions: Partial<Record<Placement, string>>;
    /** Where it is another than text. */
    kind?: 'image';
    /** Of a model that draws: its own width and height. */
    size?: [width: number, height: number];
    /** Of the service's: whether it is in memory there. */
    state?: ServiceModel['state'];
  };
}

/** All models, those of the edge first. While the service is down its own are not among them. */
export async function listModels(access: ServiceAccess | undefined, signal: AbortSignal): Promise<Model[]> {
  const models = new Map<string, Model>();
  for (const model of edgeModels) {
    const { id, created } = model;
    const wick = { placements: ['edge' as const], revisions: { edge: await revisionOf(model) } };
    models.set(id, { id, object: 'model', created, owned_by: 'wick', wick });
  }
  const others = access ? await serviceModels(access, signal).catch(whenDown([])) : [];
  for (const { id, created, owned_by, kind, size, version, state } of others) {
    const revisions = version === undefined ? {} : { service: version };
    const model = models.get(id);
    if (model) {
      model.wick.placements.push('service');
      Object.assign(model.wick.revisions, revisions);
      if (state) model.wick.state = state;
    } else {
      const draws = kind === 'image' && { kind, ...(size && { size }) };
      const wick = { placements: ['service' as const], revisions, ...draws, ...(state && { state }) };
      models.set(id, { id, object: 'model', created, owned_by, wick });
    }
  }
  return [...models.values()];
}

/** Begins an answer where the wish belongs; see `beginWhere`. */
export const answer = (wish: Wish, access: ServiceAccess | undefined, signal: AbortSignal): Promise<Answer> =>
  beginWhere(
    wish,
    {
      atEdge: (model) => generateInIsolate(model, wish.input, wish.parameters, signal, wish.trace),
      onService: (access, model) =>
        generateOnService(
          access,
          { model, input: wish.input, parameters: wish.parameters, trace: wish.trace },
          signal,
        ),
    },
    access,
    signal,
  );

/**
 * Begins something with a text model where it belongs.
 * @throws Failure with the status and sentence for the caller
 */
export async function beginWhere<Event extends { type: string }>(
  place: Place,
  doers: Doers<Event>,
  access: ServiceAccess | undefined,
  signal: AbortSignal,
): Promise<Answer<Event>> {
  const atEdge = place.model === undefined ? edgeModels[0] : edgeModels.find(({ id }) => id === place.model);
  const here = (model: EdgeModel, fallback: boolean) =>
    begun<Event>({ model: model.id, placement: 'edge', fallback, events: doers.atEdge(model) });
  if (atEdge && place.placement !== 'service') return here(atEdge, false);
  try {
    if (place.placement === 'edge' || !access) throw await absent(place, access, signal);
    const model = place.model ?? atEdge!.id;
    const known = await serviceModels(access, signal, model);
    const found = known.find(({ id }) => id === model);
    if (!found) throw await absent(place, access, signal);
    if (found.kind === 'image') {
      throw new Failure(
        'model_not_supported',
        `The model "${model}" draws and does not write; POST /v1/images/generations asks it.`,
        {
          param: 'model',
        },
      );
    }
    const events = doers.onService(access, model);
    return await begun({ model, placement: 'service', fallback: false, events });
  } catch (thrown) {
    if (!(thrown instanceof ServiceDown) || !place.fallback) throw thrown;
    return here(atEdge ?? edgeModels[0], true);
  }
}

/**
 * Waits for the event behind `start`, which of an answer is its first piece of text: a refusal is one by its status then
 * and not in the middle of a stream, and how long the beginning took is known.
 */
async function begun<Event extends { type: string }>(answer: Answer<Event>): Promise<Answer<Event>> {
  const early: Event[] = [];
  let next = await answer.events.next();
  for (; !next.done && next.value.type === 'start'; next = await answer.events.next()) early.push(next.value);
  if (!next.done) early.push(next.value);
  async function* whole(): AsyncGenerator<Event> {
    try {
      yield* early;
      yield* answer.events;
    } finally {
      await answer.events.return(undefined);
    }
  }
  const [start] = early;
  return {
    ...answer,
    events: whole(),
    timings: (start as { timings?: Answer['timings'] } | undefined)?.timings,
  };
}

/** Why a wished-for model cannot answer where it was wished to. */
async function absent(wish: Place, access: ServiceAccess | undefined, signal: AbortSignal): Promise<Failure> {
  if (wish.placement === 'service' && !access)
    return new ServiceDown('This Worker has no service behind it.');
  const models = await listModels(access, signal);
  const here = models.filter(({ wick }) => !wish.placement || wick.placements.includes(wish.placement));
  const where = wish.placement ? ` ${wish.placement === 'edge' ? 'at the edge' : 'on the service'}` : '';
  return unknownModel(wish.model ?? edgeModels[0].id, here, where);
}

/** The 404 that names the models there are. */
export function unknownModel(id: string, models: readonly Model[], where = ''): Failure {
  const names = models.map((model) => model.id).join(', ') || 'none';
  return new Failure(
    'model_not_found',
    `There is no model "${id.slice(0, 100)}"${where}. There is: ${names}.`,
    {
      param: 'model',
    },
  );
}

const whenDown =
  <T>(instead: T) =>
  (thrown: unknown): T => {
    if (thrown instanceof ServiceDown) return instead;
    throw thrown;
  };
