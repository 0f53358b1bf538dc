/** What is done about what is found: data that a site owner writes. */
import { z } from 'zod';
import { groupOf, taggedTypes, types } from './detectors.ts';
import { answerForm } from './form/answer-form.ts';
import { safetySchema } from './safety.ts';

export const actions = ['allow', 'replace', 'hash', 'mask', 'refuse'] as const;
/**
 * What happens to an entity, from the mildest to the strictest: it stays; a placeholder stands for it, the same for the
 * same value (`[EMAIL_1]`); its keyed hash does; a star does for each of its characters; the text ends before it.
 */
export type Action = (typeof actions)[number];

/** Of what a person or program sends, or of what a model answers. */
export type Direction = 'input' | 'output';

const names = [...types, ...new Set(groupOf.values()), '*'];
const unknown = ({ input }: { input?: unknown }) =>
  `${JSON.stringify(input)} is no type of entity. There is: ${names.join(', ')}`;
const direction = z.enum(['input', 'output']);
const score = z.number().min(0).max(1);

const ruleSchema = z.strictObject({
  /** Types of entities, their groups, or `*` for all. */
  entities: z.array(z.enum(names, { error: unknown })).min(1),
  action: z.enum(actions),
  /** Both, if it names none. */
  directions: z.array(direction).min(1).optional(),
  /** The callers whose keys these are, by their names in `callers`; all, if it names none. */
  keys: z.array(z.string().min(1)).min(1).optional(),
  /** Less sure than this is left alone; else the policy's. */
  min_score: score.optional(),
});

const exampleSchema = z.strictObject({
  text: z.string(),
  direction,
  key: z.string().optional(),
  /** What has to come out. */
  gives: z.string(),
  /** The type for which it has to be refused; nothing may be, if it names none. */
  refused: z.enum(types, { error: unknown }).optional(),
});

const form = z.strictObject({
  version: z.literal(1),
  name: z.string().min(1),
  description: z.string().optional(),
  /** Who has a key, by the name that rules have: the SHA-256 of the key, in hexadecimal digits. */
  callers: z
    .record(
      z.string().min(1),
      z
        .string()
        .regex(/^[\da-f]{64}$/i, 'expected the SHA-256 of a key, 64 hexadecimal digits')
        .toLowerCase(),
    )
    .default({}),
  /** How sure a finding has to be, 0 to 1. */
  min_score: score.default(0.5),
  /** How long the checks of 100,000 units of text may take, or of a shorter piece, in milliseconds; longer, and it is refused. */
  time_limit_ms: z.number().int().min(1).max(60_000).default(5000),
  rules: z.array(ruleSchema).min(1),
  /** What is done about what a text means; without it nothing is. */
  safety: safetySchema.optional(),
  /** The form of answers where a request says none of its own. */
  answers: answerForm.default({}),
  /** Tested whenever the policy is loaded. */
  examples: z.array(exampleSchema).min(1),
});

/** The form of a policy file. The first rule for an entity, direction and key decides; without one it is allowed. */
export const policySchema = form.superRefine(({ callers, rules, examples, safety }, context) => {
  const known = (name: string, ...path: (string | number)[]) => {
    if (Object.hasOwn(callers, name)) return;
    const message = `there is no caller ${JSON.stringify(name)} in \`callers\``;
    context.addIssue({ code: 'custom', message, path });
  };
  const names = new Map<string, string>();
  for (const [name, hash] of Object.entries(callers)) {
    const other = names.get(hash);
    if (other !== undefined) {
      const message = `the key is that of ${JSON.stringify(other)}`;
      context.addIssue({ code: 'custom', message, path: ['callers', name] });
    }
    names.set(hash, name);
  }
  const all = (place: string[], part: { rules: { keys?: string[] }[]; examples: { key?: string }[] }) => {
    for (const [i, { keys = [] }] of part.rules.entries())
      for (const [j, name] of keys.entries()) known(name, ...place, 'rules', i, 'keys', j);
    for (const [i, { key }] of part.examples.entries())
      if (key !== undefined) known(key, ...place, 'examples', i, 'key');
  };
  all([], { rules, examples });
  if (safety) all(['safety'], safety);
});
export type Policy = Readonly<z.infer<typeof policySchema>>;

export interface Decision {
  action: Action;
  minScore: number;
}

/** What a policy does about each type, for one direction and key. */
export function decisionsOf(policy: Policy, direction: Direction, key?: string): (type: string) => Decision {
  const rules = policy.rules.filter(
    ({ directions, keys }) =>
      (directions?.includes(direction) ?? true) &&
      (keys === undefined || (key !== undefined && keys.includes(key))),
  );
  const decisions = new Map<string, Decision>();
  return (type) => {
    let decision = decisions.get(type);
    if (!decision) {
      const rule = rules.find(({ entities }) =>
        entities.some((name) => name === '*' || name === type || name === groupOf.get(type)),
      );
      decision = { action: rule?.action ?? 'allow', minScore: rule?.min_score ?? policy.min_score };
      decisions.set(type, decision);
    }
    return decision;
  };
}

/** Whether a policy leaves everything as it is, for one direction and key. */
export function allowsAll(policy: Policy, direction: Direction, key?: string): boolean {
  const decide = decisionsOf(policy, direction, key);
  return types.every((type) => decide(type).action === 'allow');
}

/** Whether a policy does anything about what only a tagger finds, for one direction and key. */
export function needsTagger(policy: Policy, direction: Direction, key?: string): boolean {
  const decide = decisionsOf(policy, direction, key);
  return taggedTypes.some((type) => decide(type).action !== 'allow');
}
