/** Tasks with a text model, done where the model is. */
import type { TaskEvent, TextTask } from '../api/tasks.ts';
import { type Caller, watchCaller } from './caller.ts';
import { type EdgeContext, serviceAccess } from './context.ts';
import { runTaskInIsolate } from './isolate.ts';
import type { EdgeModel } from './models.ts';
import { type Answer, beginWhere, type Place } from './placement.ts';
import { markAnswer } from './responses.ts';
import { runTaskOnService, type ServiceAccess } from './service.ts';

/**
 * Begins a task where the place says.
 * @throws Failure with the status and sentence for the caller
 */
export function beginTask(
  c: EdgeContext,
  { task, ...place }: Place & { task: TextTask },
  signal: AbortSignal,
): Promise<Answer<TaskEvent>> {
  const doers = {
    atEdge: (model: EdgeModel) => runTaskInIsolate(model, task, signal),
    onService: (access: ServiceAccess, model: string) => runTaskOnService(access, { model, task }, signal),
  };
  return beginWhere<TaskEvent>(place, doers, serviceAccess(c), signal);
}

/**
 * Begins a task, and answers with what `respond` makes of it.
 * @throws Failure with the status and sentence for the caller
 */
export async function doTask(
  c: EdgeContext,
  task: Place & { task: TextTask },
  respond: (answer: Answer<TaskEvent>, caller: Caller) => Promise<Response>,
): Promise<Response> {
  const caller = watchCaller(c);
  try {
    const answer = await beginTask(c, task, caller.signal);
    markAnswer(c, answer.placement, answer.fallback);
    return await respond(answer, caller);
  } catch (thrown) {
    caller.finished();
    throw thrown;
  }
}

/** Events of the wanted type, in a list. @throws Error if the task ended without any */
export async function resultsOf<T extends TaskEvent['type']>(
  events: AsyncGenerator<TaskEvent>,
  type: T,
): Promise<Extract<TaskEvent, { type: T }>[]> {
  const results: Extract<TaskEvent, { type: T }>[] = [];
  for await (const event of events)
    if (event.type === type) results.push(event as Extract<TaskEvent, { type: T }>);
  if (results.length === 0) throw new Error(`The task ended without ${type}.`);
  return results;
}
