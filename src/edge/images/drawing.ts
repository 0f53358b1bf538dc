/** A drawing on the service: which model draws, and what comes of it. */
import type { DrawRequest } from '../../api/draw.ts';
import { Failure } from '../failure.ts';
import { unlessLate } from '../late.ts';
import {
  eventsOnService,
  type ServiceAccess,
  ServiceDown,
  type ServiceModel,
  serviceModels,
} from '../service.ts';
import { type Piece, readDrawing } from './pieces.ts';

/** What comes of a drawing; a `tick` says that nothing has for a moment. The failure of one is thrown. */
export type Drawn = Exclude<Piece, { type: 'error' }> | { type: 'tick' };

/** Milliseconds: that the service may be silent while it draws or lets wait, and between two ticks. */
const silence = 300_000;
const ticking = 250;

/**
 * The model that draws.
 * @throws ServiceDown where there is no service, or it is down
 * @throws Failure 404 or 400 if the service has no such model, or it does not draw
 */
export async function imageModel(
  access: ServiceAccess | undefined,
  id: string | undefined,
  signal: AbortSignal,
): Promise<ServiceModel> {
  if (!access) throw new ServiceDown('This Worker has no service behind it, and images are drawn there.');
  const models = await serviceModels(access, signal, id);
  const drawing = models.filter(({ kind }) => kind === 'image');
  const names = drawing.map((model) => model.id).join(', ') || 'none';
  if (id === undefined) {
    const usual = drawing.find((model) => model.default) ?? drawing[0];
    if (usual) return usual;
    throw new Failure('model_not_found', 'The service has no model that draws.', {
      param: 'model',
    });
  }
  const model = drawing.find((each) => each.id === id);
  if (model) return model;
  if (models.some((each) => each.id === id)) {
    throw new Failure(
      'model_not_supported',
      `The model "${id}" writes and does not draw. What draws is: ${names}.`,
      {
        param: 'model',
      },
    );
  }
  throw new Failure(
    'model_not_found',
    `There is no model "${id.slice(0, 100)}" that draws. There is: ${names}.`,
    {
      param: 'model',
    },
  );
}

/**
 * Draws. Leaving the generator, or the signal's abort, ends the drawing on the service too.
 * @throws ServiceDown and Failure as `eventsOnService` does
 */
export async function* draw(
  access: ServiceAccess,
  request: DrawRequest,
  signal: AbortSignal,
): AsyncGenerator<Drawn> {
  const leaving = new AbortController();
  const either = AbortSignal.any([signal, leaving.signal]);
  const pieces = eventsOnService(access, '/v1/draw', request, readDrawing, silence, either);
  let next: ReturnType<typeof pieces.next> | undefined;
  try {
    for (;;) {
      next ??= pieces.next();
      const result = await unlessLate(next, ticking);
      if (!result) {
        yield { type: 'tick' };
        continue;
      }
      next = undefined;
      if (result.done) return;
      yield result.value;
    }
  } finally {
    leaving.abort();
    // What was asked for last comes to nothing now.
    next?.catch(() => {});
  }
}
