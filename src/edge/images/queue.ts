/** The consumer of the queue: draws jobs, keeps their images, and tells each job how it goes. */
import type { Message, MessageBatch } from '@cloudflare/workers-types';
import type { DrawRequest } from '../../api/draw.ts';
import { type Bindings, serviceAccessOf } from '../context.ts';
import { Failure, toFailure } from '../failure.ts';
import { ServiceDown } from '../service.ts';
import { encodeBase64 } from './base64.ts';
import { collectImages } from './collect.ts';
import { draw } from './drawing.ts';
import { deleteGroup, inputKey, putImage } from './files.ts';
import type { JobMessage, JobProgress, JobTask } from './objects.ts';

/** How often a busy or absent service is asked again, and milliseconds between two reports to the job. */
const attempts = 20;
const reporting = 1_000;
/** Milliseconds: the runtime ends a consumer after a quarter of an hour without a word, so this one ends before. */
const longest = 14 * 60_000;

/** Draws what the messages of a batch ask for. */
export async function drawJobs(batch: MessageBatch<JobMessage>, env: Bindings): Promise<void> {
  for (const message of batch.messages) await drawJob(message, env);
}

async function drawJob(message: Message<JobMessage>, env: Bindings): Promise<void> {
  const { job: id } = message.body;
  const job = env.IMAGE_JOBS.get(env.IMAGE_JOBS.idFromName(id));
  // A message that comes again finds the job claimed: either it is being drawn, or its deadline ends it.
  const task = await job.claim();
  if (!task) return message.ack();
  let begun = false;
  try {
    const access = serviceAccessOf(env);
    if (!access) throw new ServiceDown('This Worker has no service behind it, and images are drawn there.');
    const request = await requestOf(task, env);
    const events = collectImages(draw(access, request, AbortSignal.timeout(longest)));
    let last = 0;
    let steps = 0;
    let progress: JobProgress | undefined;
    for await (const event of events) {
      let goesOn = true;
      if (event.type === 'start') {
        begun = true;
        steps = event.steps;
        progress = { status: 'running', index: 0, step: 0, steps };
        goesOn = await job.report(progress, { promptTokens: event.prompt_tokens ?? 0, steps });
      } else if (event.type === 'image') {
        const { type, bytes, ...file } = event;
        await putImage(env.IMAGES, task.group, event);
        goesOn = await job.drawn(file);
        if (!goesOn) await deleteGroup(env.IMAGES, task.group);
      } else if (event.type === 'done') {
        await job.end({ seconds: event.seconds });
      } else {
        if (event.type === 'queued')
          progress = { status: 'queued', place: event.place, seconds: event.seconds };
        if (event.type === 'progress')
          progress = { status: 'running', index: event.index, step: event.step, steps: event.steps };
        if (Date.now() - last < reporting) continue;
        last = Date.now();
        goesOn = await job.report(progress);
      }
      // Leaving the loop ends the drawing on the service.
      if (!goesOn) break;
    }
    message.ack();
  } catch (thrown) {
    if (thrown instanceof ServiceDown && !begun && message.attempts < attempts) {
      await job.release();
      return message.retry({ delaySeconds: Math.min(thrown.retryAfter ?? 5, 600) });
    }
    await job.end({ error: failureOf(thrown, id).body.error });
    message.ack();
  }
}

function failureOf(thrown: unknown, id: string): Failure {
  if (thrown instanceof DOMException && thrown.name === 'TimeoutError') {
    return new Failure(
      'job_too_long',
      'This job took longer than a job may take. Ask for fewer images or steps.',
    );
  }
  return toFailure(thrown, id);
}

async function requestOf({ group, request, inputs }: JobTask, env: Bindings): Promise<DrawRequest> {
  const files = inputs.map(async (name) => {
    const file = await env.IMAGES.get(inputKey(group, name));
    if (!file) throw new Error(`The ${name} of the job is gone.`);
    return [name, encodeBase64(new Uint8Array(await file.arrayBuffer()))] as const;
  });
  return { ...request, ...Object.fromEntries(await Promise.all(files)) };
}
