/**
 * Parameters of OpenAI's that say nothing about the text itself, each decided: taken where doing nothing more with it
 * is what it asks for, refused by name where it is not.
 */
import { z } from 'zod';

/** A name that the caller gives something; wick does nothing by it. */
const identifier = z.string().max(512, 'expected at most 512 characters');

export const metadata = z
  .record(
    z.string().max(64, 'expected names of at most 64 characters'),
    z.string('expected texts').max(512, 'expected texts of at most 512 characters'),
  )
  .refine((pairs) => Object.keys(pairs).length <= 16, 'expected at most 16 pairs');

/** Who asks, and what they write beside it. */
export const callerParameters = {
  user: identifier.optional(),
  safety_identifier: identifier.optional(),
  metadata: metadata.optional(),
};

/** Of these one value is what wick does, and any other is refused. */
export const inertParameters = {
  ...callerParameters,
  store: z.literal(false, 'expected false: wick keeps no answers that are asked for here').optional(),
  service_tier: z.enum(['auto', 'default'], 'expected "auto" or "default": all are served alike').optional(),
  modalities: z
    .array(z.literal('text', 'expected "text": wick writes alone'))
    .length(1, 'expected ["text"]: wick writes alone')
    .optional(),
  /** How caches are used: nothing is kept of one request for another. */
  prompt_cache_key: identifier.optional(),
  prompt_cache_retention: z.enum(['in_memory', 'in-memory', '24h']).optional(),
  reasoning_effort: z
    .literal('none', 'expected "none": these models write without thinking first')
    .optional(),
  verbosity: z
    .literal('medium', 'expected "medium": these models know one way to answer, and max_tokens ends it')
    .optional(),
};

const notServed = 'is a parameter that wick does not serve';

/** What is refused, with the end of the sentence that says so. */
export const unservedParameters: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [...['functions', 'function_call', 'tools', 'tool_choice'], ...['parallel_tool_calls']].map((name) => [
      name,
      notServed,
    ]),
  ),
  audio: `${notServed}: it answers in text alone`,
  prediction: `${notServed}: a text that is expected makes nothing faster here`,
  web_search_options: `${notServed}: its models read nothing but the request`,
  moderation: notServed,
};
