/** Policies from files: none is used whose form is broken or whose examples do not come true. */
import defaultPolicyFile from './default-policy.json' with { type: 'json' };
import { type FilterPiece, filterText, scansFor } from './filter-stream.ts';
import { needsTagger, type Policy, policySchema } from './policy.ts';
import { checkSafety, type Judge } from './safety.ts';
import type { Tagger } from './tag.ts';
import { filterTaggedText } from './tagged-stream.ts';

/** A policy that does not load: its message says where and why. */
export class PolicyError extends Error {
  override name = 'PolicyError';
}

/**
 * Reads a policy and makes sure that its examples come true, but for those that need a tagger (`proveTagged`).
 * @param policy what a policy file holds, parsed or as text
 * @throws PolicyError if it is no JSON, has not the form of a policy, or an example does not come true
 */
export function loadPolicy(policy: unknown): Policy {
  const parsed = policySchema.safeParse(typeof policy === 'string' ? parseJson(policy) : policy);
  if (!parsed.success) {
    const [{ path, message }] = parsed.error.issues;
    throw new PolicyError(`The policy is broken at ${path.join('.') || 'its top'}: ${message}.`);
  }
  for (const [i, { text, direction, key }] of parsed.data.examples.entries()) {
    if (needsTagger(parsed.data, direction, key)) continue;
    const options = { key, secret: 'example', scans: scansFor(parsed.data, direction, key) };
    proveExample(parsed.data, i, filterText(text, parsed.data, direction, options));
  }
  return parsed.data;
}

/**
 * Makes sure that the examples come true in which names and addresses matter. They need a tagger, so that `loadPolicy`
 * leaves them.
 * @throws PolicyError naming the first that does not
 */
export async function proveTagged(policy: Policy, tagger: Tagger): Promise<void> {
  for (const [i, { text, direction, key }] of policy.examples.entries()) {
    if (!needsTagger(policy, direction, key)) continue;
    const options = { key, secret: 'example' };
    proveExample(policy, i, await filterTaggedText(text, policy, direction, tagger, options));
  }
}

function proveExample({ name, examples }: Policy, i: number, result: FilterPiece): void {
  const { gives, refused } = examples[i];
  const which = `Example ${i + 1} of the policy "${name}" does not come true`;
  if (result.refused?.type !== refused)
    throw new PolicyError(
      `${which}: it is refused for ${result.refused?.type ?? 'nothing'}, not for ${refused ?? 'nothing'}.`,
    );
  if (result.text !== gives)
    throw new PolicyError(`${which}: it gives ${JSON.stringify(result.text)}, not ${JSON.stringify(gives)}.`);
}

/**
 * Makes sure that the examples of a policy's part on safety come true. They need a judge, so that `loadPolicy` leaves them.
 * @throws PolicyError naming the first that does not
 */
export async function proveSafety({ name, safety }: Policy, judge: Judge): Promise<void> {
  for (const [i, { text, flagged = [], refused, ...scope }] of (safety?.examples ?? []).entries()) {
    const verdict = await checkSafety(text, safety, scope, judge);
    const which = `Example ${i + 1} of \`safety\` in the policy "${name}" does not come true`;
    const why = verdict.refused && (verdict.refused.category ?? 'a check that failed');
    if (why !== refused)
      throw new PolicyError(
        `${which}: it is refused for ${why ?? 'nothing'}, not for ${refused ?? 'nothing'}.`,
      );
    const missing = flagged.find((category) => !verdict.told.includes(category));
    if (missing) throw new PolicyError(`${which}: ${missing} is not told of it.`);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new PolicyError(`The policy is not JSON: ${(error as Error).message}.`, { cause: error });
  }
}

let loaded: Policy | undefined;
/** The policy where the owner of a site names none. */
export function defaultPolicy(): Policy {
  loaded ??= loadPolicy(defaultPolicyFile);
  return loaded;
}
