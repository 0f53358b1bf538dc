/**
 * What a generation tells of itself on the wire: how long its parts took, and, where it was asked for, how each token
 * came about. wick's own; `generation/trace.ts` says what each field means.
 */
import { z } from 'zod';
import { BadRequest } from './errors.ts';
import { whole } from './parameters.ts';

/** What a request may say of its trace. */
export const traceOptions = z.strictObject({
  /** Candidates after each step of the sampler. */
  candidates: whole(0, 20),
});
export type TraceOptions = z.infer<typeof traceOptions>;

/** Candidates where a request asks for its trace and says no number. */
const TRACE_CANDIDATES = 5;

/** What a request says of it, on every route that writes: whether it is traced, and of how many candidates it is told. */
export const traceFields = {
  trace: z.boolean().optional(),
  trace_candidates: traceOptions.shape.candidates.optional(),
};
type TraceFields = z.infer<z.ZodObject<typeof traceFields>>;

/**
 * What is traced, and undefined where nothing is.
 * @throws BadRequest for candidates of no trace
 */
export function traceOf({ trace, trace_candidates }: TraceFields): TraceOptions | undefined {
  if (trace) return { candidates: trace_candidates ?? TRACE_CANDIDATES };
  if (trace_candidates === undefined) return undefined;
  throw new BadRequest('`trace_candidates` needs `trace` to be true.', { param: 'trace_candidates' });
}

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
  id: id.nullable().describe('Null where it is masked.'),
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

export type FilterTrace = RequestTrace['filters'][number];

/** What a filter has done: never what was found. */
export const filtered = z.object({
  type: z.string().describe('Of what was found.'),
  direction: z.enum(['input', 'output']).describe('In what was sent, or in the answer.'),
  action: z.enum(['allow', 'replace', 'hash', 'mask', 'refuse']),
  count: z.number().int().min(1),
});
export type Filtered = z.infer<typeof filtered>;

const placement = z.enum(['edge', 'service']);

/** wick's own part of an answer. */
export const wickAnswer = z
  .object({
    placement: placement.optional(),
    fallback: z.boolean().optional(),
    timings: timings.optional().describe('Milliseconds, measured where the work was done.'),
    trace: requestTrace.optional(),
    filtered: z.array(filtered).optional().describe('What the filter has found, and what it did.'),
    reading_level: z
      .number()
      .optional()
      .describe('The school year at which the answer is understood, where the request sets a limit.'),
  })
  .describe(
    "wick's own: who answered, where that was not who was asked; how long it took; its trace; what was filtered; how hard it is to read.",
  );
/** The same of an answer with one choice, which has the trace of its tokens here. */
export const wickAnswerOfOne = wickAnswer.extend({
  tokens: z.array(tokenTrace).optional().describe('With `trace`: how each token came about.'),
});
/** The same where nothing is told but what was filtered. */
export const wickFiltered = wickAnswer.pick({ filtered: true });
export type WickAnswer = z.infer<typeof wickAnswerOfOne>;
/** The same in an event of it: how the tokens of this event came about. */
export const wickEventOfOne = wickAnswerOfOne.pick({ tokens: true }).optional();

/** That part of an answer, where there is something to say in it. */
export function wickPart(given: WickAnswer): { wick?: WickAnswer } {
  const { placement, fallback, timings, trace, tokens, filtered, reading_level } = given;
  const said = { placement, fallback, timings, trace, tokens, filtered, reading_level };
  const part = Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined));
  return Object.keys(part).length > 0 ? { wick: part } : {};
}
