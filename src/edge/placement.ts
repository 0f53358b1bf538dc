/** Who answers: a model in this isolate, or one of the service's. */
import type { GenerationEvent, GenerationInput } from '../api/events.ts';
import type { Parameters } from '../api/openai.ts';
import { Failure } from './failure.ts';
import { generateInIsolate } from './isolate.ts';
import { type EdgeModel, edgeModels } from './models.ts';
import { generateOnService, type ServiceAccess, ServiceDown, serviceModels } from './service.ts';

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
    /** Where it is another than text. */
    kind?: 'image';
    /** Of a model that draws: its own width and height. */
    size?: [width: number, height: number];
  };
}

/** All models, those of the edge first. While the service is down its own are not among them. */
export async function listModels(access: ServiceAccess | undefined, signal: AbortSignal): Promise<Model[]> {
  const models = new Map<string, Model>();
  for (const { id, created } of edgeModels) {
    models.set(id, { id, object: 'model', created, owned_by: 'wick', wick: { placements: ['edge'] } });
  }
  const others = access ? await serviceModels(access, signal).catch(whenDown([])) : [];
  for (const { id, created, owned_by, kind, size } of others) {
    const model = models.get(id);
    if (model) model.wick.placements.push('service');
    else {
      const draws = kind === 'image' && { kind, ...(size && { size }) };
      models.set(id, { id, object: 'model', created, owned_by, wick: { placements: ['service'], ...draws } });
    }
  }
  return [...models.values()];
}

/** Begins an answer where the wish belongs; see `beginWhere`. */
export const answer = (wish: Wish, access: ServiceAccess | undefined, signal: AbortSignal): Promise<Answer> =>
  beginWhere(
    wish,
    {
      atEdge: (model) => generateInIsolate(model, wish.input, wish.parameters, signal),
      onService: (access, model) =>
        generateOnService(access, { model, input: wish.input, parameters: wish.parameters }, signal),
    },
    access,
    signal,
  );

/**
 * Begins something with a text model where it belongs.
 * @throws Failure with the status and sentence for the caller
 */
export async function beginWhere<Event>(
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

/** Waits for the first event, so that a refusal is one by its status and not in the middle of a stream. */
async function begun<Event>(answer: Answer<Event>): Promise<Answer<Event>> {
  const first = await answer.events.next();
  async function* whole(): AsyncGenerator<Event> {
    if (first.done) return;
    try {
      yield first.value;
      yield* answer.events;
    } finally {
      await answer.events.return(undefined);
    }
  }
  return { ...answer, events: whole() };
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
