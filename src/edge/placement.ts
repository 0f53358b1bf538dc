/** Who answers: a model in this isolate, or one of the service's. */
import type { GenerationEvent, GenerationInput } from '../api/events.ts';
import type { Parameters } from '../api/openai.ts';
import { Failure } from './failure.ts';
import { generateInIsolate } from './isolate.ts';
import { type EdgeModel, edgeModels } from './models.ts';
import { generateOnService, type ServiceAccess, ServiceDown, serviceModels } from './service.ts';

/** Where a model answers. */
export type Placement = 'edge' | 'service';

/** What a caller asks for, whichever door it came through. */
export interface Wish {
  /** The edge's default where there is none. */
  model?: string;
  /** The edge for the models it has, where there is none. */
  placement?: Placement;
  /** Whether the edge's model may answer in the place of a service that is down. */
  fallback?: boolean;
  input: GenerationInput;
  parameters: Parameters;
}

/** An answer that has begun: what could be refused was refused before. */
export interface Answer {
  /** The model that answers. */
  model: string;
  placement: Placement;
  /** Whether it stands in for the service. */
  fallback: boolean;
  /** From the first event, `start`, on. */
  events: AsyncGenerator<GenerationEvent>;
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

/**
 * Begins an answer where the wish belongs.
 * @throws Failure with the status and sentence for the caller
 */
export async function answer(
  wish: Wish,
  access: ServiceAccess | undefined,
  signal: AbortSignal,
): Promise<Answer> {
  const atEdge = wish.model === undefined ? edgeModels[0] : edgeModels.find(({ id }) => id === wish.model);
  if (atEdge && wish.placement !== 'service') return answerAtEdge(atEdge, wish, false, signal);
  try {
    if (wish.placement === 'edge' || !access) throw await absent(wish, access, signal);
    const model = wish.model ?? atEdge!.id;
    const known = await serviceModels(access, signal, model);
    const found = known.find(({ id }) => id === model);
    if (!found) throw await absent(wish, access, signal);
    if (found.kind === 'image') {
      throw new Failure(
        'model_not_supported',
        `The model "${model}" draws and does not write; POST /v1/images/generations asks it.`,
        {
          param: 'model',
        },
      );
    }
    const request = { model, input: wish.input, parameters: wish.parameters };
    return await begun({
      model,
      placement: 'service',
      fallback: false,
      events: generateOnService(access, request, signal),
    });
  } catch (thrown) {
    if (!(thrown instanceof ServiceDown) || !wish.fallback) throw thrown;
    return answerAtEdge(atEdge ?? edgeModels[0], wish, true, signal);
  }
}

function answerAtEdge(model: EdgeModel, wish: Wish, fallback: boolean, signal: AbortSignal): Promise<Answer> {
  const events = generateInIsolate(model, wish.input, wish.parameters, signal);
  return begun({ model: model.id, placement: 'edge', fallback, events });
}

/** Waits for the first event, so that a refusal is one by its status and not in the middle of a stream. */
async function begun(answer: Answer): Promise<Answer> {
  const first = await answer.events.next();
  async function* whole(): AsyncGenerator<GenerationEvent> {
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
async function absent(wish: Wish, access: ServiceAccess | undefined, signal: AbortSignal): Promise<Failure> {
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
