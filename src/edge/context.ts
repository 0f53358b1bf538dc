/** What the Worker's handlers are given. */
import type { DurableObjectNamespace, Queue, R2Bucket } from '@cloudflare/workers-types';
import type { Context } from 'hono';
import type { FilesObject, JobMessage, JobObject } from './images/objects.ts';
import type { ResponseStore } from './openai-responses/object.ts';
import type { ServiceAccess } from './service.ts';

/** The Worker's environment. */
export interface Bindings {
  /** Where the service listens. Without it the Worker has the models of the edge alone. */
  WICK_SERVICE_URL?: string;
  /** What the edge and the service sign with. */
  WICK_SECRET?: string;
  /** What may go in and come out: the JSON of a policy. The default policy where nothing is said. */
  WICK_POLICY?: string;
  /** Seconds for which images that are kept, and jobs that have ended, can be had: an hour where nothing is said. */
  WICK_IMAGE_LIFE?: string;
  /** Seconds for which responses can be read and gone on from: a day where nothing is said. */
  WICK_RESPONSE_LIFE?: string;
  /** Seconds without a sign of life after which a job that was being drawn has failed. */
  WICK_JOB_PATIENCE?: string;
  /** Seconds for which a reader may take nothing of an answer before it is given up: 20 where nothing is said. */
  WICK_READER_PATIENCE?: string;
  /** Images handed over by their address, and what jobs begin from. */
  IMAGES: R2Bucket;
  /** Deletes a group of images when its time is over. */
  IMAGE_FILES: DurableObjectNamespace<FilesObject>;
  /** One object for each job. */
  IMAGE_JOBS: DurableObjectNamespace<JobObject>;
  DRAWINGS: Queue<JobMessage>;
  /** One object for each response that is kept. */
  RESPONSES: DurableObjectNamespace<ResponseStore>;
}

export interface EdgeEnv {
  Bindings: Bindings;
  Variables: {
    requestId: string;
    /** When the request came, by `Date.now()`. */
    came: number;
    /** Whether the route is one for people, who are told of a failure in a sentence alone. */
    forPeople?: boolean;
  };
}

export type EdgeContext = Context<EdgeEnv>;

/** The service behind this Worker, or undefined if there is none. */
export function serviceAccess(c: EdgeContext): ServiceAccess | undefined {
  const access = serviceAccessOf(c.env);
  return access && { ...access, requestId: c.get('requestId') };
}

/** The service behind a Worker with this environment, or undefined if there is none. */
export function serviceAccessOf(env: Bindings): ServiceAccess | undefined {
  const { WICK_SERVICE_URL: url, WICK_SECRET: secret } = env;
  if (!url) return undefined;
  if (!secret)
    throw new Error('WICK_SERVICE_URL is set without WICK_SECRET, with which the edge signs what it asks.');
  return { url, secret };
}
