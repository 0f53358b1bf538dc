/** Which models there are, and how the Worker is. */
import { healthAnswer, modelAnswer, modelsAnswer } from '../api/answers.ts';
import { type EdgeContext, serviceAccess } from './context.ts';
import { tellable } from './filtering/request-filter.ts';
import { isolateLoad } from './isolate.ts';
import { runtimeMemoryBytes } from './onnxruntime.ts';
import { listModels, unknownModel } from './placement.ts';
import { json, type Route } from './route.ts';
import { serviceIsUp } from './service.ts';

export const modelRoutes: readonly Route[] = [
  {
    method: 'get',
    path: '/v1/models',
    handler: models,
    group: 'Models',
    summary: 'The models there are',
    description: 'Those of the edge first. While the service is down, its own are not among them.',
    answers: { 200: json('ModelList', modelsAnswer) },
  },
  {
    method: 'get',
    path: '/v1/models/:id{.+}',
    handler: model,
    group: 'Models',
    summary: 'One model',
    parts: { id: 'The name of the model; it may hold slashes.' },
    answers: { 200: json('Model', modelAnswer) },
  },
  {
    method: 'get',
    path: '/health',
    handler: health,
    group: 'Models',
    summary: 'How the Worker is, and whether its service answers',
    answers: { 200: json('Health', healthAnswer) },
  },
];

async function models(c: EdgeContext): Promise<Response> {
  return c.json({ object: 'list', data: await listModels(serviceAccess(c), c.req.raw.signal) });
}

async function model(c: EdgeContext): Promise<Response> {
  const all = await listModels(serviceAccess(c), c.req.raw.signal);
  const id = c.req.param('id')!;
  const found = all.find((each) => each.id === id);
  if (!found) throw unknownModel(tellable(c, id), all);
  return c.json(found);
}

async function health(c: EdgeContext): Promise<Response> {
  const access = serviceAccess(c);
  const service = !access ? 'none' : (await serviceIsUp(access)) ? 'ok' : 'down';
  return c.json({
    status: 'ok',
    edge: { ...isolateLoad(), memory_bytes: runtimeMemoryBytes() },
    service: { status: service },
  });
}
