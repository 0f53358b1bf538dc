/** What the Worker's durable objects are asked for, and the state that they keep. */
import type { Rpc } from '@cloudflare/workers-types';
import type { DrawRequest } from '../../api/draw.ts';
import type { ErrorObject } from '../../api/errors.ts';
import type { Filtered } from '../../api/trace.ts';

/** A message of the queue: which job is to be drawn. Everything else is with the job. */
export interface JobMessage {
  job: string;
}

export type JobStatus = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'expired';

/** An image that a job has drawn; it lies in the job's group of files. */
export interface DrawnFile {
  index: number;
  seed: number;
  format: string;
  width: number;
  height: number;
}

/** How far a drawing is. */
export type JobProgress =
  | { status: 'queued'; place: number; seconds: number }
  | { status: 'running'; index: number; step: number; steps: number };

export interface Job {
  id: string;
  /** Who may see it. */
  caller: string;
  status: JobStatus;
  /** Unix seconds. */
  created: number;
  expiresAt: number;
  /** The group of its files. */
  group: string;
  request: Omit<DrawRequest, 'image' | 'mask'>;
  /** What of an image and a mask lies in its group to begin from. */
  inputs: ('image' | 'mask')[];
  progress?: JobProgress;
  files: DrawnFile[];
  promptTokens: number;
  steps: number;
  seconds?: number;
  error?: ErrorObject['error'];
  /** What the filter did with what was asked for, if anything. */
  filtered?: Filtered[];
}

export type NewJob = Pick<Job, 'id' | 'caller' | 'group' | 'request' | 'inputs' | 'filtered'>;

/** What is left to do of a job, for who draws it. */
export type JobTask = Pick<Job, 'group' | 'request' | 'inputs'>;

/** How a drawing ended. */
export type JobEnd = { seconds: number } | { error: ErrorObject['error'] };

/** A job, as an object of its own. */
export interface JobObject extends Rpc.DurableObjectBranded {
  create(job: NewJob): Promise<Job>;
  /** The job, or undefined if there is none, or not for this caller. */
  read(caller: string): Promise<Job | undefined>;
  /** Ends the job if it has not ended, and says how it stands. */
  cancel(caller: string): Promise<Job | undefined>;
  /** The task, for the one who is first to claim it. */
  claim(): Promise<JobTask | undefined>;
  /** Gives a claimed task back that nothing has been done of. */
  release(): Promise<void>;
  /** A sign of life of who draws. Says whether the drawing is to go on. */
  report(progress?: JobProgress, start?: { promptTokens: number; steps: number }): Promise<boolean>;
  /** An image has been kept. Says whether the drawing is to go on. */
  drawn(file: DrawnFile): Promise<boolean>;
  end(end: JobEnd): Promise<void>;
}

/** Watches over a group of files. */
export interface FilesObject extends Rpc.DurableObjectBranded {
  /** Deletes the group at a time in Unix seconds. */
  keep(group: string, until: number): Promise<void>;
}
