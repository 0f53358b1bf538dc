/** The line before one image model: one image is drawn at a time, and requests take turns image by image. */
import type { DrawEvent } from '../api/draw.ts';
import { Failure } from '../api/errors.ts';
import { canDraw, type DrawStream, hasUnread, type Job, streamOf, tell } from './image-job.ts';
import type { Drawing, FromImageWorker } from './image-messages.ts';

type WorkerEvent = Extract<FromImageWorker, { type: 'event' }>['event'];

export interface ImageQueueOptions {
  /** Requests that wait, besides the one that is drawn. */
  maxQueue: number;
  draw: (id: number, drawing: Drawing) => void;
  cancel: (id: number) => void;
  /** Nothing is drawn any more. */
  idle?: () => void;
}

export interface ImageQueue {
  load(): { running: number; queued: number; seconds_per_image: number };
  /** Takes a request in, or says in how many seconds to come again. */
  admit(
    request: Pick<Job, 'n' | 'seed' | 'steps'>,
    told?: Job['told'],
  ): { job: Job; events: DrawStream } | { retryAfter: number };
  /** What was given with a job is decoded: it takes part from now on. */
  prepared(job: Job, drawing: NonNullable<Job['drawing']>): void;
  fail(job: Job, event: WorkerEvent): void;
  /** An event of the drawing `id`, or undefined when it was cancelled. */
  receive(id: number, event: WorkerEvent | undefined): void;
  /** Whether there is a thread that draws. Without one, what was being drawn fails with `event`. */
  setReady(ready: boolean, event?: WorkerEvent): void;
  /** Whether no more is begun, though there is a thread. */
  hold(on: boolean): void;
  failAll(event: WorkerEvent): void;
}

/** Seconds per image until one was drawn. */
const FIRST_GUESS = 10;
/** Seconds in which a reader takes no event while images wait for it; then its place goes to who needs it. */
const PATIENCE = 120;

const notRead = new Failure('not_read', 'The images were not read, so that no more were drawn.').event;

const nothingSent = new Failure(
  'content_policy_violation',
  'A safety checker objects to what was drawn, so that it is not sent. Another prompt or seed may do.',
  { param: 'prompt' },
).event;

const lastEventOf = ({ n, withheld, seconds }: Job): DrawEvent =>
  withheld === n
    ? nothingSent
    : { type: 'done', images: n - withheld, seconds: Math.round(1000 * seconds) / 1000 };

export function createImageQueue({ maxQueue, draw, cancel, idle = () => {} }: ImageQueueOptions): ImageQueue {
  const jobs = new Set<Job>();
  /** Jobs with images to draw, but for the one that is drawn: the first comes next. */
  const line: Job[] = [];
  let current: { id: number; job: Job; began: number } | undefined;
  let [ready, held, nextId, mean] = [false, false, 1, undefined as number | undefined];

  const perImage = () => mean ?? FIRST_GUESS;
  const now = () => performance.now() / 1000;

  function advance(): void {
    if (ready && !held && !current) {
      const at = line.findIndex(canDraw);
      if (at >= 0) begin(line.splice(at, 1)[0]);
    }
    if (!current) idle();
    tellPlaces();
  }

  function begin(job: Job): void {
    if (job.drawn === 0) tell(job, { type: 'start', steps: job.steps, n: job.n, seed: job.seed });
    current = { id: nextId++, job, began: now() };
    draw(current.id, job.drawing!(job.drawn));
  }

  function tellPlaces(): void {
    const rest = current ? Math.max(0, perImage() - (now() - current.began)) : 0;
    for (const [index, job] of line.entries()) {
      if (job.drawn > 0 || job.place === index + 1) continue;
      job.place = index + 1;
      tell(job, {
        type: 'queued',
        place: job.place,
        seconds: Math.round(10 * (rest + index * perImage())) / 10,
      });
    }
  }

  function end(job: Job, event?: DrawEvent): void {
    if (job.over) return;
    job.over = true;
    jobs.delete(job);
    const at = line.indexOf(job);
    if (at >= 0) line.splice(at, 1);
    // Its place is taken by the next only when the thread says that it has stopped.
    if (current?.job === job && !event) cancel(current.id);
    if (event) tell(job, event);
    job.wake?.();
  }

  function receive(id: number, event: WorkerEvent | undefined): void {
    if (current?.id !== id) return;
    const { job, began } = current;
    if (event?.type === 'progress' || event?.type === 'partial') {
      if (!job.over) tell(job, event);
      return;
    }
    current = undefined;
    const seconds = now() - began;
    job.seconds += seconds;
    if (event?.type === 'image' || event?.type === 'withheld') {
      mean = mean === undefined ? seconds : mean + (seconds - mean) / 4;
      job.drawn++;
      if (event.type === 'withheld') job.withheld++;
      if (!job.over) {
        tell(job, event);
        if (job.drawn < job.n) line.push(job);
        else end(job, lastEventOf(job));
      }
    } else if (event) end(job, event);
    advance();
  }

  return {
    load: () => ({
      running: current ? 1 : 0,
      queued: jobs.size - (current && !current.job.over ? 1 : 0),
      seconds_per_image: Math.round(100 * (mean ?? 0)) / 100,
    }),
    admit(request, told) {
      if (jobs.size > maxQueue) {
        const stalled = line.filter((job) => hasUnread(job) && now() - job.lastRead > PATIENCE);
        for (const job of stalled) end(job, notRead);
      }
      if (jobs.size > maxQueue) {
        // The request with the fewest images left is the first to leave, after as many rounds.
        const rounds = Math.min(...[...jobs].map(({ n, drawn }) => n - drawn));
        return { retryAfter: Math.max(1, Math.min(3600, Math.ceil(perImage() * jobs.size * rounds))) };
      }
      const job: Job = {
        ...request,
        told,
        id: nextId++,
        drawn: 0,
        withheld: 0,
        seconds: 0,
        place: 0,
        over: false,
        lastRead: now(),
        events: [],
      };
      jobs.add(job);
      line.push(job);
      const events = streamOf(
        job,
        ({ type }) => {
          job.lastRead = now();
          if (type === 'image') advance();
        },
        () => {
          if (job.over) return;
          end(job);
          advance();
        },
      );
      return { job, events };
    },
    prepared(job, drawing) {
      if (job.over) return;
      job.drawing = drawing;
      advance();
    },
    fail(job, event) {
      end(job, event);
      advance();
    },
    receive,
    setReady(value, event) {
      ready = value;
      const lost = current?.job;
      if (!ready) current = undefined;
      if (lost && event) end(lost, event);
      advance();
    },
    hold(on) {
      held = on;
      advance();
    },
    failAll(event) {
      for (const job of [...jobs]) end(job, event);
    },
  };
}
