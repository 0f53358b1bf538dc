/** Drawings in the background: asked for with `?async=1`, looked after at `/v1/jobs/ID`. */
import { type ImageRequest, imageUsage } from '../../api/images.ts';
import { wickPart } from '../../api/trace.ts';
import { type EdgeContext, serviceAccess } from '../context.ts';
import { Failure } from '../failure.ts';
import type { AnswerHead } from './answers.ts';
import { imageModel } from './drawing.ts';
import { deleteGroup, imageUrl, inputKey, newName } from './files.ts';
import { sha256 } from './hash.ts';
import type { Job } from './objects.ts';

/** Takes a request as a job and answers 202 with how to follow it. */
export async function submitJob(
  c: EdgeContext,
  { model, prompt, parameters, stream, delivery }: ImageRequest,
  inputs: { image?: Uint8Array; mask?: Uint8Array },
  { wick }: AnswerHead['own'],
): Promise<Response> {
  if (stream || delivery === 'b64_json') {
    const param = stream ? 'stream' : 'response_format';
    throw new Failure(
      'invalid_value',
      `\`${param}\` is not for a job, whose images are had by their addresses later.`,
      {
        param,
      },
    );
  }
  const { id: chosen } = await imageModel(serviceAccess(c), model, c.req.raw.signal);
  const id = `job_${newName()}`;
  const group = newName();
  const names = (['image', 'mask'] as const).filter((name) => inputs[name]);
  const job = jobObject(c, id);
  // The job is there before its files, so that it takes them with it if nothing comes of them.
  const created = await job.create({
    id,
    caller: await callerOf(c),
    group,
    request: { model: chosen, prompt, parameters },
    inputs: names,
    filtered: wick?.filtered,
  });
  try {
    for (const name of names) await c.env.IMAGES.put(inputKey(group, name), inputs[name]!);
    await c.env.DRAWINGS.send({ job: id });
  } catch (thrown) {
    await job.cancel(created.caller);
    await deleteGroup(c.env.IMAGES, group);
    throw thrown;
  }
  c.header('location', `/v1/jobs/${id}`);
  return answerJob(c, created, 202);
}

/** `GET /v1/jobs/:id` */
export async function readJob(c: EdgeContext): Promise<Response> {
  const id = c.req.param('id')!;
  return answerJob(c, isJobId(id) ? await jobObject(c, id).read(await callerOf(c)) : undefined);
}

/** `DELETE /v1/jobs/:id` */
export async function cancelJob(c: EdgeContext): Promise<Response> {
  const id = c.req.param('id')!;
  return answerJob(c, isJobId(id) ? await jobObject(c, id).cancel(await callerOf(c)) : undefined);
}

const isJobId = (id: string): boolean => /^job_[0-9a-f]{32}$/.test(id);

const jobObject = (c: EdgeContext, id: string) => c.env.IMAGE_JOBS.get(c.env.IMAGE_JOBS.idFromName(id));

/** Who asks, as a hash: of the key that comes along, or of the address where none does. */
async function callerOf(c: EdgeContext): Promise<string> {
  const key = c.req.header('authorization');
  const who = key ? `key ${key}` : `address ${c.req.header('cf-connecting-ip') ?? ''}`;
  return sha256(who);
}

async function answerJob(c: EdgeContext, job: Job | undefined, status: 200 | 202 = 200): Promise<Response> {
  if (!job) throw new Failure('job_not_found', 'There is no such job.', { param: 'id' });
  c.header('cache-control', 'no-store');
  return c.json(await shown(c, job), status);
}

/** A job as its caller sees it. */
async function shown(c: EdgeContext, job: Job): Promise<object> {
  const { id, status, created, expiresAt, request, files, progress, filtered } = job;
  const { n = 1, output_format } = request.parameters;
  const head = {
    ...{ id, object: 'image.job', status, created, expires_at: expiresAt, model: request.model, n },
    ...wickPart({ filtered }),
  };
  if (status === 'queued') {
    const { place, seconds } = progress?.status === 'queued' ? progress : { place: null, seconds: null };
    return { ...head, place, seconds };
  }
  if (status === 'running') {
    const { index, step, steps } =
      progress?.status === 'running' ? progress : { index: files.length, step: 0, steps: job.steps };
    return { ...head, image_index: index, step, steps, images: files.length };
  }
  if (status === 'failed') return { ...head, error: job.error };
  if (status !== 'succeeded') return head;
  const { origin } = new URL(c.req.url);
  const { secret } = serviceAccess(c)!;
  const data = files.map(async (file) => ({
    url: await imageUrl(origin, secret, job.group, file, expiresAt),
    seed: file.seed,
  }));
  return {
    ...head,
    output_format,
    size: files[0] && `${files[0].width}x${files[0].height}`,
    data: await Promise.all(data),
    usage: imageUsage(job.promptTokens, files.length, job.steps, job.seconds),
  };
}
