/**
 * What a generation tells of itself on the wire: how long its parts took, and, where it was asked for, how each token
 * came about. wick's own; `generation/trace.ts` says what each field means.
 */
import { z } from 'zod';
import { whole } from './parameters.ts';

/** What a request may say of its trace. */
export const traceOptions = z.strictObject({
  /** Candidates after each step of the sampler. */
  candidates: whole(0, 20),
});
export type TraceOptions = z.infer<typeof traceOptions>;

/** Candidates where a request asks for its trace and says no number. */
export const TRACE_CANDIDATES = 5;

const id = z.number().int().min(0);
const milliseconds = z.number();

export const timings = z.object({
  queue: milliseconds,
  tokenize: milliseconds,
  prefill: milliseconds,
  first_token: milliseconds,
  total: milliseconds,
  cached: z.number().int().optional(),
  proposed: z.number().int().optional(),
  accepted: z.number().int().optional(),
});
/** Milliseconds, but for what is in tokens, measured where the work was done. */
export type Timings = z.infer<typeof timings>;

const candidate = z.object({ id, text: z.string(), probability: z.number() });
export const tokenTrace = z.object({
  id,
  text: z.string(),
  rank: z.number().int(),
  entropy: z.number(),
  milliseconds,
  steps: z.array(
    z.object({
      name: z.string(),
      left: z.number().int(),
      taken: z.number(),
      candidates: z.array(candidate),
    }),
  ),
});
/** How a token came about. */
export type TokenTrace = z.infer<typeof tokenTrace>;

export const requestTrace = z.object({
  model: z.string(),
  revision: z.string(),
  prompt: z.array(z.object({ id, text: z.string() })),
  parameters: z.record(z.string(), z.unknown()),
  filters: z.array(
    z.object({ name: z.string(), on: z.enum(['prompt', 'answer']), action: z.string(), milliseconds }),
  ),
  ran: z.object({ place: z.string(), runtime: z.string(), provider: z.string(), threads: z.number() }),
  timings,
  whole: z.boolean(),
});
/** What an answer as a whole was made with: enough to make it again. */
export type RequestTrace = z.infer<typeof requestTrace>;
