/** Generation inside the isolate: models loaded when first asked for, a few answers at a time. */
import type { GenerationEvent, GenerationInput } from '../api/events.ts';
import type { TaskEvent, TextTask } from '../api/tasks.ts';
import type { TraceOptions } from '../api/trace.ts';
import { generate } from '../generation/generate.ts';
import { createTextModel, type TextModel } from '../generation/model.ts';
import type { GenerationParameters } from '../generation/parameters.ts';
import { runTask } from '../generation/tasks.ts';
import { Failure } from './failure.ts';
import { type EdgeModel, edgeModels, revisionOf } from './models.ts';
import { createSession, runtime, Tensor } from './onnxruntime.ts';
import { createSlots } from './slots.ts';

/**
 * Each answer holds a cache of keys and values, and leaves one behind at each step: of two, this fits in an isolate
 * beside a model. An isolate has one thread, on which more at a time would not be done sooner.
 */
const slots = createSlots({ places: 2, line: 34, life: 30_000 });

/** Of one request: some seconds of an isolate's one thread, and, of characters, a tenth of its memory. */
const limits = { embeddedTokens: 65_536, characters: 100_000 };

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
  trace?: TraceOptions,
): AsyncGenerator<GenerationEvent> =>
  doInIsolate(
    model,
    (loaded, queue) => generate(loaded, input, parameters, signal, { queue, place: 'edge', trace }),
    signal,
  );

/** Does a task in this isolate; see `doInIsolate`. */
export const runTaskInIsolate = (
  model: EdgeModel,
  task: TextTask,
  signal: AbortSignal,
): AsyncGenerator<TaskEvent> => doInIsolate(model, (loaded) => runTask(loaded, task, signal, limits), signal);

/**
 * Does something with a model in this isolate. Ends, and gives its place to the next in line, within a step of the
 * signal's abort.
 * @param work gets the milliseconds for which it stood in line, too
 * @throws Failure 503 when all places are taken and the line is full
 */
async function* doInIsolate<Event>(
  model: EdgeModel,
  work: (model: TextModel, queue: number) => AsyncGenerator<Event>,
  signal: AbortSignal,
): AsyncGenerator<Event> {
  const asked = performance.now();
  const slot = await slots.take(signal);
  if (!slot) {
    throw new Failure('overloaded', 'The edge is busy with other answers. Try again in a moment.', {
      retryAfter: 2,
    });
  }
  try {
    const loaded = await load(model);
    for await (const event of work(loaded, performance.now() - asked)) {
      slot.renew();
      yield event;
    }
  } finally {
    slot.release();
  }
}

/** Loads the model that answers where none is named. */
export const loadUsual = async (): Promise<void> => void (await load(edgeModels[0]));

function load(model: EdgeModel): Promise<TextModel> {
  let loading = loaded.get(model);
  if (!loading) {
    loading = create(model);
    loading.catch(() => loaded.delete(model));
    loaded.set(model, loading);
  }
  return loading;
}

async function create(model: EdgeModel): Promise<TextModel> {
  // The graph is given up when it is loaded, so that its hash comes first.
  const revision = await revisionOf(model);
  const session = await createSession(model.graph);
  const execution = { runtime, provider: 'wasm', threads: 1 };
  return createTextModel({ ...model, session, Tensor, revision, execution });
}
