/** Generation inside the isolate: models loaded when first asked for, a few answers at a time. */
import type { GenerationEvent, GenerationInput } from '../api/events.ts';
import type { TaskEvent, TextTask } from '../api/tasks.ts';
import { generate } from '../generation/generate.ts';
import { createTextModel, type TextModel } from '../generation/model.ts';
import type { GenerationParameters } from '../generation/parameters.ts';
import { runTask } from '../generation/tasks.ts';
import { Failure } from './failure.ts';
import type { EdgeModel } from './models.ts';
import { createSession, Tensor } from './onnxruntime.ts';
import { createSlots } from './slots.ts';

/** Each answer holds a cache of keys and values: four, and what they leave behind, fit in an isolate beside a model. */
const slots = createSlots({ places: 4, line: 32, life: 30_000 });

/** Tokens that are embedded for one request: some seconds of an isolate's one thread. */
const embeddedTokens = 65_536;

const loaded = new Map<EdgeModel, Promise<TextModel>>();

/** How busy this isolate is. */
export const isolateLoad = (): { models: string[]; running: number; waiting: number } => ({
  models: [...loaded.keys()].map(({ id }) => id),
  running: slots.taken,
  waiting: slots.waiting,
});

/** Runs a generation in this isolate, stepping aside for other requests between tokens; see `doInIsolate`. */
export const generateInIsolate = (
  model: EdgeModel,
  input: GenerationInput,
  parameters: Partial<GenerationParameters>,
  signal: AbortSignal,
): AsyncGenerator<GenerationEvent> =>
  doInIsolate(model, (loaded) => generate(loaded, input, parameters, signal), signal);

/** Does a task in this isolate; see `doInIsolate`. */
export const runTaskInIsolate = (
  model: EdgeModel,
  task: TextTask,
  signal: AbortSignal,
): AsyncGenerator<TaskEvent> =>
  doInIsolate(model, (loaded) => runTask(loaded, task, signal, embeddedTokens), signal);

/**
 * Does something with a model in this isolate. Ends, and gives its place to the next in line, within a step of the
 * signal's abort.
 * @throws Failure 503 when all places are taken and the line is full
 */
async function* doInIsolate<Event>(
  model: EdgeModel,
  work: (model: TextModel) => AsyncGenerator<Event>,
  signal: AbortSignal,
): AsyncGenerator<Event> {
  const slot = await slots.take(signal);
  if (!slot) {
    throw new Failure('overloaded', 'The edge is busy with other answers. Try again in a moment.', {
      retryAfter: 2,
    });
  }
  try {
    for await (const event of work(await load(model))) {
      slot.renew();
      yield event;
    }
  } finally {
    slot.release();
  }
}

function load(model: EdgeModel): Promise<TextModel> {
  let loading = loaded.get(model);
  if (!loading) {
    loading = createSession(model.graph).then((session) => createTextModel({ ...model, session, Tensor }));
    loading.catch(() => loaded.delete(model));
    loaded.set(model, loading);
  }
  return loading;
}
