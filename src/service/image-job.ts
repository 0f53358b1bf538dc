/** A request for images while it is served: the events that its reader has not taken yet, and what is left to draw. */
import type { DrawEvent } from '../api/draw.ts';
import type { Drawing } from './image-messages.ts';

/** Events of one request, ending with `done` or `error`. Leaving it cancels the drawing. */
export type DrawStream = AsyncGenerator<DrawEvent, void>;

export interface Job {
  readonly id: number;
  /** Images that are wanted. */
  readonly n: number;
  readonly seed: number;
  /** Steps of an image, as far as they are known. */
  steps: number;
  /** Is told of each event when it happens. */
  readonly told?: (event: DrawEvent) => void;
  /** Image `index` to draw; absent until what was given with the request is decoded. */
  drawing?: (index: number) => Drawing;
  /** Images that are drawn, and those of them that are not sent. */
  drawn: number;
  withheld: number;
  /** Seconds of drawing. */
  seconds: number;
  /** Where it stands in the line, as it was last told. */
  place: number;
  over: boolean;
  /** When its reader last took an event, in seconds. */
  lastRead: number;
  readonly events: DrawEvent[];
  wake?: () => void;
}

/** Images that may wait for a slow reader before the next is drawn for it: memory is bounded by it. */
const UNREAD_IMAGES = 2;

/** Whether its reader has more images to take than may wait. */
export const hasUnread = ({ events }: Job): boolean =>
  events.filter(({ type }) => type === 'image').length >= UNREAD_IMAGES;

/** Whether the next image may be drawn. */
export const canDraw = (job: Job): boolean => job.drawing !== undefined && !hasUnread(job);

/** Adds an event for the reader. Progress and places that were not read yet give way to newer ones. */
export function tell(job: Job, event: DrawEvent): void {
  const last = job.events.at(-1);
  const passing = event.type === 'progress' || event.type === 'queued';
  if (passing && last?.type === event.type) job.events.pop();
  job.events.push(event);
  job.told?.(event);
  job.wake?.();
}

/**
 * The events of a job for its reader.
 * @param taken is called after an event is taken
 * @param leave is called when the reader leaves, or has the last event
 */
export function streamOf(job: Job, taken: (event: DrawEvent) => void, leave: () => void): DrawStream {
  const events = eventsOf(job, taken, leave);
  // A generator that is left before its first step runs no `finally`: leaving has to cancel even then.
  const { return: leaveEvents } = events;
  events.return = (value) => {
    leave();
    job.wake?.();
    return leaveEvents.call(events, value);
  };
  return events;
}

async function* eventsOf(job: Job, taken: (event: DrawEvent) => void, leave: () => void): DrawStream {
  try {
    for (;;) {
      const event = job.events.shift();
      if (event) {
        taken(event);
        yield event;
        if (event.type === 'done' || event.type === 'error') return;
      } else if (job.over) return;
      else {
        await new Promise<void>((resolve) => {
          job.wake = resolve;
        });
        job.wake = undefined;
      }
    }
  } finally {
    leave();
  }
}
