/** The durable object of a job: its state from the asking until it is forgotten. */
import { DurableObject } from 'cloudflare:workers';
import { Failure } from '../../api/errors.ts';
import type { Bindings } from '../context.ts';
import { deleteGroup, imageLife, inputKey } from './files.ts';
import type { DrawnFile, Job, JobEnd, JobObject, JobProgress, JobTask, NewJob } from './objects.ts';

/** Seconds: in the line, without a sign of life while claimed, and for which an expired job is known as one. */
const patience = { line: 1800, silence: 120, memory: 86_400 };

interface Kept extends Job {
  claimed: boolean;
  /** When something was last heard of it, in Unix seconds. */
  heard: number;
}

const now = () => Date.now() / 1000;
const isActive = ({ status }: Job) => status === 'queued' || status === 'running';

export class ImageJob extends DurableObject<Bindings> implements JobObject {
  async create(job: NewJob): Promise<Job> {
    const created = Math.floor(now());
    const kept: Kept = {
      ...job,
      status: 'queued',
      created,
      // Of a job that has not ended, the latest that it can be: the line, the drawing, and the life of its images.
      expiresAt: created + patience.line + imageLife(this.env),
      files: [],
      promptTokens: 0,
      steps: 0,
      claimed: false,
      heard: now(),
    };
    await this.#keep(kept);
    await this.#setAlarm(kept);
    return told(kept);
  }

  async read(caller: string): Promise<Job | undefined> {
    const job = await this.#job();
    return job && job.caller === caller ? told(job) : undefined;
  }

  async cancel(caller: string): Promise<Job | undefined> {
    const job = await this.#job();
    if (!job || job.caller !== caller) return undefined;
    if (isActive(job)) {
      await this.#end({ ...job, status: 'cancelled', files: [] });
      await deleteGroup(this.env.IMAGES, job.group);
    }
    return told((await this.#job())!);
  }

  async claim(): Promise<JobTask | undefined> {
    const job = await this.#job();
    if (job?.status !== 'queued' || job.claimed) return undefined;
    const claimed = { ...job, claimed: true, heard: now() };
    await this.#keep(claimed);
    await this.#setAlarm(claimed);
    return { group: job.group, request: job.request, inputs: job.inputs };
  }

  async release(): Promise<void> {
    const job = await this.#job();
    if (!job || !isActive(job)) return;
    await this.#keep({ ...job, status: 'queued', progress: undefined, claimed: false, heard: now() });
  }

  async report(progress?: JobProgress, start?: { promptTokens: number; steps: number }): Promise<boolean> {
    const job = await this.#job();
    if (!job || !isActive(job)) return false;
    const status = progress?.status ?? (start ? 'running' : job.status);
    await this.#keep({ ...job, ...start, status, progress: progress ?? job.progress, heard: now() });
    return true;
  }

  async drawn(file: DrawnFile): Promise<boolean> {
    const job = await this.#job();
    if (!job || !isActive(job)) return false;
    await this.#keep({ ...job, status: 'running', files: [...job.files, file], heard: now() });
    return true;
  }

  async end(end: JobEnd): Promise<void> {
    const job = await this.#job();
    if (!job || !isActive(job)) return;
    await this.#end({ ...job, status: 'error' in end ? 'failed' : 'succeeded', ...end });
  }

  /** Called by the runtime when something may be due. */
  async alarm(): Promise<void> {
    const job = await this.#job();
    if (!job) return;
    if (now() < this.#due(job)) return this.#setAlarm(job);
    if (isActive(job)) {
      const why = job.claimed
        ? 'What drew this job broke off without a word. Ask for it again.'
        : 'Nothing could draw this job for a long time. Ask for it again later.';
      const { error } = new Failure(job.claimed ? 'job_broke_off' : 'job_not_drawn', why).body;
      await this.#end({ ...job, status: 'failed', error });
    } else if (job.status === 'expired') {
      await this.ctx.storage.deleteAll();
    } else {
      await deleteGroup(this.env.IMAGES, job.group);
      const expired: Kept = { ...job, status: 'expired', files: [], error: undefined };
      await this.#keep(expired);
      await this.#setAlarm(expired);
    }
  }

  /** When a job has to be looked at again, in Unix seconds. */
  #due(job: Kept): number {
    if (job.status === 'expired') return job.expiresAt + patience.memory;
    if (!isActive(job)) return job.expiresAt;
    if (!job.claimed) return job.created + patience.line;
    return job.heard + (Number(this.env.WICK_JOB_PATIENCE) || patience.silence);
  }

  async #end(job: Kept): Promise<void> {
    const ended = { ...job, progress: undefined, expiresAt: Math.floor(now()) + imageLife(this.env) };
    await this.#keep(ended);
    await this.#setAlarm(ended);
    if (job.inputs.length > 0)
      await this.env.IMAGES.delete(job.inputs.map((name) => inputKey(job.group, name)));
  }

  async #job(): Promise<Kept | undefined> {
    return this.ctx.storage.get<Kept>('job');
  }

  async #keep(job: Kept): Promise<void> {
    await this.ctx.storage.put('job', job);
  }

  async #setAlarm(job: Kept): Promise<void> {
    await this.ctx.storage.setAlarm(Math.max(this.#due(job), now()) * 1000 + 1);
  }
}

/** What others are told of a job. */
function told({ claimed, heard, ...job }: Kept): Job {
  return job;
}
